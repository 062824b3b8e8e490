//! Servers on the loopback for tests, and certificates for them made by `openssl`.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use crate::environment::Environment;

/// Answers one connection after the other with the next of `answers`, `PORT` replaced by its own
/// port; joining gives what was asked, or why the TLS handshake failed.
pub(crate) fn serve(answers: Vec<Vec<u8>>) -> (u16, JoinHandle<Vec<String>>) {
    answer_with(None, answers)
}

/// As [`serve`], over TLS.
pub(crate) fn serve_tls(
    config: ServerConfig,
    answers: Vec<Vec<u8>>,
) -> (u16, JoinHandle<Vec<String>>) {
    answer_with(Some(Arc::new(config)), answers)
}

fn answer_with(
    tls: Option<Arc<ServerConfig>>,
    answers: Vec<Vec<u8>>,
) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let asked = answers.into_iter().map(|answer| {
            let (stream, _) = listener.accept().unwrap();
            let answer = match String::from_utf8(answer) {
                Ok(text) => text.replace("PORT", &port.to_string()).into_bytes(),
                Err(bytes) => bytes.into_bytes(),
            };
            match &tls {
                None => converse(stream, &answer).unwrap(),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    let mut rest = stream.try_clone().unwrap();
                    let tls_stream = StreamOwned::new(connection, stream);
                    converse(tls_stream, &answer).unwrap_or_else(|error| {
                        // Closing before the client has sent all would take our alert from it.
                        let _closed = rest.shutdown(Shutdown::Write);
                        let _closed = io::copy(&mut rest, &mut io::sink());
                        error.to_string()
                    })
                }
            }
        });
        asked.collect()
    });
    (port, serving)
}

fn converse(stream: impl Read + Write, answer: &[u8]) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while stream.read_line(&mut request)? > 2 {}
    let length = request.to_lowercase();
    let length =
        length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    stream.get_mut().write_all(answer)?;
    stream.get_mut().flush()?;
    Ok(request + std::str::from_utf8(&body).unwrap())
}

/// An answer with this status and body.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A certificate authority with a directory of its own.
pub(crate) struct Authority {
    folder: TempDir,
}

/// Which kind of key `openssl` is to make.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    /// RSA in PKCS#1, as instance identities have it.
    RsaPkcs1,
    /// EC in PKCS#8.
    EcPkcs8,
    /// EC in SEC1.
    EcSec1,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        authority.make_key("ca", Key::EcPkcs8);
        let subject = "req -x509 -new -key ca.key -out ca.crt -days 2 -subj /CN=ca \
                       -addext basicConstraints=critical,CA:TRUE,pathlen:0 \
                       -addext keyUsage=critical,keyCertSign";
        authority.openssl(subject);
        authority
    }

    /// Makes `name.crt` and `name.key` for the names in `subject_alternatives`
    /// (`IP:127.0.0.1`), valid from now for `days`, which may be negative.
    pub(crate) fn issue(&self, name: &str, key: Key, subject_alternatives: &str, days: i32) {
        self.make_key(name, key);
        let extensions = format!(
            "subjectAltName={subject_alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n"
        );
        fs::write(self.path("extensions"), extensions).unwrap();
        self.openssl(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
             -days {days} -extfile extensions -out {name}.crt"
        ));
    }

    /// Makes a self-signed `name.crt` that is a CA and a server in one, as `openssl req -x509` does.
    pub(crate) fn self_sign(&self, name: &str, subject_alternatives: &str, days: i32) {
        self.make_key(name, Key::EcPkcs8);
        let extensions =
            format!("subjectAltName={subject_alternatives}\nbasicConstraints=CA:TRUE\n");
        fs::write(self.path("extensions"), extensions).unwrap();
        self.openssl(&format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -signkey {name}.key -days {days} -extfile extensions \
             -out {name}.crt"
        ));
    }

    /// The environment of a container with the identity `client.crt`, which trusts this authority.
    pub(crate) fn container(&self) -> Environment {
        let roots = self.path("roots");
        fs::create_dir_all(&roots).unwrap();
        fs::write(roots.join("not-a-cert.txt"), "passed over").unwrap();
        fs::copy(self.path("ca.crt"), roots.join("ca.crt")).unwrap();
        let variables = [
            ("CF_INSTANCE_CERT", self.path("client.crt")),
            ("CF_INSTANCE_KEY", self.path("client.key")),
            ("CF_SYSTEM_CERT_PATH", roots),
        ];
        variables.into_iter().map(|(name, path)| (name.into(), path.into())).collect()
    }

    fn make_key(&self, name: &str, key: Key) {
        let command = match key {
            Key::RsaPkcs1 => "genrsa -traditional -out",
            Key::EcPkcs8 => "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out",
            Key::EcSec1 => "ecparam -name prime256v1 -genkey -noout -out",
        };
        self.openssl(&format!("{command} {name}.key"));
    }

    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        let openssl = openssl.args(arguments.split_whitespace()).current_dir(&self.folder);
        let output = openssl.output().expect("openssl is installed");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {words}");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The certificate `name.crt` without its PEM dress.
    pub(crate) fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(&self.text(&format!("{name}.crt"))).unwrap()
    }

    /// A server with `name.crt`; it takes only clients with a certificate of this authority if
    /// `demands_certificate`.
    pub(crate) fn server(&self, name: &str, demands_certificate: bool) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if demands_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.der("ca")).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_slice(&self.text(&format!("{name}.key"))).unwrap();
        builder.with_single_cert(vec![self.der(name)], key).unwrap()
    }
}
