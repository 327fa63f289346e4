//! TLS towards a server: which authorities are believed, who we are, and what a failed handshake means in words.
//!
//! Owns the reading of PEM files and the check of the server's certificate. Must not open a connection.
use super::status::{Trouble, clean};
use crate::error::Error;
use crate::wire::pem;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as Tls, InconsistentKeys, RootCertStore,
    SignatureScheme,
};

/// What the flags say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Encrypted, but the server's identity is not checked.
    pub insecure: bool,
    /// Files of authorities; they replace those of the system.
    pub ca: Vec<PathBuf>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate, if it is not the one that is dialled.
    pub server_name: Option<String>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// What is believed and shown where no file is named: found in a cluster's secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Authorities, in PEM.
    pub ca: Option<Vec<u8>>,
    pub client: Option<Pair>,
}

/// Options whose files have been read.
#[derive(Debug, Clone)]
pub struct Secure {
    config: Arc<ClientConfig>,
    key: Option<Arc<CertifiedKey>>,
    pub server_name: Option<String>,
}

impl Options {
    /// Reads the files. Errors are of kind usage, in Hubble's words.
    pub fn load(&self) -> Result<Secure, Error> {
        self.load_with(&Found::default())
    }

    /// The same, with what was found elsewhere in place of files that are not named.
    pub fn load_with(&self, found: &Found) -> Result<Secure, Error> {
        let provider = Arc::new(ring::default_provider());
        let key = match (&self.client, &found.client) {
            (Some((cert, key)), _) => Some(pair(cert, key, &provider)?),
            (None, Some(p)) => Some(certified(&p.certificate, &p.key, "the client certificate of the secret", &provider)?),
            (None, None) => None,
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::usage("TLS cannot be used").cause(e.to_string()))?;
        let builder = if self.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(self.roots(found.ca.as_deref())?)
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Secure { config: Arc::new(config), key, server_name: self.server_name.clone() })
    }

    fn roots(&self, found: Option<&[u8]>) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        if self.ca.is_empty()
            && let Some(text) = found
        {
            let unusable = || Error::usage("the authority in the secret is no certificate");
            for cert in pem::certificates(text).ok_or_else(unusable)? {
                roots.add(cert).map_err(|e| unusable().cause(e.to_string()))?;
            }
            return Ok(roots);
        }
        if self.ca.is_empty() {
            // One that cannot be read is as good as one that is not there; a server it has signed is then refused in words.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        }
        for path in &self.ca {
            let unusable = || Error::usage(format!("cannot process cert '{}': must be a PEM encoded certificate", path.display()));
            let found = pem::certificates(&load(path)?)
                .ok_or_else(|| unusable().hint("the file of the authority: -----BEGIN CERTIFICATE-----, not its key, and not DER"))?;
            for cert in found {
                roots.add(cert).map_err(|e| unusable().cause(e.to_string()))?;
            }
        }
        Ok(roots)
    }
}

fn open(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| {
        let why = match e.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => super::file::words(&e),
        };
        format!("open {}: {why}", path.display())
    })
}

fn load(path: &Path) -> Result<Vec<u8>, Error> {
    open(path).map_err(|e| Error::usage(format!("cannot load cert '{}': {e}", path.display())))
}

fn pair(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let (chain, secret) = (open(cert).map_err(Error::usage)?, open(key).map_err(Error::usage)?);
    certified(&chain, &secret, &format!("{} (key: {})", cert.display(), key.display()), provider)
}

fn certified(chain: &[u8], secret: &[u8], place: &str, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let none = |of: &str, what: &str| {
        Error::usage(format!("tls: failed to find any PEM data in {of} input")).cause(format!("no {what} stands in {place}"))
    };
    let chain = pem::certificates(chain).ok_or_else(|| none("certificate", "certificate"))?;
    let secret = pem::key(secret).ok_or_else(|| none("key", "private key"))?;
    CertifiedKey::from_der(chain, secret, provider).map(Arc::new).map_err(|e| match e {
        Tls::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Error::usage("tls: private key does not match public key").cause(format!("the key does not belong to {place}"))
        }
        e => Error::usage("tls: the client certificate cannot be used").cause(clean(&e.to_string())),
    })
}

/// A handshake's end.
pub struct Shaken<IO> {
    pub stream: TlsStream<IO>,
    pub asked: Asked,
}

