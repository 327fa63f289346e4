//! Encrypted connections: what is believed, what is refused, and in which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what broke by panicking")]
use flowhy::error::{Error, Kind};
use flowhy::model::time::Nanos;
use flowhy::serve::{self, About, ByQuery, Listen, Ring, Running, Tls};
use flowhy::source::Stop;
use flowhy::source::server::{Server, Timing};
use flowhy::source::target::Address;
use flowhy::source::tls::Options;
use flowhy::wire::pb::flow::Flow;
use flowhy::wire::pb::observer::get_flows_response::ResponseTypes;
use flowhy::wire::pb::observer::observer_server::ObserverServer;
use flowhy::wire::pb::observer::{GetFlowsResponse, ServerStatusResponse};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{Service, http};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An authority and what it signs, in a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Signs a certificate for these names, valid for these years.
    fn sign(&self, file: &str, names: &[&str], years: (i32, i32)) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.dir.path().join(format!("{file}.{end}"));
        std::fs::write(path("crt"), cert.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("crt"), path("key"))
    }

    fn server(&self, names: &[&str], years: (i32, i32), client_ca: Option<PathBuf>) -> Listen {
        let (cert, key) = self.sign("server", names, years);
        Listen::Tls(([127, 0, 0, 1], 0).into(), Tls { cert, key, client_ca })
    }
}

fn observer() -> serve::Service {
    let ring = Ring::new(64);
    let flow = || Some(ResponseTypes::Flow(Flow { node_name: "x".repeat(200), ..Flow::default() }));
    for n in 0..40 {
        ring.push(Nanos(n), &GetFlowsResponse { response_types: flow(), ..GetFlowsResponse::default() });
    }
    serve::observer(ring, Arc::new(ByQuery), About { version: "tested".to_owned(), ..About::default() })
}

async fn serve_at(at: Listen) -> Running {
    serve::listen(observer(), at, Stop::new()).await.unwrap()
}

async fn ask(address: &str, options: Options) -> Result<ServerStatusResponse, Error> {
    let a: Address = address.parse().unwrap();
    let tls = a.tls.then(|| Arc::new(options.load().unwrap()));
    let timing = Timing { connect: Duration::from_secs(3), ..Timing::default() };
    Server { tls, timing, ..Server::plain(a.target) }.status().await
}

fn believing(ca: &Path) -> Options {
    Options { ca: vec![ca.to_owned()], ..Options::default() }
}

/// The cause, which must be a failure to connect, with a hint.
fn cause(answer: Result<ServerStatusResponse, Error>) -> String {
    let e = answer.expect_err("it must not work");
    assert_eq!(e.kind, Kind::Connect, "{e}");
    assert!(e.hint.is_some(), "{e}");
    e.cause.unwrap()
}

#[test]
fn a_certificate_is_believed_for_its_name_its_time_and_its_authority_alone() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    runtime().block_on(async {
        let good = serve_at(ours.server(&["localhost", "*.hubble-relay.cilium.io", "127.0.0.1"], (2020, 2090), None)).await;
        assert!(good.address.starts_with("tls://127.0.0.1:"));
        assert_eq!(ask(&good.address, believing(&ours.ca())).await.unwrap().version, "tested");
        let named = |n: &str| Options { server_name: Some(n.to_owned()), ..believing(&ours.ca()) };
        assert!(ask(&good.address, named("instance.hubble-relay.cilium.io")).await.is_ok());
        // Any of several authorities will do.
        assert!(ask(&good.address, Options { ca: vec![other.ca(), ours.ca()], ..Options::default() }).await.is_ok());

        let said = cause(ask(&good.address, named("wrong.example")).await);
        assert_eq!(said, "the server's certificate is valid for localhost, *.hubble-relay.cilium.io, 127.0.0.1, not wrong.example");
        // A wildcard stands for one label.
        assert!(cause(ask(&good.address, named("a.b.hubble-relay.cilium.io")).await).contains("not a.b.hubble"));
        assert_eq!(cause(ask(&good.address, believing(&other.ca())).await), "the server's certificate is signed by an unknown authority");
        // A cluster that was made anew has an authority of the same name.
        let said = cause(ask(&good.address, believing(&Authority::new("ours").ca())).await);
        assert_eq!(said, "the server's certificate is signed by another authority, one with the name of that which was given");
        // The system's authorities have not signed it either.
        assert_eq!(cause(ask(&good.address, Options::default()).await), "the server's certificate is signed by an unknown authority");
        // Not checked means not checked, whatever the name.
        let insecure = Options { insecure: true, server_name: Some("wrong.example".to_owned()), ..Options::default() };
        assert!(ask(&good.address, insecure.clone()).await.is_ok());

        let expired = serve_at(ours.server(&["127.0.0.1"], (2019, 2020), None)).await;
        let said = cause(ask(&expired.address, believing(&ours.ca())).await);
        assert_eq!(said, "the server's certificate has expired: it was valid until 2020-01-01T00:00:00Z");
        assert!(ask(&expired.address, insecure).await.is_ok());
        let early = serve_at(ours.server(&["127.0.0.1"], (2080, 2090), None)).await;
        let said = cause(ask(&early.address, believing(&ours.ca())).await);
        assert_eq!(said, "the server's certificate is not valid before 2080-01-01T00:00:00Z");
    });
}

