//! The servers that are meant → servers that can be asked, and the clusters behind them.
//!
//! Owns the way in: what listens here, else a port-forward through a cluster's API; and which clusters are watched for what. The one
//! place where clients of clusters are made.
use super::say;
use crate::error::{Error, Kind};
use crate::model::input::{At, Change, Input, KindState};
use crate::plan::server::{Kube, Servers, Way};
use crate::policy;
use crate::source::kube::config::{self, Cluster};
use crate::source::kube::forward::{Door, Wanted};
use crate::source::kube::watch::{PolicyKind, Settled, Watch};
use crate::source::server::Server;
use crate::source::target::{Address, Target};
use crate::source::{Feed, Inbox, Source as _, Stop, dial, feed};
use std::sync::Arc;
use std::time::Duration;

/// So long is this machine asked whether something listens.
const LOOK: Duration = Duration::from_millis(500);

/// So long flows that are explained as they come wait for the first lists of a cluster,
const LISTS: Duration = Duration::from_secs(20);
/// and so long without a word.
const PATIENCE: Duration = Duration::from_secs(2);

/// What of the clusters is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing is explained.
    Nothing,
    /// Policies come from elsewhere, and stand in place of the clusters' own.
    World,
    Policies,
}

/// Whether flows wait for the first lists of the clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    No,
    /// Until there is nothing to be said of any list any more, and a person is told so if it takes long.
    Lists {
        quiet: bool,
    },
}

/// Who is asked, and where.
#[derive(Debug)]
pub struct Reach {
    /// Never empty.
    pub servers: Vec<Server>,
    /// The clusters that are looked at; of each a server where flows come through a port-forward.
    pub clusters: Vec<Cluster>,
    forwarded: bool,
}

impl Reach {
    /// What the clusters are called, where their names are those of the servers.
    pub fn title(&self) -> Option<String> {
        match &self.clusters[..] {
            _ if !self.forwarded => None,
            [] => None,
            [one] => Some(one.name.to_string()),
            [first, rest @ ..] => Some(format!("{} +{}", first.name, rest.len())),
        }
    }
}

/// Finds the way. Nobody is asked for flows yet; who has to log in does it here.
pub async fn reach(servers: &Servers) -> Result<Reach, Error> {
    let direct = |clusters, instead: Option<String>| -> Result<Reach, Error> {
        let mut all = connections(servers)?;
        if let Some(instead) = instead {
            all.iter_mut()
                .for_each(|s| s.instead = Some(s.instead.as_ref().map_or_else(|| instead.clone(), |i| format!("{i}; {instead}"))));
        }
        Ok(Reach { servers: all, clusters, forwarded: false })
    };
    let Some(kube) = &servers.kube else { return direct(Vec::new(), None) };
    match kube.way {
        Way::World => direct(config::clusters(&kube.wish).await?, None),
        Way::Forward => forward(servers, kube, config::clusters(&kube.wish).await?),
        Way::IfNobody if dial::listens(&Target::default(), LOOK).await => direct(Vec::new(), None),
        Way::IfNobody => match config::clusters(&kube.wish).await {
            Ok(clusters) => forward(servers, kube, clusters),
            Err(e) => direct(Vec::new(), Some(format!("flowhy forwards a port itself where it knows a cluster ({})", e.line()))),
        },
    }
}

/// Watches the clusters until `stop`. With [`Wait::Lists`] the flows that follow are explained once and for all, so this returns when every
/// kind of every cluster has been read, or cannot be.
pub async fn look(clusters: &[Cluster], look: Look, namespace: &str, wait: Wait, feed: &Feed, stop: &Stop) {
    let policies = |look| match look {
        Look::Nothing | Look::World => Vec::new(),
        Look::Policies => policy::kind::KINDS
            .iter()
            .map(|k| PolicyKind { group: k.group.to_owned(), kind: k.kind.to_owned(), understood: k.understood() })
            .collect(),
    };
    if look == Look::Nothing {
        return;
    }
    let begin = |cluster: &Cluster| {
        let (watch, settled) = Watch::new(cluster.clone(), policies(look), namespace.to_owned());
        tokio::spawn(Box::new(watch).run(feed.clone(), stop.clone()));
        settled
    };
    let settled: Vec<_> = clusters.iter().map(begin).collect();
    let Wait::Lists { quiet } = wait else { return };
    let all = stop.run_until_cancelled(futures::future::join_all(settled.into_iter().map(Settled::wait)));
    tokio::pin!(all);
    let soon = tokio::time::timeout(PATIENCE, &mut all).await.is_ok();
    let tell = |sort, text: &str| {
        if !quiet {
            say::say(sort, text);
        }
    };
    clusters.iter().filter_map(|c| c.clock.trouble(&c.name)).for_each(|trouble| tell("warning", &trouble));
    if soon {
        return;
    }
    let names: Vec<_> = clusters.iter().map(|c| &*c.name).collect();
    let (names, most) = (names.join(", "), LISTS.as_secs());
    tell("note", &format!("reading what is in {names}; it is waited for {most} s at most"));
    // Whatever has not come by then is explained as not known.
    if tokio::time::timeout(LISTS - PATIENCE, all).await.is_err() {
        tell(
            "warning",
            &format!("not everything in {names} has been read in {most} s: what depends on the rest is undecidable until it has"),
        );
    }
}

