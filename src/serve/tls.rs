//! The certificate a server shows, and whose clients it lets in.
//!
//! Owns the reading of the server's PEM files. Must not listen.
use crate::error::Error;
use crate::wire::pem;
use rustls_pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// PEM files of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, then those between it and its authority.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// If given, only clients with a certificate that one of these has signed are let in.
    pub client_ca: Option<PathBuf>,
}

impl Tls {
    /// Reads the files. All errors are of kind usage.
    pub fn config(&self) -> Result<Arc<ServerConfig>, Error> {
        let unusable = |path: &Path, cause: String| Error::usage(format!("cannot serve with {}", path.display())).cause(cause);
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable(&self.cert, e.to_string()))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(path)? {
                    roots.add(cert).map_err(|e| unusable(path, e.to_string()))?;
                }
                let provider = Arc::new(ring::default_provider());
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|e| unusable(path, e.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = pem::key(&read(&self.key)?).ok_or_else(|| unusable(&self.key, "no PEM private key in it".to_owned()))?;
        let mut config = builder.with_single_cert(certificates(&self.cert)?, key).map_err(|e| unusable(&self.cert, e.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|e| Error::usage(format!("cannot read {}", path.display())).cause(e.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    pem::certificates(&read(path)?)
        .ok_or_else(|| Error::usage(format!("cannot serve with {}", path.display())).cause("no PEM certificate in it"))
}
