//! Certificates and keys in PEM, as files on disk hold them. Owns which of a file's sections count; reads no file.
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// All certificates of a text, in its order. `None` if there is none, or if one of them is broken.
pub fn certificates(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

/// The first private key of a text (PKCS#8, PKCS#1 or SEC1).
pub fn key(text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERT: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_file_may_hold_both_and_each_is_found() {
        let both = format!("a comment\n{KEY}{CERT}{CERT}");
        assert_eq!(certificates(both.as_bytes()).map(|c| c.len()), Some(2));
        assert!(key(both.as_bytes()).is_some());
        assert!(certificates(KEY.as_bytes()).is_none() && key(CERT.as_bytes()).is_none());
        assert!(certificates(b"").is_none() && certificates(b"-----BEGIN CERTIFICATE-----\n!\n").is_none());
    }
}
