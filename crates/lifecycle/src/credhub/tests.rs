//! Set-up errors, and interpolation against a TLS server that demands a client certificate.

use rustls::ServerConfig;

use super::*;
use crate::http::test_server::{Authority, Key, answer, serve, serve_tls};

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

const SERVICES: &str = r#"{"p":[{"credentials":{"credhub-ref":"/x"},"n":12345678901234567890}]}"#;

fn interpolated(
    uri: &str,
    services: &str,
    environment: &Environment,
) -> Result<Option<OsString>, String> {
    let flags = Flags { connect_attempts: 2, retry_delay: Duration::ZERO };
    interpolate(uri, OsStr::new(services), environment, &flags).map_err(|error| chain(&error))
}

#[test]
fn without_references_or_when_told_so_nothing_is_needed() {
    let nothing = Environment::default();
    assert_eq!(interpolated("https://c", r#"{"a":"credhub-reference"}"#, &nothing), Ok(None));
    let skip = environment(&[("CREDHUB_SKIP_INTERPOLATION", "x")]);
    assert_eq!(interpolated("https://c", SERVICES, &skip), Ok(None));
}

#[test]
fn what_the_container_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(path("directory/a.crt")).unwrap();
    fs::create_dir(path("empty")).unwrap();
    fs::create_dir(path("bad")).unwrap();
    fs::write(path("bad/a.crt"), "no certificate").unwrap();
    fs::write(path("text"), "no certificate").unwrap();
    let identity = [("CF_INSTANCE_CERT", path("text")), ("CF_INSTANCE_KEY", path("text"))];
    let missing_identity =
        [("CF_INSTANCE_CERT", "/nope".into()), ("CF_INSTANCE_KEY", "/no".into())];
    let roots = |name: &str| vec![("CF_SYSTEM_CERT_PATH", path(name))];
    let table = [
        (vec![], "Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY".to_owned()),
        (
            vec![("CF_INSTANCE_CERT", "x".into())],
            "Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY".to_owned(),
        ),
        (identity.to_vec(), "Missing CF_SYSTEM_CERT_PATH".to_owned()),
        (
            [identity.to_vec(), vec![("CF_SYSTEM_CERT_PATH", "/nope".into())]].concat(),
            "Can't read contents of system cert path: open /nope: no such file or directory"
                .to_owned(),
        ),
        (
            [identity.to_vec(), roots("directory")].concat(),
            format!(
                "Can't read contents of cert in system cert path: read {}: is a directory",
                path("directory/a.crt")
            ),
        ),
        (
            [missing_identity.to_vec(), roots("empty")].concat(),
            "open /nope: no such file or directory".to_owned(),
        ),
        (
            [identity.to_vec(), roots("empty")].concat(),
            "tls: failed to find any PEM data in certificate input".to_owned(),
        ),
    ];
    for (variables, sentence) in table {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let error = interpolated("https://c", SERVICES, &environment(&variables)).unwrap_err();
        assert_eq!(error, format!("Unable to set up credhub client: {sentence}"));
    }
}

/// An authority that has issued `server` and `client`, and a server that demands a certificate.
fn credhub(key: Key) -> (Authority, ServerConfig) {
    let authority = Authority::new();
    authority.issue("server", key, "IP:127.0.0.1", 2);
    authority.issue("client", key, "DNS:client", 2);
    let server = authority.server("server", true);
    (authority, server)
}

#[test]
fn services_are_sent_and_the_answer_comes_back_with_every_kind_of_key() {
    for key in [Key::RsaPkcs1, Key::EcPkcs8, Key::EcSec1] {
        let (authority, server) = credhub(key);
        let (port, asked) = serve_tls(server, vec![answer(200, r#"{"resolved":1}"#)]);
        let uri = format!("https://u:p@127.0.0.1:{port}/some/path?query#fragment");
        let answer = interpolated(&uri, SERVICES, &authority.container());
        assert_eq!(answer, Ok(Some(r#"{"resolved":1}"#.into())));
        let asked = asked.join().unwrap().remove(0);
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /api/v1/interpolate HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
        assert!(head.contains("\r\nauthorization: basic dtpw"), "{head}");
        assert_eq!(body, SERVICES, "order and big numbers kept");
    }
}

#[test]
fn failed_attempts_are_repeated() {
    let (authority, server) = credhub(Key::EcPkcs8);
    let answers = vec![answer(503, r#"{"error":"busy"}"#), answer(200, "{}")];
    let (port, asked) = serve_tls(server, answers);
    let uri = format!("https://127.0.0.1:{port}");
    assert_eq!(interpolated(&uri, SERVICES, &authority.container()), Ok(Some("{}".into())));
    assert_eq!(asked.join().unwrap().len(), 2);
}

#[test]
fn the_last_refusal_is_told_in_the_servers_words() {
    let unreadable = "The response body could not be decoded: invalid character '<' looking for \
                      beginning of value (status 502)";
    let table = [
        (400, r#"{"error":"bad","error_description":"very"}"#, "bad: very"),
        (400, r#"{"Error":"bad"}"#, "bad"),
        (404, r#"{"error":"gone","error_description":"not told"}"#, "gone"),
        (502, "<html>", unreadable),
        (500, "{}", "status 500 without a reason"),
    ];
    // Plain http needs no TLS; the identity must be there all the same.
    let (authority, _) = credhub(Key::EcPkcs8);
    for (status, body, words) in table {
        let (port, _) = serve(vec![answer(status, body), answer(200, "never asked")]);
        let uri = format!("http://127.0.0.1:{port}");
        // One attempt is made, and not slept after.
        let flags = Flags { connect_attempts: 0, retry_delay: Duration::from_secs(999) };
        let services = OsStr::new(SERVICES);
        let error = interpolate(&uri, services, &authority.container(), &flags).unwrap_err();
        assert_eq!(chain(&error), format!("Unable to interpolate credhub references: {words}"));
    }
}

#[test]
fn an_answer_that_is_no_json_is_taken_over() {
    let (authority, _) = credhub(Key::EcPkcs8);
    let (port, _) = serve(vec![answer(200, "no json"), answer(204, "")]);
    let uri = format!("http://127.0.0.1:{port}");
    for body in ["no json", ""] {
        let answer = interpolated(&uri, SERVICES, &authority.container());
        assert_eq!(answer, Ok(Some(body.into())));
    }
}

#[test]
fn services_that_are_no_object_are_never_sent() {
    let (authority, _) = credhub(Key::EcPkcs8);
    let table = [
        (
            r#"["credhub-ref"]"#,
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (r#"{"credhub-ref""#, "unexpected end of JSON input"),
    ];
    for (services, words) in table {
        // Nobody listens there: an attempt would give another error.
        let error = interpolated("https://127.0.0.1:1", services, &authority.container());
        let sentence = format!("Unable to interpolate credhub references: {words}");
        assert_eq!(error, Err(sentence));
    }
}

#[test]
fn a_server_with_another_name_is_not_given_the_services() {
    let authority = Authority::new();
    authority.issue("server", Key::EcPkcs8, "IP:127.0.0.2,DNS:localhost", 2);
    authority.issue("client", Key::EcPkcs8, "DNS:client", 2);
    let (port, asked) = serve_tls(authority.server("server", true), vec![answer(200, "{}"); 2]);
    let uri = format!("https://127.0.0.1:{port}");
    let error = interpolated(&uri, SERVICES, &authority.container()).unwrap_err();
    let end = "x509: certificate is valid for 127.0.0.2, localhost, not 127.0.0.1";
    assert!(error.ends_with(end), "{error}");
    assert!(asked.join().unwrap().iter().all(|asked| !asked.contains("POST")));
}

#[test]
fn a_client_of_another_authority_is_refused() {
    let (authority, server) = credhub(Key::EcPkcs8);
    let stranger = Authority::new();
    stranger.issue("client", Key::EcPkcs8, "DNS:client", 2);
    for file in ["client.crt", "client.key"] {
        fs::copy(stranger.path(file), authority.path(file)).unwrap();
    }
    let (port, _) = serve_tls(server, vec![answer(200, "{}"); 2]);
    let uri = format!("https://127.0.0.1:{port}");
    let error = interpolated(&uri, SERVICES, &authority.container()).unwrap_err();
    assert!(error.contains(": tls: the server refused the connection: "), "{error}");
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let (authority, _) = credhub(Key::EcPkcs8);
    let environment = authority.container();
    let refused = |words: &str| {
        let error = interpolated("https://c", SERVICES, &environment).unwrap_err();
        assert_eq!(error, format!("Unable to set up credhub client: {words}"));
    };
    fs::copy(authority.path("server.key"), authority.path("client.key")).unwrap();
    refused("tls: private key does not match public key");
    fs::write(authority.path("client.key"), "x").unwrap();
    refused("tls: failed to find any PEM data in key input");
    fs::copy(authority.path("server.key"), authority.path("client.key")).unwrap();
    fs::copy(authority.path("server.crt"), authority.path("client.crt")).unwrap();
    fs::write(authority.path("roots/more.crt"), "x").unwrap();
    refused("provided ca certs are invalid");
    let error = interpolated("127.0.0.1:1", SERVICES, &environment).unwrap_err();
    let words = "parse \"127.0.0.1:1\": first path segment in URL cannot contain colon";
    assert!(error.ends_with(words), "{error}");
}
