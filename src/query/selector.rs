//! Label selectors: Kubernetes' grammar with Cilium's sources (`k8s:app=x`, `reserved:world`, `any:` where none is given).
//!
//! Owns the grammar and the match against `source:key=value` texts; Hubble's quirks (`cidr:` compares prefixes) included.
use crate::model::view::{Field, Item, View};
use ipnet::IpNet;

/// All requirements of one selector; they are ANDed. None: matches everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    source: String,
    key: String,
    /// For the source `cidr`.
    net: Option<IpNet>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Selector {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut p = Parser { tokens: lex(text), at: 0 };
        let mut all = vec![p.requirement()?];
        while p.peek() == &Token::Sign(",") {
            p.at += 1;
            if !matches!(p.peek(), Token::Word(_) | Token::Sign("!")) {
                return Err(format!("found '{}', expected: identifier after ','", p.peek().text()));
            }
            all.push(p.requirement()?);
        }
        match p.peek() {
            Token::End => Ok(Self(all)),
            t => Err(format!("found '{}', expected: ',' or 'end of string'", t.text())),
        }
    }

    /// Texts of which all must stand in a string of the line, and whether that string ends with them: what the labels must say
    /// that the requirements ask for. A requirement that an absent label meets asks for nothing.
    pub fn asks(&self) -> Vec<Vec<(String, bool)>> {
        self.0.iter().filter_map(Requirement::asks).collect()
    }

    /// `field` is a list of labels.
    pub fn matches(&self, v: &dyn View, field: Field) -> bool {
        self.0.iter().all(|r| r.matches(v, field))
    }
}

impl Requirement {
    /// One of these; nothing where a label may be spelt in ways that are not one text.
    fn asks(&self) -> Option<Vec<(String, bool)>> {
        if self.source == "cidr" {
            return None;
        }
        let key = |v: &str| (format!("{}={v}", self.key), true);
        match &self.test {
            Test::Absent | Test::NotIn(_) => None,
            Test::Exists => Some(vec![(self.key.clone(), false)]),
            // An empty value needs no `=`.
            Test::In(list) => Some(list.iter().map(|v| if v.is_empty() { (self.key.clone(), false) } else { key(v) }).collect()),
            Test::Greater(_) | Test::Less(_) => Some(vec![(format!("{}=", self.key), false)]),
        }
    }

    fn matches(&self, v: &dyn View, field: Field) -> bool {
        let (negative, mut hit) = (matches!(self.test, Test::Absent | Test::NotIn(_)), false);
        if let Some(net) = self.net {
            // Several labels may be inside the prefix; the first by key speaks. Rare, so the copy of a key is cheap enough.
            let mut least: Option<String> = None;
            v.any(field, &mut |i| {
                let (_, key, value) = split(i.text());
                if in_net(i, net) && least.as_deref().is_none_or(|l| key < l) {
                    least = Some(key.to_owned());
                    hit = self.value_ok(value);
                }
                false
            });
            return if least.is_some() { hit } else { negative };
        }
        let found = v.any(field, &mut |i| {
            let (source, key, value) = split(i.text());
            let here = key == self.key && (self.source == "any" || self.source == source);
            hit = here && self.value_ok(value);
            here
        });
        if found { hit } else { negative }
    }

    /// Whether the requirement holds for a label that is there.
    fn value_ok(&self, value: &str) -> bool {
        match &self.test {
            Test::Exists => true,
            Test::Absent => false,
            Test::In(list) => list.iter().any(|x| x == value),
            Test::NotIn(list) => !list.iter().any(|x| x == value),
            Test::Greater(n) => value.parse::<i64>().is_ok_and(|x| x > *n),
            Test::Less(n) => value.parse::<i64>().is_ok_and(|x| x < *n),
        }
    }
}

fn in_net(item: Item<'_>, net: IpNet) -> bool {
    let (source, key, _) = split(item.text());
    source == "cidr" && cidr(key).is_some_and(|n| net.contains(&n))
}

