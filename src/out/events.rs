//! Agent and debug events, in Hubble's layouts (compact, dict, table, JSON).
//!
//! Owns these texts, with what is odd about them: the separator of dict has no newline, and the table of debug events has an empty
//! column. Must not know where the events come from.
use super::paint::Paint;
use super::{Options, safe, tabs};
use crate::cli::Format;
use crate::wire::json::{WriteJson, write_message};
use crate::wire::pb::flow::agent_event::Notification;
use crate::wire::pb::flow::{AgentEvent, AgentEventType, DebugEvent, DebugEventType, Endpoint, ServiceUpsertNotificationAddr};
use crate::wire::pb::observer::{GetAgentEventsResponse, GetDebugEventsResponse};

/// Prints the events of one stream, which are all of one sort.
#[derive(Debug)]
pub struct Events {
    options: Options,
    format: Format,
    /// What a table holds back until its end.
    rows: Vec<u8>,
    written: bool,
}

/// A line of dict or a cell of a table: its name, its text.
type Part = (&'static str, Vec<u8>);

impl Events {
    pub fn new(format: Format, options: Options) -> Self {
        Self { options: Options { color: false, ..options }, format, rows: Vec::new(), written: false }
    }

    /// Appends an event of the agent.
    pub fn agent(&mut self, r: &GetAgentEventsResponse, out: &mut Vec<u8>) {
        if matches!(self.format, Format::Json | Format::Jsonpb) {
            return match &r.agent_event {
                Some(event) if self.options.bare => self.json(event, out),
                _ => self.json(r, out),
            };
        }
        let none = AgentEvent::default();
        let event = r.agent_event.as_ref().unwrap_or(&none);
        let kind = AgentEventType::try_from(event.r#type).map_or_else(|_| event.r#type.to_string(), |t| t.as_str_name().to_owned());
        let details = self.painted(|p| details(event, p));
        let begin = out.len();
        match self.format {
            Format::Compact => {
                self.stamp(r.time.as_ref(), &r.node_name, out);
                let mut p = Paint::new(out, &self.options);
                p.raw(&format!(": {kind} ("));
                out.extend_from_slice(&details);
                out.extend_from_slice(b")\n");
            }
            _ => {
                let head = format!("TIMESTAMP\t{}TYPE\tDETAILS\n", self.node_head());
                let mut parts = self.first(r.time.as_ref(), &r.node_name);
                parts.extend([("TYPE", kind.into_bytes()), ("DETAILS", details)]);
                self.parts(&head, &parts, "\t", out);
            }
        }
        safe::hubble(out, begin, false);
    }

    /// Appends a debug message of the datapath.
    pub fn debug(&mut self, r: &GetDebugEventsResponse, out: &mut Vec<u8>) {
        if matches!(self.format, Format::Json | Format::Jsonpb) {
            return match &r.debug_event {
                Some(event) if self.options.bare => self.json(event, out),
                _ => self.json(r, out),
            };
        }
        let none = DebugEvent::default();
        let event = r.debug_event.as_ref().unwrap_or(&none);
        let kind = DebugEventType::try_from(event.r#type).map_or_else(|_| event.r#type.to_string(), |t| t.as_str_name().to_owned());
        let from = self.painted(|p| endpoint(event.source.as_ref(), p));
        let mark = event.hash.map_or_else(|| "N/A".to_owned(), |m| format!("{m:#x}"));
        let cpu = event.cpu.map_or_else(|| "N/A".to_owned(), |c| format!("{c:02}"));
        let message = self.painted(|p| p.text(&event.message));
        let begin = out.len();
        match self.format {
            Format::Compact => {
                self.stamp(r.time.as_ref(), &r.node_name, out);
                out.extend_from_slice(b": ");
                out.extend_from_slice(&from);
                out.extend_from_slice(format!(" {kind} MARK: {mark} CPU: {cpu} (").as_bytes());
                out.extend_from_slice(&message);
                out.extend_from_slice(b")\n");
            }
            Format::Dict => {
                let mut parts = self.first(r.time.as_ref(), &r.node_name);
                parts.extend([("TYPE", kind.into()), ("FROM", from), ("MARK", mark.into()), ("CPU", cpu.into()), ("MESSAGE", message)]);
                self.parts("", &parts, "", out);
            }
            _ => {
                let head = format!("TIMESTAMP\t{}FROM\t\tTYPE\tCPU/MARK\tMESSAGE\n", self.node_head());
                let mut parts = self.first(r.time.as_ref(), &r.node_name);
                let marks = format!("{cpu} {mark}").into_bytes();
                parts.extend([("FROM", from), ("", Vec::new()), ("TYPE", kind.into()), ("", marks), ("MESSAGE", message)]);
                self.parts(&head, &parts, "\t", out);
            }
        }
        safe::hubble(out, begin, false);
    }

    /// Appends what a table has held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        tabs::layout(&String::from_utf8_lossy(&self.rows), out);
        self.rows.clear();
    }

    fn json<T: WriteJson>(&self, r: &T, out: &mut Vec<u8>) {
        let begin = out.len();
        write_message(r, out);
        if self.options.terminal {
            safe::spelt_json(out, begin);
        }
        out.push(b'\n');
    }

    fn painted(&self, paint: impl FnOnce(&mut Paint<'_>)) -> Vec<u8> {
        let mut text = Vec::new();
        paint(&mut Paint::new(&mut text, &self.options));
        text
    }

    /// `TIME` or `TIME [NODE]`.
    fn stamp(&self, time: Option<&prost_types::Timestamp>, node: &str, out: &mut Vec<u8>) {
        let mut p = Paint::new(out, &self.options);
        p.time(time);
        if self.options.node_name {
            p.raw(" [");
            p.text(node);
            p.raw("]");
        }
    }

    fn node_head(&self) -> &'static str {
        if self.options.node_name { "NODE\t" } else { "" }
    }

    fn first(&self, time: Option<&prost_types::Timestamp>, node: &str) -> Vec<Part> {
        let mut parts = vec![("TIMESTAMP", self.painted(|p| p.time(time)))];
        if self.options.node_name {
            parts.push(("NODE", self.painted(|p| p.text(node))));
        }
        parts
    }

    /// A block of dict, or a row of the table.
    fn parts(&mut self, head: &str, parts: &[Part], between: &str, out: &mut Vec<u8>) {
        let first = !std::mem::replace(&mut self.written, true);
        if self.format == Format::Dict {
            if !first {
                // No newline after it: so it is in Hubble, and scripts have learnt to read it.
                out.extend_from_slice(b"------------");
            }
            for (name, text) in parts {
                out.extend_from_slice(format!("{name:>11}: ").as_bytes());
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            return;
        }
        if first {
            self.rows.extend_from_slice(head.as_bytes());
        }
        for (n, (_, text)) in parts.iter().enumerate() {
            if n > 0 {
                self.rows.extend_from_slice(between.as_bytes());
            }
            let begin = self.rows.len();
            self.rows.extend_from_slice(text);
            safe::hubble(&mut self.rows, begin, false);
        }
        self.rows.push(b'\n');
    }
}

#[allow(deprecated, reason = "older agents still send what newer ones no longer do")]
fn details(event: &AgentEvent, p: &mut Paint<'_>) {
    use AgentEventType as T;
    let labels = |p: &mut Paint<'_>, labels: &[String]| {
        p.raw("labels: [");
        p.text(&labels.join(","));
        p.raw("]");
    };
    let more = |p: &mut Paint<'_>, name: &str, text: &str| {
        if !text.is_empty() {
            p.raw(&format!(", {name}: "));
            p.text(text);
        }
    };
    match (T::try_from(event.r#type), &event.notification) {
        (Ok(T::AgentEventUnknown), Some(Notification::Unknown(u))) => {
            p.raw("type: ");
            p.text(&u.r#type);
            p.raw(", notification: ");
            p.text(&u.notification);
        }
        (Ok(T::AgentStarted), Some(Notification::AgentStart(s))) => {
            p.raw("start time: ");
            p.time(s.time.as_ref());
        }
        (Ok(T::PolicyUpdated | T::PolicyDeleted), Some(Notification::PolicyUpdate(u))) => {
            labels(p, &u.labels);
            p.raw(&format!(", revision: {}, count: {}", u.revision, u.rule_count));
        }
        (Ok(T::EndpointRegenerateSuccess | T::EndpointRegenerateFailure), Some(Notification::EndpointRegenerate(e))) => {
            p.raw(&format!("id: {}, ", e.id));
            labels(p, &e.labels);
            more(p, "error", &e.error);
        }
        (Ok(T::EndpointCreated | T::EndpointDeleted), Some(Notification::EndpointUpdate(e))) => {
            p.raw(&format!("id: {}", e.id));
            more(p, "namespace", &e.namespace);
            more(p, "pod name", &e.pod_name);
        }
        (Ok(T::IpcacheUpserted | T::IpcacheDeleted), Some(Notification::IpcacheUpdate(u))) => {
            p.raw("cidr: ");
            p.text(&u.cidr);
            p.raw(&format!(", identity: {}", u.identity));
            if let Some(old) = u.old_identity {
                p.raw(&format!(", old identity: {old}"));
            }
            more(p, "host ip", &u.host_ip);
            more(p, "old host ip", &u.old_host_ip);
            p.raw(&format!(", encrypt key: {}", u.encrypt_key));
        }
        (Ok(T::ServiceUpserted), Some(Notification::ServiceUpsert(s))) => {
            p.raw(&format!("id: {}", s.id));
            if let Some(frontend) = &s.frontend_address {
                p.raw(", frontend: ");
                p.text(&address(frontend));
            }
            if !s.backend_addresses.is_empty() {
                p.raw(", backends: [");
                p.text(&s.backend_addresses.iter().map(address).collect::<Vec<_>>().join(","));
                p.raw("]");
            }
            more(p, "type", &s.r#type);
            more(p, "traffic policy", &s.traffic_policy);
            more(p, "namespace", &s.namespace);
            more(p, "name", &s.name);
        }
        (Ok(T::ServiceDeleted), Some(Notification::ServiceDelete(s))) => p.raw(&format!("id: {}", s.id)),
        _ => p.raw("UNKNOWN"),
    }
}

/// `host:port`, with brackets where the host has colons.
fn address(a: &ServiceUpsertNotificationAddr) -> String {
    if a.ip.contains(':') { format!("[{}]:{}", a.ip, a.port) } else { format!("{}:{}", a.ip, a.port) }
}

fn endpoint(e: Option<&Endpoint>, p: &mut Paint<'_>) {
    let Some(e) = e else { return p.raw("N/A") };
    let id = format!("ID: {}", e.id);
    match &e.labels[..] {
        _ if !e.namespace.is_empty() && !e.pod_name.is_empty() => {
            p.text(&e.namespace);
            p.raw("/");
            p.text(&e.pod_name);
        }
        [one] if one.starts_with("reserved:") => p.text(one),
        _ => return p.raw(&id),
    }
    p.raw(&format!(" ({id})"));
}