/// The clusters alone, without their flows: everything in them that somebody reads, and then the end. What nobody has asked for is not
/// read where no cluster is named.
pub async fn read(servers: &Servers, asked: bool, look: Look, quiet: bool, mut feed: Feed, stop: &Stop) -> Result<(), Error> {
    let result = all(servers, asked, look, quiet, &mut feed, stop).await;
    if let Err(e) = &result {
        // Who reads is to know that what has come is no answer.
        let _ = feed.send(Input::End(Arc::from("the cluster"), Err(e.line()))).await;
        let _ = feed.flush().await;
    }
    result
}

async fn all(servers: &Servers, asked: bool, look: Look, quiet: bool, feed: &mut Feed, stop: &Stop) -> Result<(), Error> {
    let Some(kube) = &servers.kube else { return Ok(()) };
    if !asked && !config::any(&kube.wish)? {
        return Ok(());
    }
    let clusters = config::clusters(&kube.wish).await?;
    let watching = stop.child_token();
    let (own, inbox) = feed::channel(feed::SLOTS);
    let read = async {
        self::look(&clusters, look, &kube.namespace, Wait::Lists { quiet }, &own, &watching).await;
        watching.cancel();
        drop(own);
    };
    let ((), heard) = tokio::join!(read, pass(inbox, feed));
    let (Some(first), Err(cause)) = (clusters.first(), heard) else { return Ok(()) };
    if stop.is_cancelled() || look == Look::Nothing {
        return Ok(());
    }
    let names: Vec<_> = clusters.iter().map(|c| &*c.name).collect();
    Err(Error::new(Kind::Connect, format!("cannot read anything of {}", names.join(", ")))
        .cause(cause.unwrap_or_else(|| format!("there was no answer in {} s", LISTS.as_secs())))
        .hint(format!("is the cluster up, and the right one? `{} cluster-info`", first.kubectl)))
}

/// Hands everything on. An error where no cluster has answered for any kind, with the first reason that was given.
async fn pass(mut inbox: Inbox, feed: &mut Feed) -> Result<(), Option<String>> {
    let (mut answered, mut cause) = (false, None);
    while let Some(batch) = inbox.recv().await {
        for input in batch {
            if let Input::World(At { change: Change::Kind(kind), .. }) = &input {
                match &kind.state {
                    KindState::Loading => {}
                    KindState::Stale(why) => {
                        cause.get_or_insert_with(|| why.clone());
                    }
                    KindState::Synced | KindState::Absent | KindState::Forbidden(_) => answered = true,
                }
            }
            if feed.send(input).await.is_err() {
                return Ok(());
            }
        }
        if feed.flush().await.is_err() {
            return Ok(());
        }
    }
    if answered { Ok(()) } else { Err(cause) }
}

/// The one server that is meant.
pub async fn one(servers: &Servers) -> Result<Server, Error> {
    reach(servers).await?.servers.into_iter().next().ok_or_else(|| Error::usage("no server is given"))
}

fn forward(servers: &Servers, kube: &Kube, clusters: Vec<Cluster>) -> Result<Reach, Error> {
    // A wrong file is told before the first connection.
    let secure = Arc::new(servers.tls.load()?);
    let server = |cluster: &Cluster| {
        let door = Door::new(cluster.clone(), kube.namespace.clone(), kube.wanted, servers.tls.clone());
        Server {
            target: Target::Relay(Arc::new(door)),
            label: Some(cluster.name.to_string()),
            tls: (kube.wanted == Wanted::Tls).then(|| secure.clone()),
            auth: servers.auth.clone(),
            timing: servers.timing,
            instead: None,
        }
    };
    Ok(Reach { servers: clusters.iter().map(server).collect(), clusters, forwarded: true })
}

/// The servers with an address, in the order of the flags. Certificates are read here, before the first connection: a wrong name is
/// told at once.
fn connections(servers: &Servers) -> Result<Vec<Server>, Error> {
    let tls = (servers.agents || servers.addresses.iter().any(|a| a.tls)).then(|| servers.tls.load()).transpose()?.map(Arc::new);
    let server = |a: &Address| Server {
        target: a.target.clone(),
        label: None,
        tls: tls.clone().filter(|_| a.tls),
        auth: servers.auth.clone(),
        timing: servers.timing,
        instead: servers.instead.clone(),
    };
    Ok(servers.addresses.iter().map(server).collect())
}