#[test]
fn a_client_certificate_is_shown_where_it_is_asked_for_and_the_right_one_is_needed() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let (mine, stranger) = (ours.sign("client", &["me"], (2020, 2090)), other.sign("client", &["me"], (2020, 2090)));
    let expired = ours.sign("old", &["me"], (2019, 2020));
    runtime().block_on(async {
        let server = serve_at(ours.server(&["127.0.0.1"], (2020, 2090), Some(ours.ca()))).await;
        let with = |pair: Option<&(PathBuf, PathBuf)>| Options { client: pair.cloned(), ..believing(&ours.ca()) };
        assert!(ask(&server.address, with(Some(&mine))).await.is_ok());
        // Whether the refusal or the closing of the connection arrives first is chance; what is said is not.
        for _ in 0..10 {
            assert_eq!(cause(ask(&server.address, with(None)).await), "the server wants a client certificate");
        }
        for refused in [&stranger, &expired].repeat(5) {
            let said = cause(ask(&server.address, with(Some(refused))).await);
            assert!(said.contains("our certificate"), "{said}");
        }
        // Who does not ask does not mind.
        let open = serve_at(ours.server(&["127.0.0.1"], (2020, 2090), None)).await;
        assert!(ask(&open.address, with(Some(&mine))).await.is_ok());
    });
    let mixed = Options { client: Some((mine.0, stranger.1)), ..Options::default() };
    assert_eq!(mixed.load().unwrap_err().what, "tls: private key does not match public key");
}

/// Accepts, and never says a word.
fn silent() -> (TcpListener, String) {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = l.local_addr().unwrap().to_string();
    (l, address)
}

/// Says these bytes to whoever comes, and hangs up.
fn says(words: &'static [u8]) -> String {
    use std::io::{Read, Write};
    let (listener, address) = silent();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 24]);
            let _ = stream.write_all(words);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn tls_and_plain_text_that_meet_are_told_apart() {
    let ours = Authority::new("ours");
    runtime().block_on(async {
        let tls = serve_at(ours.server(&["127.0.0.1"], (2020, 2090), None)).await;
        let plain = serve_at(Listen::loopback()).await;
        let bare = tls.address.trim_start_matches("tls://");
        // A server that hangs up with our words unread may take its own last word with it; then the hint says what it may be.
        let said = cause(ask(bare, Options::default()).await);
        assert!(["the server speaks TLS", "it closes the connection at once"].contains(&&*said), "{said}");
        let said = cause(ask(&format!("tls://{}", plain.address), Options::default()).await);
        assert!(["the server speaks plain text, not TLS", "it closes the connection when asked for TLS"].contains(&&*said), "{said}");
        // Servers in Go begin with their settings.
        let go = says(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 64, 0]);
        assert_eq!(cause(ask(&format!("tls://{go}"), Options::default()).await), "the server speaks plain text, not TLS");
        let http = says(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let said = cause(ask(&format!("tls://{http}"), Options::default()).await);
        assert_eq!(said, "an HTTP/1 server answers there in plain text, not gRPC with TLS");
        let ssh = says(b"SSH-2.0-OpenSSH_9.2\r\n");
        assert_eq!(cause(ask(&format!("tls://{ssh}"), Options::default()).await), "what answers there does not speak TLS");
        let (_held, mute) = silent();
        let said = cause(ask(&format!("tls://{mute}"), Options::default()).await);
        assert_eq!(said, "no answer within 3 s");
    });
}