/// What the server wanted to know of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    #[default]
    Nothing,
    /// Our certificate, and we have shown one.
    Shown,
    /// Our certificate, and we have none.
    Unknown,
}

impl Secure {
    /// The same for a server whose certificate has this name; without one it is the name that is dialled.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self { server_name: (!name.is_empty()).then(|| name.to_owned()), ..self.clone() }
    }

    /// Agrees on a key with the server called `host`. An error comes with the stream, of which the handshake has read.
    pub async fn handshake<IO>(&self, host: &str, io: IO) -> Result<Shaken<IO>, (Trouble, Option<IO>)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let host = self.server_name.as_deref().unwrap_or(host);
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            let hint = "--tls-server-name says which name the certificate has";
            return Err((Trouble::new(format!("{} is no name that a certificate can have", clean(host))).hint(hint), None));
        };
        let asked = Arc::new(AtomicBool::new(false));
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(Ourselves { key: self.key.clone(), asked: asked.clone() });
        match TlsConnector::from(Arc::new(config)).connect(name, io).into_fallible().await {
            Ok(stream) => {
                let asked = match (asked.load(Ordering::Relaxed), &self.key) {
                    (false, _) => Asked::Nothing,
                    (true, Some(_)) => Asked::Shown,
                    (true, None) => Asked::Unknown,
                };
                Ok(Shaken { stream, asked })
            }
            Err((e, io)) => Err((failed(&e).unwrap_or_else(|| Trouble::new(super::file::words(&e))), Some(io))),
        }
    }
}

/// What an error of a TLS stream means, if it is one of TLS.
pub fn failed(e: &io::Error) -> Option<Trouble> {
    Some(words(e.get_ref()?.downcast_ref::<Tls>()?))
}

/// For a server that wanted to know who we are, and hung up when the handshake was over.
pub fn unwelcome(asked: Asked) -> Option<Trouble> {
    match asked {
        Asked::Nothing => None,
        Asked::Shown => Some(refused("it closed the connection")),
        Asked::Unknown => Some(wants_certificate()),
    }
}

fn refused(how: &str) -> Trouble {
    Trouble::new(format!("the server refuses our certificate, or misses one ({how})"))
        .hint("--tls-client-cert-file must be signed by the authority that the server believes, and be valid today")
}

fn wants_certificate() -> Trouble {
    Trouble::new("the server wants a client certificate").hint(
        "--tls-client-cert-file and --tls-client-key-file; relay's own authority has signed it, see: kubectl -n kube-system get secrets",
    )
}

fn words(e: &Tls) -> Trouble {
    use AlertDescription as A;
    match e {
        Tls::InvalidCertificate(c) => certificate(c),
        Tls::AlertReceived(A::CertificateRequired) => wants_certificate(),
        Tls::AlertReceived(
            a @ (A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::AccessDenied | A::UnsupportedCertificate | A::DecryptError),
        ) => refused(&alert(*a)),
        Tls::AlertReceived(A::CertificateExpired) => Trouble::new("the server finds that our certificate has expired")
            .hint("a new one is needed, or the clock of one of the two is wrong"),
        Tls::AlertReceived(A::UnrecognisedName) => {
            Trouble::new("the server has no certificate for this name").hint("--tls-server-name says another one")
        }
        Tls::AlertReceived(A::NoApplicationProtocol) => {
            Trouble::new("the server speaks TLS, but not HTTP/2").hint("is this the port of relay (443 or 4245)?")
        }
        Tls::AlertReceived(a) => Trouble::new(format!("the server refuses the TLS handshake ({})", alert(*a))),
        Tls::PeerIncompatible(_) => Trouble::new("the server speaks no TLS version or cipher that we speak (1.2 and 1.3)"),
        e => Trouble::new(format!("the TLS handshake failed: {}", clean(&e.to_string()))),
    }
}

/// `UnknownCA` → `unknown ca`.
fn alert(a: AlertDescription) -> String {
    let mut out = String::new();
    let mut before = 'A';
    for c in format!("{a:?}").chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push(' ');
        }
        before = c;
        out.extend(c.to_lowercase());
    }
    out
}