/// (source, key, value) of a label as a flow has it.
pub fn split(label: &str) -> (&str, &str, &str) {
    let (source, rest) = match label.strip_prefix('$') {
        Some(rest) => ("reserved", rest),
        None => match label.split_once(':') {
            Some((s, rest)) => (s, rest),
            None => label.strip_prefix("reserved.").map_or(("unspec", label), |r| ("reserved", r)),
        },
    };
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    (if source.is_empty() { "unspec" } else { source }, key, value)
}

/// A prefix as labels spell it: `-` for `:`, since label keys have no colons.
fn cidr(key: &str) -> Option<IpNet> {
    if key.contains('-') { key.replace('-', ":").parse().ok() } else { key.parse().ok() }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(s) => s,
            Self::Sign(s) => s,
            Self::End => "",
        }
    }
}

fn lex(text: &str) -> Vec<Token> {
    const SIGNS: [&str; 8] = ["==", "!=", "=", "!", "(", ")", ",", ">"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '\n', '\r']);
    while !rest.is_empty() {
        let sign = SIGNS.into_iter().chain(["<"]).find(|s| rest.starts_with(s));
        let len = match sign {
            Some(s) => {
                tokens.push(Token::Sign(s));
                s.len()
            }
            None => {
                let len = rest.find([' ', '\t', '\n', '\r', '=', '!', '(', ')', ',', '>', '<']).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..len].to_owned()));
                len
            }
        };
        rest = rest[len..].trim_start_matches([' ', '\t', '\n', '\r']);
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let t = self.peek().clone();
        self.at += 1;
        t
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == &Token::Sign("!");
        self.at += usize::from(absent);
        let Token::Word(word) = self.next() else {
            return Err(format!(
                "unable to parse requirement: invalid key: found '{}'",
                self.tokens.get(self.at - 1).map_or("", Token::text)
            ));
        };
        let (source, key) = word.split_once(':').unwrap_or(("any", &word));
        check_key(source, key)?;
        let test = match self.peek() {
            _ if absent => Test::Absent,
            Token::End | Token::Sign(",") => Test::Exists,
            _ => self.test().map_err(|e| format!("unable to parse requirement: {e}"))?,
        };
        // An unreadable prefix contains nothing.
        let net = if source == "cidr" { cidr(key) } else { None };
        Ok(Requirement { source: source.to_owned(), key: key.to_owned(), net, test })
    }

    fn test(&mut self) -> Result<Test, String> {
        let op = self.next();
        match op.text() {
            "=" | "==" => Ok(Test::In(vec![self.value()?])),
            "!=" => Ok(Test::NotIn(vec![self.value()?])),
            "in" => Ok(Test::In(self.values()?)),
            "notin" => Ok(Test::NotIn(self.values()?)),
            ">" | "gt" => Ok(Test::Greater(self.number()?)),
            "<" | "lt" => Ok(Test::Less(self.number()?)),
            t => Err(format!("found '{t}', expected: in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        let value = match self.peek() {
            Token::End | Token::Sign(",") => return Ok(String::new()),
            Token::Word(w) => w.clone(),
            Token::Sign(s) => return Err(format!("found '{s}', expected: identifier")),
        };
        self.at += 1;
        check_value(&value)?;
        Ok(value)
    }

    fn number(&mut self) -> Result<i64, String> {
        let v = self.value()?;
        v.parse().map_err(|_| format!("values[0]: Invalid value: {v:?}: for 'Gt', 'Lt' operators, the value must be an integer"))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Sign("(") => {}
            t => return Err(format!("found '{}' expected: '('", t.text())),
        }
        let mut list = Vec::new();
        let mut need = true;
        loop {
            match self.next() {
                Token::Word(w) if need => {
                    check_value(&w)?;
                    list.push(w);
                    need = false;
                }
                // A missing value is the empty one.
                t @ Token::Sign("," | ")") => {
                    if need {
                        list.push(String::new());
                    }
                    if t == Token::Sign(")") {
                        return Ok(list);
                    }
                    need = true;
                }
                t => return Err(format!("found '{}', expected: ',' or ')'", t.text())),
            }
        }
    }
}

