//! Settings from outside of the command line: flowhy's variables and file, and those of Hubble's command line.
//!
//! Owns which settings there are, the order in which their places count, and what flowhy's own file may say. Pure: texts and variables
//! are handed in, `run` reads and writes the files. What is found becomes the default of the flag with the setting's name.
use crate::cli::{When, yes_or_no};
use crate::error::Error;
use crate::model::doc::{Node, Value};
use crate::query::duration;
use crate::query::fields::nearest;
use crate::world::yaml;
use clap::ValueEnum as _;
use std::borrow::Cow;
use std::fmt;
use toml_edit::{DocumentMut, Item};

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Text,
    Bool,
    Number,
    /// As Go writes it: `1m30s`.
    Duration,
    /// auto, always or never.
    When,
    /// Several; in a variable they stand between blanks.
    List,
}

/// A setting, which has the name of its flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    pub key: &'static str,
    pub holds: Holds,
    /// Without it; empty where nothing is then meant.
    pub default: &'static str,
    /// Whether Hubble's command line has it.
    pub hubbles: bool,
}

const fn spec(key: &'static str, holds: Holds, default: &'static str) -> Spec {
    Spec { key, holds, default, hubbles: true }
}

/// All settings, in order of their names.
pub const SETTINGS: &[Spec] = &[
    spec("allowlist", Holds::List, ""),
    spec("basic-auth-password", Holds::Text, ""),
    spec("basic-auth-username", Holds::Text, ""),
    Spec { key: "bell", holds: Holds::Bool, default: "false", hubbles: false },
    Spec { key: "color", holds: Holds::When, default: "auto", hubbles: false },
    Spec { key: "columns", holds: Holds::Text, default: "", hubbles: false },
    spec("debug", Holds::Bool, "false"),
    spec("denylist", Holds::List, ""),
    Spec { key: "key", holds: Holds::List, default: "", hubbles: false },
    spec("kube-context", Holds::Text, ""),
    spec("kube-namespace", Holds::Text, "kube-system"),
    spec("kubeconfig", Holds::Text, ""),
    Spec { key: "no-history", holds: Holds::Bool, default: "false", hubbles: false },
    Spec { key: "no-mouse", holds: Holds::Bool, default: "false", hubbles: false },
    Spec { key: "no-session-ring", holds: Holds::Bool, default: "false", hubbles: false },
    spec("port-forward", Holds::Bool, "false"),
    spec("port-forward-port", Holds::Number, "4245"),
    Spec { key: "relative-time", holds: Holds::Bool, default: "false", hubbles: false },
    spec("request-timeout", Holds::Duration, "12s"),
    spec("server", Holds::List, "localhost:4245"),
    Spec { key: "theme", holds: Holds::Text, default: "auto", hubbles: false },
    spec("timeout", Holds::Duration, "5s"),
    Spec { key: "title", holds: Holds::Bool, default: "false", hubbles: false },
    spec("tls", Holds::Bool, "false"),
    spec("tls-allow-insecure", Holds::Bool, "false"),
    spec("tls-ca-cert-files", Holds::List, ""),
    spec("tls-client-cert-file", Holds::Text, ""),
    spec("tls-client-key-file", Holds::Text, ""),
    spec("tls-server-name", Holds::Text, ""),
];

impl Spec {
    /// `Err` says which setting may have been meant.
    pub fn named(key: &str) -> Result<&'static Self, Error> {
        SETTINGS.iter().find(|s| s.key == key).ok_or_else(|| {
            let error = Error::usage(format!("unknown key: {key}"));
            match nearest(key, SETTINGS.iter().map(|s| s.key)) {
                Some(meant) => error.hint(format!("did you mean {meant}?")),
                None => error.hint("`flowhy config view` lists the settings"),
            }
        })
    }

    /// Whether it says how a server is reached: nothing for a run that asks none.
    pub fn of_servers(&self) -> bool {
        let screens = ["bell", "color", "columns", "key", "no-history", "no-mouse", "no-session-ring", "relative-time", "theme", "title"];
        !matches!(self.key, "allowlist" | "debug" | "denylist") && !screens.contains(&self.key)
    }

    fn variable(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.key.to_uppercase().replace('-', "_"))
    }

    /// The text as the flag takes it.
    fn read(&self, text: &str) -> Result<String, String> {
        match self.holds {
            Holds::Bool => yes_or_no(text).map(|b| b.to_string()),
            Holds::Number => text.parse::<u16>().map(|n| n.to_string()).map_err(|_| format!("{text:?} is no number from 0 to 65535")),
            Holds::Duration => match duration(text) {
                Some(ns) if ns > 0 => Ok(text.to_owned()),
                _ => Err(format!("{text:?} is no time to wait, such as 5s or 500ms")),
            },
            Holds::When => {
                When::from_str(text, true).map(|_| text.to_lowercase()).map_err(|_| format!("{text:?} is not auto, always or never"))
            }
            Holds::Text | Holds::List => Ok(text.to_owned()),
        }
    }
}