fn certificate(c: &CertificateError) -> Trouble {
    const CA: &str = "--tls-ca-cert-files FILE names its authority; Cilium's: kubectl -n kube-system get secret cilium-ca -o jsonpath='{.data.ca\\.crt}' | base64 -d";
    const NAME: &str = "--tls-server-name says which name to expect; relay's: instance.hubble-relay.cilium.io";
    const CLOCK: &str = "is this machine's clock right? Otherwise the server needs a new certificate";
    let day = |t: &UnixTime| crate::model::time::Nanos::from_parts(t.as_secs().cast_signed(), 0).to_string();
    match c {
        CertificateError::UnknownIssuer => Trouble::new("the server's certificate is signed by an unknown authority").hint(CA),
        CertificateError::BadSignature => {
            Trouble::new("the server's certificate is signed by another authority, one with the name of that which was given").hint(CA)
        }
        CertificateError::NotValidForName => Trouble::new("the server's certificate is for another name").hint(NAME),
        CertificateError::NotValidForNameContext { expected, presented } => {
            // The library writes `DnsName("x")` and `IpAddress(x)`.
            let bare = |p: &str| clean(p.split_once('(').map_or(p, |(_, n)| n).trim_matches(['"', ')']));
            let names: Vec<_> = presented.iter().map(|p| bare(p)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            Trouble::new(format!("the server's certificate is valid for {names}, not {}", expected.to_str())).hint(NAME)
        }
        CertificateError::Expired => Trouble::new("the server's certificate has expired").hint(CLOCK),
        CertificateError::ExpiredContext { not_after, .. } => {
            Trouble::new(format!("the server's certificate has expired: it was valid until {}", day(not_after))).hint(CLOCK)
        }
        CertificateError::NotValidYet => Trouble::new("the server's certificate is not valid yet").hint(CLOCK),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Trouble::new(format!("the server's certificate is not valid before {}", day(not_before))).hint(CLOCK)
        }
        // The library says so in the name of an error of its own only.
        CertificateError::Other(e) if e.to_string().contains("CaUsedAsEndEntity") => {
            Trouble::new("the server's certificate is self-signed: an authority's, not one that an authority has signed")
                .hint("it needs one that is signed (CA:FALSE); until then --tls-allow-insecure encrypts without checking who answers")
        }
        CertificateError::Revoked => Trouble::new("the server's certificate has been revoked"),
        other => Trouble::new(format!("the server's certificate is not accepted: {}", clean(&other.to_string()))).hint(CA),
    }
}

/// Our certificate, and whether the server has asked for one.
#[derive(Debug)]
struct Ourselves {
    key: Option<Arc<CertifiedKey>>,
    asked: Arc<AtomicBool>,
}

impl ResolvesClientCert for Ourselves {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    /// Always, so that we are asked.
    fn has_certs(&self) -> bool {
        true
    }
}

/// Believes that a server is who it says, whoever it is. Its key must still be the one of its certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Tls> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_words_with_a_hint_where_one_helps() {
        let said = |e: Tls| words(&e);
        let issuer = said(Tls::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(issuer.cause.contains("unknown authority") && issuer.hint.is_some_and(|h| h.contains("--tls-ca-cert-files")));
        assert!(said(Tls::AlertReceived(AlertDescription::CertificateRequired)).cause.contains("wants a client certificate"));
        assert!(said(Tls::AlertReceived(AlertDescription::UnknownCA)).cause.ends_with("(unknown ca)"));
        let until = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_700_000_000));
        let expired = said(Tls::InvalidCertificate(CertificateError::ExpiredContext { time: until, not_after: until }));
        assert!(expired.cause.contains("valid until 2023-11-14T22:13:20Z"), "{}", expired.cause);
    }

    #[test]
    fn missing_and_wrong_files_in_hubbles_words() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("key"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let what = |o: Options| o.load().unwrap_err().what;
        let gone = what(Options { ca: vec![file("none")], ..Options::default() });
        let path = file("none").display().to_string();
        assert_eq!(gone, format!("cannot load cert '{path}': open {path}: no such file or directory"));
        let wrong = what(Options { ca: vec![file("key")], ..Options::default() });
        assert_eq!(wrong, format!("cannot process cert '{}': must be a PEM encoded certificate", file("key").display()));
        let pair = what(Options { client: Some((file("key"), file("key"))), ..Options::default() });
        assert_eq!(pair, "tls: failed to find any PEM data in certificate input");
    }
}