/// `[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?`
fn name_ok(s: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let b = s.as_bytes();
    edge(b.first()) && edge(b.last()) && b.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Checked as Cilium does: `source.key` as one Kubernetes label key.
fn check_key(source: &str, key: &str) -> Result<(), String> {
    let whole = format!("{source}.{key}");
    let ok = match whole.split_once('/') {
        None => whole.len() <= 63 && name_ok(&whole),
        Some((prefix, name)) => {
            let prefix_ok =
                source == "cidr" || (prefix.len() <= 253 && prefix.split('.').all(|w| w.is_empty() || name_ok(w) && !w.contains('_')));
            prefix_ok && name.len() <= 63 && name_ok(name)
        }
    };
    if ok && !key.is_empty() {
        Ok(())
    } else {
        Err(format!("unable to parse requirement: <nil>: Invalid value: {whole:?}: a valid label key is needed"))
    }
}

fn check_value(value: &str) -> Result<(), String> {
    let fault = if value.len() > 63 {
        "must be no more than 63 bytes"
    } else if !value.is_empty() && !name_ok(value) {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    } else {
        return Ok(());
    };
    Err(format!("values[0]: Invalid value: {value:?}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::{End, Value};

    struct Labels(Vec<&'static str>);
    impl View for Labels {
        fn field(&self, _: Field) -> Value<'_> {
            Value::Missing
        }
        fn any(&self, _: Field, test: &mut dyn FnMut(Item<'_>) -> bool) -> bool {
            self.0.iter().any(|l| test(Item::Text(l)))
        }
    }

    fn hit(selector: &str, labels: &[&'static str]) -> bool {
        Selector::parse(selector).unwrap().matches(&Labels(labels.to_vec()), Field::Labels(End::Source))
    }

    #[test]
    fn operators() {
        let l = ["k8s:app=cart", "k8s:n=7", "reserved:world", "k8s:empty="];
        for s in [
            "app",
            "app=cart",
            "app==cart",
            "k8s:app=cart",
            "app!=x",
            "nope!=x",
            "!nope",
            "n>6",
            "n<8",
            "n gt 6",
            "reserved:world",
            "app in (a,cart)",
            "app notin (a)",
            "empty=",
            "empty in (,red)",
            "empty in ()",
            "app=cart,n>6",
            "",
        ] {
            assert!(hit(s, &l), "{s}");
        }
        for s in ["app=x", "any2:app=cart", "app!=cart", "!app", "n>7", "app>1", "reserved.world", "app notin (cart)", "app=cart,x"] {
            assert!(!hit(s, &l), "{s}");
        }
    }

    #[test]
    fn cidr_keys_compare_as_prefixes() {
        assert!(hit("cidr:10.0.0.0/8", &["cidr:10.1.0.0/16"]) && !hit("cidr:10.1.0.0/16", &["cidr:10.0.0.0/8"]));
        assert!(hit("cidr:2001-db8--/32", &["cidr:2001-db8-1--/48"]));
    }

    #[test]
    fn errors() {
        for s in [
            " ",
            ",",
            "app,",
            ",app",
            "=x",
            "app=a=b",
            "app in",
            "app in (a",
            "app in a",
            "a b",
            "app>x",
            "app>>3",
            "in (a)",
            "(app)",
            "!app=x",
            "app!",
            "app=x;y",
        ] {
            assert!(Selector::parse(s).is_err(), "{s}");
        }
        assert!(Selector::parse("notin").is_ok() && Selector::parse("-app=x").is_ok());
    }
}
