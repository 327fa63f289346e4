//! Answers of a flow's view, spelled as bytes and read back: what filters ask about a part of a flow, without its frame.
//!
//! Owns which fields make a part, and the spelling. A part reads back exactly what the view said that it was taken from; what is in no
//! part has to be asked of the frame. Remembers nothing.
use crate::model::view::{End, Field, FieldSet, Item, Value, View};
use std::net::IpAddr;

/// The fields of a part: those with one answer, then the lists.
#[derive(Debug)]
pub struct Group {
    single: &'static [Field],
    lists: &'static [Field],
}

const fn side(end: End) -> (&'static [Field], &'static [Field]) {
    use Field::*;
    match end {
        End::Source => {
            const E: End = End::Source;
            (
                &[Endpoint(E), Namespace(E), Pod(E), Cluster(E), Identity(E), ServiceNamespace(E), ServiceName(E)],
                &[Labels(E), Workloads(E), Owners(E), Names(E), InferredNames(E)],
            )
        }
        End::Destination => {
            const E: End = End::Destination;
            (
                &[Endpoint(E), Namespace(E), Pod(E), Cluster(E), Identity(E), ServiceNamespace(E), ServiceName(E)],
                &[Labels(E), Workloads(E), Owners(E), Names(E), InferredNames(E)],
            )
        }
    }
}

/// Who the sender is, but for its address.
pub const SOURCE: Group = Group { single: side(End::Source).0, lists: side(End::Source).1 };
/// Who the receiver is; spelled as a sender of the same kind is.
pub const DESTINATION: Group = Group { single: side(End::Destination).0, lists: side(End::Destination).1 };

/// What happened, as far as it takes few forms.
pub const KIND: Group = Group {
    single: &[
        Field::Flow,
        Field::Verdict,
        Field::DropReasonDesc,
        Field::DropCode,
        Field::EventType,
        Field::EventSubType,
        Field::Direction,
        Field::IsReply,
        Field::Transport,
        Field::TcpFlags,
        Field::IpVersion,
        Field::Encrypted,
        Field::L7Record,
        Field::L7Type,
        Field::AuthType,
        Field::PolicyMatchType,
        Field::CapturePoint,
        Field::XlatePoint,
    ],
    lists: &[],
};

/// What a proxy read.
pub const SAID: Group = Group {
    single: &[Field::HttpCode, Field::HttpMethod, Field::HttpUrl, Field::DnsQuery, Field::DnsRcode, Field::DnsSource, Field::KafkaTopic],
    lists: &[],
};

/// What the agent says of policies.
pub const RULED: Group = Group {
    single: &[],
    lists: &[
        Field::AllowedBy(End::Source),
        Field::AllowedBy(End::Destination),
        Field::DeniedBy(End::Source),
        Field::DeniedBy(End::Destination),
    ],
};

impl Group {
    pub fn fields(&self) -> FieldSet {
        self.single.iter().chain(self.lists).copied().collect()
    }

    /// Spells what a view says of the part.
    pub fn spell(&self, view: &dyn View, to: &mut Vec<u8>) {
        to.clear();
        self.single.iter().for_each(|f| value(view.field(*f), to));
        for f in self.lists {
            view.any(*f, &mut |i| {
                item(i, to);
                false
            });
            to.push(END);
        }
    }

    /// The answer to a field of the part.
    pub fn field<'a>(&self, spelled: &'a [u8], field: Field) -> Value<'a> {
        let Some(place) = self.single.iter().position(|f| *f == field) else { return Value::Missing };
        let mut at = Reader(spelled);
        (0..place).for_each(|_| _ = at.value());
        at.value()
    }

    pub fn any(&self, spelled: &[u8], field: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
        let Some(place) = self.lists.iter().position(|f| *f == field) else { return false };
        let mut at = Reader(spelled);
        self.single.iter().for_each(|_| _ = at.value());
        for _ in 0..place {
            while at.item().is_some() {}
        }
        std::iter::from_fn(|| at.item()).any(test)
    }
}

/// What follows.
const MISSING: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;
const INT: u8 = 3;
const UINT: u8 = 4;
const TEXT: u8 = 5;
const V4: u8 = 6;
const V6: u8 = 7;
const STAMP: u8 = 8;
const PAIR: u8 = 9;
const POLICY: u8 = 10;
const END: u8 = 11;

fn text(s: &str, to: &mut Vec<u8>) {
    // Longer than four gigabytes is no message.
    to.extend_from_slice(&u32::try_from(s.len()).unwrap_or(0).to_le_bytes());
    to.extend_from_slice(s.as_bytes());
}

