//! Set-up errors, and interpolation against a TLS server that demands a client certificate.

use super::*;

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
