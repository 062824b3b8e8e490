//! Which server certificates are believed: those that chain to a root, as `webpki` has it, and,
//! as Go has it, a certificate that is itself among the roots (self-signed ones, mostly).

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::certificate::{is_self_issued, validity};

/// Believes certificates by `roots`, or any.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Vec<CertificateDer<'static>>,
    /// None without any usable root.
    chains: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    verifies: bool,
}

impl Verifier {
    /// Roots that cannot be read as such are passed over.
    pub(super) fn new(roots: Vec<CertificateDer<'static>>, provider: &Arc<CryptoProvider>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let provider = Arc::clone(provider);
        let algorithms = provider.signature_verification_algorithms;
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider);
        Self { roots, chains: chains.build().ok(), algorithms, verifies: true }
    }

    /// Believes anything.
    pub(super) fn careless(provider: &Arc<CryptoProvider>) -> Self {
        Self { verifies: false, ..Self::new(Vec::new(), provider) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.verifies {
            return Ok(ServerCertVerified::assertion());
        }
        let by_chain = match &self.chains {
            Some(chains) => {
                chains.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        if by_chain.is_ok() {
            return by_chain;
        }
        if !self.roots.contains(certificate) {
            // `webpki` would first mind that a CA's certificate is used as a server's.
            let unknown = || CertificateError::UnknownIssuer.into();
            return by_chain.map_err(|e| if is_self_issued(certificate) { unknown() } else { e });
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        match validity(certificate) {
            Some(seconds) if seconds.contains(&now.as_secs()) => {
                Ok(ServerCertVerified::assertion())
            }
            Some(_) => Err(CertificateError::Expired.into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !self.verifies {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !self.verifies {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