/// Where a setting comes from. The earlier counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Variable(String),
    /// A file, by its path.
    File(String),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => f.write_str(path),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub spec: &'static Spec,
    /// One, or several for a list; none where nothing is set and nothing is meant.
    pub values: Vec<String>,
    pub origin: Origin,
}

/// What lies around: a path and its text where there is such a file.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    pub own: Option<(&'a str, &'a str)>,
    pub hubbles: Option<(&'a str, &'a str)>,
}

/// All settings as they count.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// One for each of [`SETTINGS`].
    pub all: Vec<Setting>,
    /// Filters with names, in order of these.
    pub filters: Vec<(String, String)>,
    /// What was passed over, for those who debug.
    pub notes: Vec<String>,
}

/// Finds for each setting the first place that says something: our variables, our file, Hubble's variables, Hubble's file. Both of ours
/// come first, so that what was set for flowhy is not undone by what happens to be exported for Hubble.
pub fn resolve(around: Around<'_>) -> Result<Settings, Error> {
    let mut notes = Vec::new();
    let (own, filters) = around.own.map(|(path, text)| own(path, text)).transpose()?.unwrap_or_default();
    let hubbles = around.hubbles.map(|(path, text)| theirs(path, text, &mut notes)).unwrap_or_default();
    let of_file = |found: &[(&'static Spec, Vec<String>)], spec: &Spec, file: Option<(&str, &str)>| {
        let values = found.iter().find(|(s, _)| s.key == spec.key)?.1.clone();
        Some((values, Origin::File(file?.0.to_owned())))
    };
    let mut all = Vec::new();
    for spec in SETTINGS {
        let of_variable = |prefix: &str| -> Result<Option<(Vec<String>, Origin)>, Error> {
            let name = spec.variable(prefix);
            let Some(text) = (around.variable)(&name).filter(|t| !t.is_empty()) else { return Ok(None) };
            let wrong =
                |cause: String| Error::usage(format!("cannot use ${name}")).cause(cause).hint(format!("it stands for --{}", spec.key));
            let values = match spec.holds {
                Holds::List => text.split_whitespace().map(str::to_owned).collect(),
                _ => vec![spec.read(&text).map_err(wrong)?],
            };
            Ok(Some((values, Origin::Variable(name))))
        };
        let ours = of_variable("FLOWHY")?.or_else(|| of_file(&own, spec, around.own));
        let found = match ours {
            None if spec.hubbles => of_variable("HUBBLE")?.or_else(|| of_file(&hubbles, spec, around.hubbles)),
            found => found,
        };
        let (values, origin) = found.unwrap_or_else(|| {
            let default = (!spec.default.is_empty()).then(|| spec.default.to_owned());
            (default.into_iter().collect(), Origin::Default)
        });
        all.push(Setting { spec, values, origin });
    }
    Ok(Settings { all, filters, notes })
}

/// The table of our file that holds filters with names.
const FILTERS: &str = "filters";

/// What our file says: settings with their values, and filters with their names.
type Own = (Vec<(&'static Spec, Vec<String>)>, Vec<(String, String)>);

/// flowhy's file: what it does not know is an error.
fn own(path: &str, text: &str) -> Result<Own, Error> {
    let document = parse(path, text)?;
    let (mut found, mut filters) = (Vec::new(), Vec::new());
    for (key, item) in document.iter() {
        if key == FILTERS {
            filters = named(path, item)?;
            continue;
        }
        let spec = Spec::named(key).map_err(|e| Error { what: format!("{path}: {}", e.what), ..e })?;
        let wrong = |cause: String| Error::usage(format!("{path}: cannot use {key}")).cause(cause);
        let scalar = |v: &toml_edit::Value| {
            let text = match v {
                toml_edit::Value::String(s) => s.value().clone(),
                toml_edit::Value::Boolean(b) => b.value().to_string(),
                toml_edit::Value::Integer(n) => n.value().to_string(),
                other => return Err(format!("a {} is no value for it", other.type_name())),
            };
            spec.read(&text)
        };
        let values = match item {
            Item::Value(toml_edit::Value::Array(items)) if spec.holds == Holds::List => items.iter().map(scalar).collect(),
            Item::Value(v) => scalar(v).map(|v| vec![v]),
            other => Err(format!("a {} is no value for it", other.type_name())),
        };
        found.push((spec, values.map_err(wrong)?));
    }
    Ok((found, filters))
}

/// The table of filters: a name and a filter's text each.
fn named(path: &str, item: &Item) -> Result<Vec<(String, String)>, Error> {
    let wrong = |cause: String| {
        Error::usage(format!("{path}: cannot use {FILTERS}")).cause(cause).hint("[filters] and below it lines such as shop = \"ns:shop\"")
    };
    let table = item.as_table_like().ok_or_else(|| wrong(format!("a {} is no table of filters", item.type_name())))?;
    let mut all = Vec::new();
    for (name, item) in table.iter() {
        let text = item.as_str().ok_or_else(|| wrong(format!("{name} is a {}, not a filter's text", item.type_name())))?;
        all.push((name.to_owned(), text.to_owned()));
    }
    all.sort();
    Ok(all)
}

fn parse(path: &str, text: &str) -> Result<DocumentMut, Error> {
    text.parse::<DocumentMut>().map_err(|e| {
        let line = e.span().map_or(1, |s| text.get(..s.start).unwrap_or_default().lines().count().max(1));
        Error::usage(format!("{path}:{line}: this is no TOML")).cause(e.message().lines().next().unwrap_or_default().to_owned())
    })
}

/// Hubble's file: what is broken or unknown is passed over, as Hubble does.
fn theirs(path: &str, text: &str, notes: &mut Vec<String>) -> Vec<(&'static Spec, Vec<String>)> {
    let (docs, faults) = yaml::read(path, text);
    let Some(doc) = docs.first().filter(|_| faults.is_empty()) else {
        if let Some(fault) = faults.first() {
            notes.push(format!("{fault}: the whole file is passed over"));
        }
        return Vec::new();
    };
    let text = |n: &Node| match &n.value {
        Value::Str(s) => Some(s.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Int(n) => Some(n.to_string()),
        _ => None,
    };
    let mut found = Vec::new();
    for entry in doc.root.map() {
        let Some(spec) = SETTINGS.iter().find(|s| s.key == entry.key && s.hubbles) else {
            notes.push(format!("{path}:{}: {} is not known and passed over", entry.line, entry.key));
            continue;
        };
        let nodes = if matches!(entry.value.value, Value::Seq(_)) { entry.value.seq() } else { std::slice::from_ref(&entry.value) };
        let values: Option<Vec<_>> = nodes.iter().map(|n| text(n).and_then(|t| spec.read(&t).ok())).collect();
        match values {
            // `config view` of Hubble writes every setting, empty ones too.
            Some(v) if v.iter().all(String::is_empty) => {}
            Some(v) if v.len() == 1 || spec.holds == Holds::List => found.push((spec, v)),
            _ => notes.push(format!("{path}:{}: {} has no value that can be used; passed over", entry.line, entry.key)),
        }
    }
    found
}

impl Settings {
    pub fn of(&self, spec: &Spec) -> Option<&Setting> {
        self.all.iter().find(|s| s.spec.key == spec.key)
    }

    /// What is set somewhere.
    pub fn set(&self) -> impl Iterator<Item = &Setting> {
        self.all.iter().filter(|s| s.origin != Origin::Default)
    }

    /// The command with these settings as the defaults of its flags. Flags that read themselves are left out.
    pub fn defaults(&self, mut command: clap::Command) -> clap::Command {
        for s in self.set() {
            let id = s.spec.key.replace('-', "_");
            if command.get_arguments().any(|a| a.get_id() == id.as_str()) {
                command = command.mut_arg(id, |a| a.default_values(s.values.clone()).hide_default_value(true));
            }
        }
        command
    }

    /// Leaves out what counts for nothing in this run.
    pub fn without(&mut self, idle: impl Fn(&Spec) -> bool) {
        self.all.retain(|s| !idle(s.spec));
    }

    /// The error, with the place of the setting that it speaks of.
    pub fn blame(&self, mut error: Error) -> Error {
        let about = |s: &&Setting| {
            let text = matches!(s.spec.holds, Holds::Text | Holds::List);
            error.what.contains(&format!("--{}", s.spec.key))
                || (text && s.values.iter().any(|v| v.len() > 3 && error.what.contains(v.as_str())))
        };
        if let Some(s) = self.set().find(about)
            && error.kind == crate::error::Kind::Usage
        {
            let from = format!("{} comes from {}", s.spec.key, s.origin);
            error.hint = Some(error.hint.map_or_else(|| from.clone(), |hint| format!("{hint}; {from}")));
        }
        error
    }

    /// `config view`: one line a setting, in TOML, each with its place. Passwords are not shown.
    pub fn view(&self) -> String {
        let line = |s: &Setting| {
            let secret = s.spec.key == "basic-auth-password" && !s.values.is_empty();
            let value = if secret { "\"********\"".to_owned() } else { toml(s.spec, &s.values) };
            match (&s.origin, s.values.is_empty()) {
                (_, true) => format!("# {} is not set\n", s.spec.key),
                (origin, false) => format!("{} = {value}  # {origin}\n", s.spec.key),
            }
        };
        let mut out: String = self.all.iter().map(line).collect();
        if !self.filters.is_empty() {
            out.push_str("\n[filters]\n");
            out.extend(self.filters.iter().map(|(name, text)| format!("{name} = {}\n", toml_edit::Value::from(text.as_str()))));
        }
        out
    }

    /// `config get KEY`: the value as a flag would take it, one line each.
    pub fn get(&self, spec: &Spec) -> String {
        self.of(spec).map(|s| s.values.iter().map(|v| format!("{v}\n")).collect()).unwrap_or_default()
    }
}

fn value(spec: &Spec, values: &[String]) -> toml_edit::Value {
    match (spec.holds, values) {
        (Holds::Bool, [v, ..]) => (v == "true").into(),
        (Holds::Number, [v, ..]) => v.parse::<i64>().unwrap_or_default().into(),
        (Holds::Text | Holds::Duration | Holds::When, [v, ..]) | (Holds::List, [v]) => v.as_str().into(),
        _ => values.iter().map(String::as_str).collect(),
    }
}

fn toml(spec: &Spec, values: &[String]) -> String {
    value(spec, values).to_string()
}

/// The text of our file with the setting changed; without values it is taken away. Everything else stays as it is.
pub fn changed(path: &str, text: &str, spec: &Spec, values: &[String]) -> Result<String, Error> {
    let (header, mut document) = headed(path, text)?;
    // A comma stands between files as it does after the flag.
    let values: Vec<String> = match spec.key {
        "tls-ca-cert-files" => values.iter().flat_map(|v| v.split(',')).map(str::to_owned).collect(),
        _ => values.to_vec(),
    };
    if values.iter().all(String::is_empty) {
        document.remove(spec.key);
        return Ok(format!("{header}{document}"));
    }
    if values.len() > 1 && spec.holds != Holds::List {
        return Err(Error::usage(format!("{} has one value, not {}", spec.key, values.len())));
    }
    let wrong = |v: &String, cause| Error::usage(format!("cannot assign value={v} for key={}", spec.key)).cause(cause);
    let read = values.iter().map(|v| spec.read(v).map_err(|cause| wrong(v, cause))).collect::<Result<Vec<_>, _>>()?;
    document[spec.key] = Item::Value(value(spec, &read));
    Ok(format!("{header}{document}"))
}

/// A text of comments alone is a header: what is added comes below it.
fn headed<'a>(path: &str, text: &'a str) -> Result<(Cow<'a, str>, DocumentMut), Error> {
    let document = parse(path, text)?;
    if !document.is_empty() || text.is_empty() {
        return Ok((Cow::Borrowed(""), document));
    }
    let header = if text.ends_with('\n') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}\n")) };
    Ok((header, DocumentMut::new()))
}

/// The text of our file with a filter under a name.
pub fn with_filter(path: &str, text: &str, name: &str, filter: &str) -> Result<String, Error> {
    let (header, mut document) = headed(path, text)?;
    let table = document.entry(FILTERS).or_insert_with(|| Item::Table(toml_edit::Table::new()));
    let table = table.as_table_like_mut().ok_or_else(|| Error::usage(format!("{path}: {FILTERS} is no table")))?;
    table.insert(name, toml_edit::value(filter));
    Ok(format!("{header}{document}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(vars: &[(&str, &str)], own: &str, hubbles: &str) -> Result<Settings, Error> {
        let variable = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        resolve(Around { variable: &variable, own: Some(("own.toml", own)), hubbles: Some(("config.yaml", hubbles)) })
    }

    fn says(s: &Settings, key: &str) -> String {
        let s = s.of(Spec::named(key).unwrap()).unwrap();
        format!("{} ({})", s.values.join(" "), s.origin)
    }

    #[test]
    fn ours_count_before_hubbles_and_variables_before_files() {
        let ours = ("FLOWHY_SERVER", "a");
        let theirs = ("HUBBLE_SERVER", "b");
        assert_eq!(says(&found(&[ours, theirs], "server = 'd'", "server: c").unwrap(), "server"), "a (FLOWHY_SERVER)");
        assert_eq!(says(&found(&[theirs], "server = 'd'", "server: c").unwrap(), "server"), "d (own.toml)");
        assert_eq!(says(&found(&[theirs], "tls = true", "server: c").unwrap(), "server"), "b (HUBBLE_SERVER)");
        assert_eq!(says(&found(&[("FLOWHY_SERVER", "")], "tls = true", "server: c").unwrap(), "server"), "c (config.yaml)");
        assert_eq!(says(&found(&[], "server = 'd'", "tls: true").unwrap(), "server"), "d (own.toml)");
        assert_eq!(says(&found(&[], "", "").unwrap(), "server"), "localhost:4245 (default)");
        assert_eq!(says(&found(&[("HUBBLE_COLOR", "never")], "", "color: never").unwrap(), "color"), "auto (default)");
    }

    #[test]
    fn lists_are_cut_at_blanks_in_variables_and_stand_as_lists_in_files() {
        let s =
            found(&[("HUBBLE_TLS_CA_CERT_FILES", "a,b  c")], "allowlist = ['{\"verdict\": [\"DROPPED\"]}', '{}']", "denylist:\n- '{}'\n")
                .unwrap();
        assert_eq!(s.of(Spec::named("tls-ca-cert-files").unwrap()).unwrap().values, ["a,b", "c"]);
        assert_eq!(s.of(Spec::named("allowlist").unwrap()).unwrap().values, ["{\"verdict\": [\"DROPPED\"]}", "{}"]);
        assert_eq!(says(&s, "denylist"), "{} (config.yaml)");
    }

    #[test]
    fn our_file_is_held_to_its_words_and_hubbles_is_not() {
        let e = found(&[], "sever = 'x'", "").unwrap_err();
        assert_eq!((e.what.as_str(), e.hint.as_deref(), e.exit_code()), ("own.toml: unknown key: sever", Some("did you mean server?"), 2));
        assert_eq!(found(&[], "a = 1\nb = = 2", "").unwrap_err().what, "own.toml:2: this is no TOML");
        assert!(found(&[], "tls = 'maybe'", "").is_err() && found(&[], "tls = [true]", "").is_err() && found(&[], "[tls]\n", "").is_err());
        assert_eq!(found(&[("FLOWHY_TLS", "yes")], "", "").unwrap_err().what, "cannot use $FLOWHY_TLS");
        let s = found(&[], "", "nope: 1\ntls: maybe\ntimeout: 3s\nkubeconfig: ''\nport-forward-port: 4246\n").unwrap();
        assert_eq!((says(&s, "timeout").as_str(), s.notes.len()), ("3s (config.yaml)", 2));
        assert_eq!(says(&s, "port-forward-port"), "4246 (config.yaml)");
        let broken = found(&[], "", "server: x\n\t- : [").unwrap();
        assert_eq!((says(&broken, "server").as_str(), broken.notes.len()), ("localhost:4245 (default)", 1));
    }

    #[test]
    fn a_change_keeps_what_else_stands_in_the_file() {
        let text = "# mine\nserver = 'a' # near\n\ntls = true\n";
        let set = |key: &str, values: &[&str]| {
            changed("f", text, Spec::named(key).unwrap(), &values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(set("timeout", &["3s"]).unwrap(), "# mine\nserver = 'a' # near\n\ntls = true\ntimeout = \"3s\"\n");
        assert_eq!(set("tls", &[]).unwrap(), "# mine\nserver = 'a' # near\n");
        assert_eq!(set("tls-ca-cert-files", &["a,b"]).unwrap().lines().last(), Some("tls-ca-cert-files = [\"a\", \"b\"]"));
        assert_eq!(set("port-forward-port", &["4246"]).unwrap().lines().last(), Some("port-forward-port = 4246"));
        assert_eq!(set("tls", &["perhaps"]).unwrap_err().what, "cannot assign value=perhaps for key=tls");
        assert_eq!(set("timeout", &["xx"]).unwrap_err().cause.as_deref(), Some("\"xx\" is no time to wait, such as 5s or 500ms"));
        assert!(set("color", &["sometimes"]).is_err() && set("request-timeout", &["0"]).is_err());
        assert!(set("timeout", &["a", "b"]).is_err() && set("port-forward-port", &["99999"]).is_err());
    }

    #[test]
    fn filters_have_names_and_stand_below_the_settings() {
        let text = "tls = true\n\n[filters]\nshop = \"ns:shop\" # mine\n";
        let more = with_filter("f", text, "dns", "port:53 \"a b\"").unwrap();
        assert!(more.starts_with(text), "{more}");
        let s = found(&[], &more, "").unwrap();
        assert_eq!(s.filters, [("dns".to_owned(), "port:53 \"a b\"".to_owned()), ("shop".to_owned(), "ns:shop".to_owned())]);
        assert!(s.view().ends_with("[filters]\ndns = 'port:53 \"a b\"'\nshop = \"ns:shop\"\n"), "{}", s.view());
        assert_eq!(with_filter("f", "", "a", "b").unwrap(), "[filters]\na = \"b\"\n");
        assert_eq!(with_filter("f", "# mine\n", "a", "b").unwrap(), "# mine\n[filters]\na = \"b\"\n", "a header stays at the top");
        assert_eq!(changed("f", "# mine", Spec::named("tls").unwrap(), &["true".to_owned()]).unwrap(), "# mine\ntls = true\n");
        for wrong in ["filters = 1", "[filters]\na = 1", "[filters.a]\nb = 'c'"] {
            assert!(found(&[], wrong, "").unwrap_err().what.contains("cannot use filters"), "{wrong}");
        }
        // A setting that is changed stays above the table.
        let changed = changed("f", &more, Spec::named("theme").unwrap(), &["dark".to_owned()]).unwrap();
        assert_eq!(found(&[], &changed, "").unwrap().filters.len(), 2);
    }

    #[test]
    fn the_view_says_where_from_and_shows_no_password() {
        let view = found(&[("FLOWHY_BASIC_AUTH_PASSWORD", "secret")], "tls = true", "").unwrap().view();
        assert!(view.contains("basic-auth-password = \"********\"  # FLOWHY_BASIC_AUTH_PASSWORD\n") && !view.contains("secret"));
        assert!(
            view.contains("tls = true  # own.toml\n")
                && view.contains("# kube-context is not set\n")
                && view.contains("server = \"localhost:4245\"  # default\n")
        );
        assert!(view.parse::<DocumentMut>().is_ok());
    }
}