fn value(v: Value<'_>, to: &mut Vec<u8>) {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        to.push(tag);
        to.extend_from_slice(bytes);
    };
    match v {
        Value::Missing => tagged(MISSING, &[]),
        Value::Bool(b) => tagged(if b { YES } else { NO }, &[]),
        Value::Int(n) => tagged(INT, &n.to_le_bytes()),
        Value::Uint(n) => tagged(UINT, &n.to_le_bytes()),
        Value::Addr(IpAddr::V4(ip)) => tagged(V4, &ip.octets()),
        Value::Addr(IpAddr::V6(ip)) => tagged(V6, &ip.octets()),
        Value::Stamp { seconds, nanos } => {
            tagged(STAMP, &seconds.to_le_bytes());
            to.extend_from_slice(&nanos.to_le_bytes());
        }
        Value::Text(s) => {
            to.push(TEXT);
            text(s, to);
        }
    }
}

fn item(i: Item<'_>, to: &mut Vec<u8>) {
    let (tag, texts) = match i {
        Item::Text(s) => (TEXT, [Some(s), None, None]),
        Item::Pair(a, b) => (PAIR, [Some(a), Some(b), None]),
        Item::Policy { kind, namespace, name } => (POLICY, [Some(kind), Some(namespace), Some(name)]),
    };
    to.push(tag);
    texts.into_iter().flatten().for_each(|s| text(s, to));
}

/// Reads what was spelled. Of bytes that nobody spelled it makes nothing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at_checked(n).unwrap_or((&[], &[]));
        self.0 = rest;
        head
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().unwrap_or([0; N])
    }

    fn tag(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(END)
    }

    fn text(&mut self) -> &'a str {
        let len = u32::from_le_bytes(self.bytes());
        std::str::from_utf8(self.take(len as usize)).unwrap_or("")
    }

    fn value(&mut self) -> Value<'a> {
        match self.tag() {
            NO => Value::Bool(false),
            YES => Value::Bool(true),
            INT => Value::Int(i64::from_le_bytes(self.bytes())),
            UINT => Value::Uint(u64::from_le_bytes(self.bytes())),
            TEXT => Value::Text(self.text()),
            V4 => Value::Addr(IpAddr::from(self.bytes::<4>())),
            V6 => Value::Addr(IpAddr::from(self.bytes::<16>())),
            STAMP => Value::Stamp { seconds: i64::from_le_bytes(self.bytes()), nanos: i32::from_le_bytes(self.bytes()) },
            _ => Value::Missing,
        }
    }

    fn item(&mut self) -> Option<Item<'a>> {
        match self.tag() {
            TEXT => Some(Item::Text(self.text())),
            PAIR => Some(Item::Pair(self.text(), self.text())),
            POLICY => Some(Item::Policy { kind: self.text(), namespace: self.text(), name: self.text() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::Decoded;
    use crate::wire::json::read_line;
    use crate::wire::note::Notes;

    fn list(view: impl Fn(&mut dyn FnMut(Item<'_>) -> bool) -> bool) -> Vec<String> {
        let mut out = Vec::new();
        view(&mut |i| {
            out.push(format!("{i:?}"));
            false
        });
        out
    }

    #[test]
    fn a_part_answers_as_the_view_that_it_was_taken_from() {
        let line = r#"{"flow":{"verdict":"DROPPED","IP":{"source":"10.0.0.1","destination":"fd00::2"},"l4":{"TCP":{"source_port":4,"destination_port":5432,"flags":{"SYN":true}}},
            "source":{"identity":9,"namespace":"a","labels":["k8s:app=cart","x"],"pod_name":"p","workloads":[{"name":"w","kind":"Deployment"},{"name":"ü"}]},
            "destination_names":["db.","db2."],"destination_service":{"name":"db","namespace":"b"},"event_type":{"type":1,"sub_type":134},
            "l7":{"type":"REQUEST","http":{"method":"GET","url":"http://a/b","code":0}},
            "ingress_denied_by":[{"name":"deny","namespace":"b","kind":"CiliumNetworkPolicy"}]},"node_name":"n","time":"1970-01-01T00:00:01Z"}"#;
        let Decoded::Response(r) = read_line(line.as_bytes(), &mut Notes::default()).unwrap() else { panic!("{line}") };
        let mut bytes = Vec::new();
        for group in [SOURCE, DESTINATION, KIND, SAID, RULED] {
            group.spell(&r, &mut bytes);
            for f in group.single {
                assert_eq!(group.field(&bytes, *f), r.field(*f), "{f:?}");
            }
            for f in group.lists {
                assert_eq!(list(|t| group.any(&bytes, *f, t)), list(|t| r.any(*f, t)), "{f:?}");
            }
            for cut in 0..bytes.len() {
                group.single.iter().for_each(|f| _ = group.field(&bytes[..cut], *f));
                group.lists.iter().for_each(|f| _ = group.any(&bytes[..cut], *f, &mut |_| false));
            }
        }
    }

    #[test]
    fn both_ends_are_spelled_alike_and_no_two_parts_share_a_field() {
        assert_eq!(SOURCE.single.len(), DESTINATION.single.len());
        let all = [SOURCE, DESTINATION, KIND, SAID, RULED];
        let fields: usize = all.iter().map(|g| g.single.len() + g.lists.len()).sum();
        let set = all.iter().fold(FieldSet::EMPTY, |set, g| set.union(g.fields()));
        assert_eq!(set.iter().count(), fields);
    }
}
