//! Whom a client believes and what it shows of itself: root certificates and client certificate.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::verifier::Verifier;
use crate::environment::Environment;

/// Where distributions keep all roots in one file: Debian, Fedora, SUSE, Alpine.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where they keep one file each.
const DIRECTORIES: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// Certificates to trust beside the machine's.
#[derive(Clone, Debug, Default)]
pub struct RootCertificates(Vec<CertificateDer<'static>>);

/// A PEM file without any certificate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("provided ca certs are invalid")]
pub struct RootError;

impl RootCertificates {
    /// Adds the certificates of a PEM text.
    pub fn add(&mut self, pem: &[u8]) -> Result<(), RootError> {
        let found = CertificateDer::pem_slice_iter(pem).flatten();
        let usable = found.filter(|der| rustls::RootCertStore::empty().add(der.clone()).is_ok());
        let before = self.0.len();
        self.0.extend(usable);
        if self.0.len() == before { Err(RootError) } else { Ok(()) }
    }
}

/// A client's certificate chain and key.
#[derive(Clone, Debug)]
pub struct Identity(Arc<SingleCertAndKey>);

/// Why a certificate and key cannot be used, in the words of Go's `crypto/tls`.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No PEM block of the wanted kind.
    #[error("tls: failed to find any PEM data in {0} input")]
    NoPem(&'static str),
    /// They do not belong together.
    #[error("tls: private key does not match public key")]
    Mismatch,
    /// Not readable as certificate and key.
    #[error("tls: failed to parse certificate or private key")]
    Unreadable(#[source] rustls::Error),
}

impl Identity {
    /// From PEM texts: a chain, leaf first, and a PKCS#1, PKCS#8 or SEC1 key.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates).flatten().collect();
        if chain.is_empty() {
            return Err(IdentityError::NoPem("certificate"));
        }
        let der = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::NoPem("key"))?;
        match CertifiedKey::from_der(chain, der, &default_provider()) {
            Ok(pair) => Ok(Self(Arc::new(pair.into()))),
            Err(rustls::Error::InconsistentKeys(_)) => Err(IdentityError::Mismatch),
            Err(error) => Err(IdentityError::Unreadable(error)),
        }
    }
}

/// What server certificates are checked against.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) verifies: bool,
    pub(super) extra: RootCertificates,
    pub(super) identity: Option<Identity>,
    file: Option<OsString>,
    directories: Option<OsString>,
    config: OnceLock<Option<Arc<ClientConfig>>>,
}

impl Trust {
    /// The machine's roots, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(super) fn of(environment: &Environment) -> Self {
        let set = |name| environment.get(name).filter(|value| !value.is_empty()).map(Into::into);
        Self {
            verifies: true,
            extra: RootCertificates::default(),
            identity: None,
            file: set("SSL_CERT_FILE"),
            directories: set("SSL_CERT_DIR"),
            config: OnceLock::new(),
        }
    }

    /// How to speak TLS; the roots are read at the first call. `None` if ring cannot do it at all.
    pub(super) fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.config.get_or_init(|| self.make_config().ok().map(Arc::new)).clone()
    }

    fn make_config(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(default_provider());
        let verifier = if self.verifies {
            Verifier::new(self.roots(), &provider)
        } else {
            Verifier::careless(&provider)
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        Ok(match &self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::clone(&identity.0) as _),
            None => builder.with_no_client_auth(),
        })
    }

    /// Reads the roots. As with Go, each of the two variables replaces only its own half of the
    /// machine's places, and what cannot be read is passed over.
    fn roots(&self) -> Vec<CertificateDer<'static>> {
        let file = match &self.file {
            Some(file) => Some(PathBuf::from(file)),
            None => BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()),
        };
        let directories: Vec<PathBuf> = match &self.directories {
            Some(list) => std::env::split_paths(list).collect(),
            None => DIRECTORIES.iter().map(PathBuf::from).collect(),
        };
        let mut certificates = read(file.as_deref(), None);
        for directory in &directories {
            certificates.extend(read(None, Some(directory)));
        }
        certificates.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        certificates.dedup();
        certificates.extend(self.extra.0.iter().cloned());
        certificates
    }
}

fn read(file: Option<&Path>, directory: Option<&Path>) -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_certs_from_paths(file, directory).certs
}
