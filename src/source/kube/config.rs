//! Kubeconfig → clients, read as kubectl reads it.
//!
//! Owns which files count, which contexts are meant and what a cluster is called. A context's name is the cluster's name everywhere:
//! on frames, on changes, in messages. Makes clients; asks the clusters nothing.
use super::clock::Clock;
use super::refusal::deepest;
use crate::error::{Error, Kind};
use crate::model::text::clean;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;

/// What a pod's own account is called.
const INSIDE: &str = "in-cluster";

/// Which clusters the flags mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// Instead of `$KUBECONFIG` and `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The current one if empty.
    pub contexts: Vec<String>,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    /// The context; harmless on a terminal.
    pub name: Arc<str>,
    pub client: Client,
    /// The one that the context is in.
    pub namespace: String,
    /// What a user types to reach it from a shell.
    pub kubectl: String,
    pub clock: Clock,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.name)
    }
}

/// The clusters that are meant, in the order of the flags. Plugins that fetch credentials run here, where they may still ask the user.
pub async fn clusters(wish: &Wish) -> Result<Vec<Cluster>, Error> {
    let found = read(wish.kubeconfig.as_deref(), std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"))?;
    let mut clusters = Vec::new();
    for chosen in choose(found, wish, std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())? {
        clusters.push(chosen.connect(wish).await?);
    }
    Ok(clusters)
}

/// Whether any cluster is named, so that one who did not ask for it can be told something of it.
pub fn any(wish: &Wish) -> Result<bool, Error> {
    let found = read(wish.kubeconfig.as_deref(), std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"))?;
    let current = found.and_then(|c| c.current_context).is_some_and(|c| !c.is_empty());
    Ok(current || !wish.contexts.is_empty() || wish.kubeconfig.is_some() || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())
}

/// A context of a file, or the account of the pod that we run in.
#[derive(Debug)]
enum Chosen {
    Context(Box<Kubeconfig>, String),
    Inside,
}

/// All files as one; `None` where there is none.
fn read(given: Option<&Path>, variable: Option<std::ffi::OsString>, home: Option<std::ffi::OsString>) -> Result<Option<Kubeconfig>, Error> {
    if let Some(path) = given {
        return one(path)?.map(Some).ok_or_else(|| {
            Error::usage(format!("cannot read the kubeconfig {}", path.display()))
                .cause("no such file")
                .hint("--kubeconfig names it; without the flag $KUBECONFIG and ~/.kube/config count")
        });
    }
    let listed: Vec<PathBuf> =
        variable.map(|v| std::env::split_paths(&v).filter(|p| !p.as_os_str().is_empty()).collect()).unwrap_or_default();
    let paths = if listed.is_empty() { home.map(|h| Path::new(&h).join(".kube/config")).into_iter().collect() } else { listed };
    let mut all: Option<Kubeconfig> = None;
    for path in paths {
        // kubectl passes over a file of the list that is not there.
        let Some(next) = one(&path)? else { continue };
        all = Some(match all {
            None => next,
            Some(before) => before.merge(next).map_err(|e| {
                Error::usage(format!("cannot join {} to the kubeconfig before it", path.display()))
                    .cause(clean(&e.to_string()))
                    .hint("$KUBECONFIG lists both; `kubectl config view` shows what comes of them")
            })?,
        });
    }
    Ok(all)
}

fn one(path: &Path) -> Result<Option<Kubeconfig>, Error> {
    match Kubeconfig::read_from(path) {
        Ok(config) => Ok(Some(config)),
        Err(kube::config::KubeconfigError::ReadConfig(e, _)) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::usage(format!("cannot read the kubeconfig {}", path.display()))
            .cause(deepest(&e))
            .hint("`kubectl config view` reads the same file")),
    }
}

fn choose(found: Option<Kubeconfig>, wish: &Wish, inside: bool) -> Result<Vec<Chosen>, Error> {
    let config = found.unwrap_or_default();
    let current = config.current_context.clone().filter(|c| !c.is_empty());
    let wanted: Vec<String> = if wish.contexts.is_empty() { current.into_iter().collect() } else { wish.contexts.clone() };
    if wanted.is_empty() && inside && wish.kubeconfig.is_none() {
        return Ok(vec![Chosen::Inside]);
    }
    // By its name the pod's own account can be asked for beside a server, which leads to no cluster by itself.
    let itself = |name: &str| inside && name == INSIDE && !config.contexts.iter().any(|c| c.name == name);
    let known: Vec<String> = config.contexts.iter().map(|c| clean(&c.name).into_owned()).collect();
    if wanted.is_empty() {
        let none = Error::usage("no cluster is named");
        return Err(match known.is_empty() {
            true => none.cause("there is no kubeconfig").hint("--kubeconfig FILE, or $KUBECONFIG; a server needs none: --server ADDR"),
            false => none
                .cause("the kubeconfig has no current context")
                .hint(format!("--kube-context NAME, or kubectl config use-context NAME; there are {}", known.join(", "))),
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    for name in &wanted {
        if !config.contexts.iter().any(|c| c.name == *name) && !itself(name) {
            let there = if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
            return Err(Error::usage(format!("there is no context {:?} in the kubeconfig", clean(name))).hint(there));
        }
        if !seen.insert(name) {
            return Err(Error::usage(format!("--kube-context {} is given twice", clean(name))).hint("its flows would come twice"));
        }
    }
    let chosen = |name: String| match itself(&name) {
        true => Chosen::Inside,
        false => Chosen::Context(Box::new(config.clone()), name),
    };
    Ok(wanted.into_iter().map(chosen).collect())
}

impl Chosen {
    async fn connect(self, wish: &Wish) -> Result<Cluster, Error> {
        let (name, config) = match self {
            Self::Inside => {
                let config = Config::incluster_env().map_err(|e| {
                    Error::usage("cannot use the account of this pod").cause(deepest(&e)).hint("is automountServiceAccountToken off?")
                })?;
                (INSIDE.to_owned(), config)
            }
            Self::Context(kubeconfig, name) => {
                let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
                let config = Config::from_custom_kubeconfig(*kubeconfig, &options).await.map_err(|e| {
                    Error::usage(format!("cannot use the context {:?}", clean(&name)))
                        .cause(clean(&e.to_string()))
                        .hint("`kubectl config view` shows what it names")
                })?;
                (name, config)
            }
        };
        let label: Arc<str> = clean(&name).into();
        let namespace = config.default_namespace.clone();
        if let Some(proxy) = config.proxy_url.as_ref().and_then(|p| p.scheme_str()).filter(|s| s.starts_with("socks") && *s != "socks5") {
            return Err(Error::usage(format!("cannot reach the cluster of context {label}"))
                .cause(format!("its proxy is called {}, and flowhy speaks, as kubectl does, to http, https and socks5 proxies only", clean(proxy)))
                .hint("through `kubectl port-forward -n kube-system svc/hubble-relay 4245:80` flowhy needs no proxy, but sees no policies; give them with --policies"));
        }
        let plugin =
            config.auth_info.exec.as_ref().map(|e| (clean(e.command.as_deref().unwrap_or_default()).into_owned(), e.install_hint.clone()));
        let mut kubectl = "kubectl".to_owned();
        if let Some(file) = &wish.kubeconfig {
            kubectl.push_str(&format!(" --kubeconfig {}", file.display()));
        }
        if !wish.contexts.is_empty() {
            kubectl.push_str(&format!(" --context {label}"));
        }
        // The client takes what the process has; another crate of the tree might have asked for more than one.
        let _ = ring::default_provider().install_default();
        // A plugin may open a browser and wait for the user.
        let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let failed = |cause: String| {
            Error::new(Kind::Connect, format!("cannot log in to the cluster of context {label}"))
                .cause(cause)
                .hint(format!("does `{kubectl} get pods` work? It uses the same login"))
        };
        match (made, plugin) {
            (Ok(Ok(client)), _) => Ok(Cluster { name: label, client, namespace, kubectl, clock: Clock::default() }),
            (Ok(Err(e)), Some((plugin, hint))) if is_missing(&e) => {
                // What its makers say of it, which may be many lines.
                let lines = hint.iter().flat_map(|h| h.lines()).map(str::trim).filter(|l| !l.is_empty());
                let hint = clean(&lines.collect::<Vec<_>>().join(" ")).into_owned();
                let hint = if hint.is_empty() { format!("install it, or is it on $PATH? `{plugin} --help`") } else { hint };
                Err(failed(format!("the login plugin {plugin} is not there")).hint(hint))
            }
            (Ok(Err(e)), _) => Err(failed(deepest(&e))),
            (Err(e), _) => Err(failed(e.to_string())),
        }
    }
}

/// Whether a program could not be started because there is none of its name.
fn is_missing(e: &kube::Error) -> bool {
    use kube::client::AuthError;
    matches!(e, kube::Error::Auth(AuthError::AuthExecStart(e)) if e.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- {name: c, cluster: {server: 'http://127.0.0.1:1'}}\ncontexts:\n- {name: a, context: {cluster: c}}\n- {name: b, context: {cluster: c}}\n";

    fn names(found: Option<&str>, wish: &Wish, inside: bool) -> Result<String, Error> {
        let found = found.map(|t| Kubeconfig::from_yaml(t).unwrap());
        let name = |c: Chosen| match c {
            Chosen::Inside => INSIDE.to_owned(),
            Chosen::Context(_, name) => name,
        };
        choose(found, wish, inside).map(|all| all.into_iter().map(name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn contexts_are_chosen_as_kubectl_chooses() {
        let wish = |contexts: &[&str]| Wish { kubeconfig: None, contexts: contexts.iter().map(|c| (*c).to_owned()).collect() };
        assert_eq!(names(Some(TWO), &wish(&[]), true).unwrap(), "a", "a kubeconfig counts before the pod's account");
        assert_eq!(names(Some(TWO), &wish(&["b", "a"]), false).unwrap(), "b a");
        assert_eq!(names(None, &wish(&[]), true).unwrap(), INSIDE);
        assert_eq!(names(Some(TWO), &wish(&[INSIDE, "a"]), true).unwrap(), "in-cluster a");
        assert!(names(Some(TWO), &wish(&[INSIDE]), false).is_err());
        let none = names(None, &wish(&[]), false).unwrap_err();
        assert_eq!((none.cause.as_deref(), none.exit_code()), (Some("there is no kubeconfig"), 2));
        let unset = TWO.replace("current-context: a", "current-context: ''");
        assert!(names(Some(&unset), &wish(&[]), false).unwrap_err().hint.unwrap().ends_with("there are a, b"));
        let wrong = names(Some(TWO), &wish(&["x\u{1b}"]), false).unwrap_err();
        assert_eq!((wrong.what.as_str(), wrong.hint.as_deref()), ("there is no context \"x^[\" in the kubeconfig", Some("there are a, b")));
        assert!(names(Some(TWO), &wish(&["a", "a"]), false).unwrap_err().what.ends_with("given twice"));
    }

    #[test]
    fn files_are_joined_the_first_counts_and_missing_ones_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("one"), TWO).unwrap();
        std::fs::write(file("two"), TWO.replace("current-context: a", "current-context: b").replace("name: b", "name: d")).unwrap();
        let list = std::env::join_paths([file("none"), file("one"), file("two")]).unwrap();
        let all = read(None, Some(list), None).unwrap().unwrap();
        assert_eq!(all.current_context.as_deref(), Some("a"));
        assert_eq!(all.contexts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
        assert!(read(None, Some(file("none").into()), None).unwrap().is_none());
        assert!(read(None, None, Some(file("no-home").into())).unwrap().is_none());
        std::fs::create_dir(file(".kube")).unwrap();
        std::fs::write(file(".kube/config"), TWO).unwrap();
        assert!(read(None, Some("".into()), Some(dir.path().into())).unwrap().is_some());
        assert!(read(Some(&file("none")), None, None).unwrap_err().what.starts_with("cannot read the kubeconfig"));
        std::fs::write(file("bad"), "contexts: 7\n").unwrap();
        assert_eq!(read(Some(&file("bad")), None, None).unwrap_err().exit_code(), 2);
    }

    #[tokio::test]
    async fn a_login_that_fails_says_so_and_how_to_try_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let user = "users:\n- name: u\n  user:\n    exec: {apiVersion: client.authentication.k8s.io/v1, command: /none/such-plugin, interactiveMode: Never}\n";
        std::fs::write(&path, format!("{}{user}", TWO.replace("{cluster: c}", "{cluster: c, user: u}"))).unwrap();
        let wish = Wish { kubeconfig: Some(path), contexts: vec!["b".to_owned()] };
        let e = clusters(&wish).await.unwrap_err();
        assert_eq!((e.what.as_str(), e.exit_code()), ("cannot log in to the cluster of context b", 3));
        assert_eq!(e.cause.as_deref(), Some("the login plugin /none/such-plugin is not there"));
        assert!(e.hint.unwrap().contains("is it on $PATH?"));
        let hinted = user.replace("interactiveMode", "installHint: \"Get it.\\n\\n  brew install it\", interactiveMode");
        std::fs::write(wish.kubeconfig.as_ref().unwrap(), format!("{}{hinted}", TWO.replace("{cluster: c}", "{cluster: c, user: u}")))
            .unwrap();
        assert_eq!(clusters(&wish).await.unwrap_err().hint.as_deref(), Some("Get it. brew install it"));
        // One that is there and fails speaks for itself.
        let fails = user.replace("/none/such-plugin", "/bin/false");
        std::fs::write(wish.kubeconfig.as_ref().unwrap(), format!("{}{fails}", TWO.replace("{cluster: c}", "{cluster: c, user: u}")))
            .unwrap();
        assert!(clusters(&wish).await.unwrap_err().hint.unwrap().contains("--context b get pods"));
    }

    #[tokio::test]
    async fn what_is_broken_in_a_kubeconfig_is_said_in_three_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let socks = TWO.replace("server: 'http://127.0.0.1:1'", "server: 'https://127.0.0.1:1', proxy-url: 'socks4://127.0.0.1:1080'");
        let torn = TWO.replace("contexts:", "contexts: [{");
        for (text, what, cause) in [
            (socks.as_str(), "cannot reach the cluster of context b", "its proxy is called socks4"),
            (torn.as_str(), "cannot read the kubeconfig", ""),
            ("contexts: 7\n", "cannot read the kubeconfig", ""),
            (&TWO.replace("{name: b, context: {cluster: c}}", "{name: b, context: {cluster: gone}}"), "cannot use the context \"b\"", ""),
        ] {
            std::fs::write(&path, text).unwrap();
            let wish = Wish { kubeconfig: Some(path.clone()), contexts: vec!["b".to_owned()] };
            let e = clusters(&wish).await.unwrap_err();
            assert_eq!((e.what.starts_with(what), e.exit_code()), (true, 2), "{e:?}");
            assert!(e.cause.unwrap().starts_with(cause) && !e.hint.unwrap().is_empty(), "{text}");
        }
    }
}