/// A service that notes the headers of each request.
#[derive(Clone)]
struct Noted<S>(S, Arc<Mutex<Vec<http::HeaderMap>>>);

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Noted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }
    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let mut headers = request.headers().clone();
        headers.insert("x-scheme", request.uri().scheme_str().unwrap_or("").parse().unwrap());
        headers.insert("x-authority", request.uri().authority().map_or("", |a| a.as_str()).parse().unwrap());
        self.1.lock().unwrap().push(headers);
        self.0.call(request)
    }
}

fn flowhy(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowhy")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn name_and_password_arrive_and_answers_may_be_compressed() {
    let ours = Authority::new("ours");
    let noted = Arc::<Mutex<Vec<http::HeaderMap>>>::default();
    let runtime = runtime();
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        noted.lock().unwrap().clear();
        let service = Noted(ObserverServer::new(observer()).send_compressed(encoding), noted.clone());
        let listen = ours.server(&["relay.example", "127.0.0.1"], (2020, 2090), None);
        let server = runtime.block_on(serve::on(service, listen, Stop::new())).unwrap();
        let ca = ours.ca().display().to_string();
        let auth = ["--basic-auth-username", "u", "--basic-auth-password", "p"];
        let base = [
            "observe",
            "-o",
            "jsonpb",
            "--all",
            "--server",
            &server.address,
            "--tls-ca-cert-files",
            &ca,
            "--tls-server-name",
            "relay.example",
        ];
        let o = flowhy(&[&base[..], &auth].concat());
        assert_eq!((o.status.code(), text(&o.stderr)), (Some(0), String::new()));
        assert_eq!(text(&o.stdout).lines().count(), 40);
        let seen = noted.lock().unwrap();
        let header = |name: &str| seen[0].get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!((seen.len(), header("authorization")), (1, "Basic dTpw".to_owned()));
        assert_eq!((header("x-scheme"), header("x-authority")), ("https".to_owned(), "relay.example".to_owned()));
        assert!(header("grpc-accept-encoding").contains("gzip") && header("grpc-accept-encoding").contains("zstd"));
    }
}

#[test]
fn what_is_not_checked_is_said_and_what_is_refused_exits_3() {
    let ours = Authority::new("ours");
    let runtime = runtime();
    let server = runtime.block_on(serve_at(ours.server(&["127.0.0.1"], (2020, 2090), None)));
    let o = flowhy(&["observe", "--server", &server.address, "--tls-allow-insecure", "--all", "-o", "jsonpb"]);
    assert_eq!((o.status.code(), text(&o.stdout).lines().count()), (Some(0), 40));
    assert_eq!(text(&o.stderr), "warning: --tls-allow-insecure: the connection is encrypted, but who answers is not checked\n");
    let o = flowhy(&["observe", "--server", &server.address]);
    assert_eq!((o.status.code(), text(&o.stdout)), (Some(3), String::new()));
    let err = text(&o.stderr);
    assert!(err.starts_with("error: cannot reach 127.0.0.1:") && err.contains("\n  cause: the server's certificate is signed by"), "{err}");
    assert_eq!(err.lines().count(), 3, "{err}");
    // `--tls` and `tls://` say the same.
    let bare = server.address.trim_start_matches("tls://");
    let ca = ours.ca().display().to_string();
    let o = flowhy(&["observe", "--server", bare, "--tls", "--tls-ca-cert-files", &ca, "--all"]);
    assert_eq!((o.status.code(), text(&o.stderr)), (Some(0), String::new()));
}

#[test]
fn a_certificate_that_signs_itself_is_called_so_whether_it_is_believed_or_not() {
    let ours = Authority::new("ours");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let path = |name: &str| ours.dir.path().join(name);
    std::fs::write(path("self.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(path("self.key"), key.serialize_pem()).unwrap();
    runtime().block_on(async {
        let tls = Tls { cert: path("self.crt"), key: path("self.key"), client_ca: None };
        let server = serve_at(Listen::Tls(([127, 0, 0, 1], 0).into(), tls)).await;
        for options in [Options::default(), believing(&path("self.crt"))] {
            let said = cause(ask(&server.address, options).await);
            assert!(said.starts_with("the server's certificate is self-signed"), "{said}");
        }
        assert!(ask(&server.address, Options { insecure: true, ..Options::default() }).await.is_ok());
    });
}
