//! The database's URL by Appendix A, and what becomes of an environment without CredHub.

use super::*;
use crate::http::test_server::{Authority, Key, answer, serve};

fn first_database(services: &str) -> Option<String> {
    database_url(OsStr::new(services))
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn bound(variables: &[(&str, &str)]) -> Environment {
    bind(environment(variables), &credhub::Flags::default()).unwrap()
}

const MYSQL: &str = r#"{"a":[{"credentials":{"uri":"mysql://h"}}]}"#;

#[test]
fn the_first_database_in_the_document_is_taken() {
    let table = [
        (MYSQL, Some("mysql2://h")),
        (
            r#"{"z":[{"credentials":{"uri":"redis://r"}},{"credentials":{"uri":"postgresql://z"}}],
                "a":[{"credentials":{"uri":"mysql://a"}}]}"#,
            Some("postgres://z"),
        ),
        // What is no URL is passed over.
        (
            r#"{"a":[{"credentials":{"uri":"mysql://h:abc/d"}},{"credentials":{"uri":"MySQL2://h"}}]}"#,
            Some("mysql2://h"),
        ),
        (r#"{"a":[{"credentials":{"uri":"jdbc:mysql://h/d"}}]}"#, None),
        (r#"{"a":[{"credentials":{"uri":"mysql+srv://h/d"}}]}"#, None),
        (r#"{"a":[{"credentials":{"uri":"mysql"}}]}"#, None),
        (r#"{"a":[{"credentials":{"uri":""}}]}"#, None),
        // Upper and lower case are one.
        (r#"{"a":[{"credentials":{"URI":"mysql://h"}}]}"#, Some("mysql2://h")),
        (r#"{"a":[{"Credentials":{"uri":"mysql://h"}}]}"#, Some("mysql2://h")),
    ];
    for (services, url) in table {
        assert_eq!(first_database(services).as_deref(), url, "{services}");
    }
}

#[test]
fn one_wrong_type_anywhere_means_no_database() {
    for wrong in [
        r#""x":[{"credentials":{"uri":5}}]"#,
        r#""x":[{"credentials":"text"}]"#,
        r#""x":[{"credentials":[]}]"#,
        r#""x":[5]"#,
        r#""x":{}"#,
        r#""x":5"#,
    ] {
        let services = format!(r#"{{"a":[{{"credentials":{{"uri":"mysql://h"}}}}],{wrong}}}"#);
        assert_eq!(first_database(&services), None, "{services}");
    }
    for services in ["[]", "5", "", "{", r#"{"a":[{"credentials":{"uri":"mysql://h"}}]} x"#] {
        assert_eq!(first_database(services), None, "{services}");
    }
}

#[test]
fn null_is_just_no_entry() {
    assert_eq!(first_database("null"), None);
    for nothing in
        ["null", "[null]", r#"[{"credentials":null}]"#, r#"[{"credentials":{"uri":null}}]"#]
    {
        let services =
            format!(r#"{{"x":{nothing},"a":[{{"credentials":{{"uri":"mysql://h"}}}}]}}"#);
        assert_eq!(first_database(&services).as_deref(), Some("mysql2://h"), "{services}");
    }
}

#[test]
fn database_url_is_replaced_only_by_a_database() {
    let with_database = bound(&[(DATABASE_URL, "old"), (VCAP_SERVICES, MYSQL)]);
    assert_eq!(with_database.get(DATABASE_URL).unwrap(), "mysql2://h");
    let without = bound(&[(DATABASE_URL, "old"), (VCAP_SERVICES, "{}")]);
    assert_eq!(without.get(DATABASE_URL).unwrap(), "old");
}

#[test]
fn the_services_file_names_the_database_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vcap_services");
    fs::write(&path, MYSQL).unwrap();
    let path = path.to_str().unwrap();
    let environment = bound(&[(VCAP_SERVICES_FILE_PATH, path)]);
    assert_eq!(environment.get(DATABASE_URL).unwrap(), "mysql2://h");
    assert_eq!(environment.get(VCAP_SERVICES), None);
    // The variable counts where both are there, be it empty.
    let environment = bound(&[(VCAP_SERVICES_FILE_PATH, path), (VCAP_SERVICES, "")]);
    assert_eq!(environment.get(DATABASE_URL), None);
    // A file that is not there is warned about only.
    assert_eq!(bound(&[(VCAP_SERVICES_FILE_PATH, "/nope")]).get(DATABASE_URL), None);
}

#[test]
fn platform_options_stay_and_bad_ones_are_an_error() {
    let options = [(VCAP_PLATFORM_OPTIONS, "{}")];
    assert_eq!(bound(&options), environment(&options));
    let error = bind(environment(&[(VCAP_PLATFORM_OPTIONS, "x")]), &credhub::Flags::default());
    let sentence = crate::report::chain(&error.unwrap_err());
    let expected = "Invalid platform options: invalid character 'x' looking for beginning of value";
    assert_eq!(sentence, expected);
}

/// A container whose platform names a CredHub that gives `resolved`, at a port that is asked once.
fn with_credhub(authority: &Authority, resolved: &str) -> Environment {
    authority.issue("client", Key::EcPkcs8, "DNS:client", 2);
    let (port, _) = serve(vec![answer(200, resolved)]);
    let mut environment = authority.container();
    let options = format!(r#"{{"credhub-uri":"http://127.0.0.1:{port}"}}"#);
    environment.set(VCAP_PLATFORM_OPTIONS, options);
    environment
}

const REFERENCE: &str = r#"{"a":[{"credentials":{"credhub-ref":"/a"}}]}"#;

#[test]
fn references_are_resolved_before_the_database_is_looked_for() {
    let authority = Authority::new();
    let mut environment = with_credhub(&authority, MYSQL);
    environment.set(VCAP_SERVICES, REFERENCE);
    let environment = bind(environment, &credhub::Flags::default()).unwrap();
    assert_eq!(environment.get(VCAP_SERVICES).unwrap(), MYSQL);
    assert_eq!(environment.get(DATABASE_URL).unwrap(), "mysql2://h");
    assert!(environment.get(VCAP_PLATFORM_OPTIONS).is_some());
}

#[test]
fn references_in_the_services_file_are_resolved_into_the_variable_if_it_fits() {
    let authority = Authority::new();
    let file = authority.path("vcap_services");
    fs::write(&file, REFERENCE).unwrap();
    // With `VCAP_SERVICES=` and the end mark 128 KiB, and one byte more.
    let frame = MYSQL.replace("mysql://h", "mysql://h/").len() + "VCAP_SERVICES=".len() + 1;
    for (padding, fits) in [(LONGEST_VARIABLE - frame, true), (LONGEST_VARIABLE - frame + 1, false)]
    {
        let resolved = MYSQL.replace("mysql://h", &format!("mysql://h/{}", "x".repeat(padding)));
        let mut environment = with_credhub(&authority, &resolved);
        environment.set(VCAP_SERVICES_FILE_PATH, &file);
        let environment = bind(environment, &credhub::Flags::default()).unwrap();
        assert_eq!(environment.get(VCAP_SERVICES).is_some(), fits, "{padding}");
        assert!(environment.get(DATABASE_URL).is_some());
    }
}

#[test]
fn a_credhub_that_cannot_be_asked_is_an_error() {
    let options = (VCAP_PLATFORM_OPTIONS, r#"{"credhub-uri":"https://c"}"#);
    let environment = environment(&[options, (VCAP_SERVICES, REFERENCE)]);
    let error = bind(environment, &credhub::Flags::default()).unwrap_err();
    let sentence = "Unable to interpolate credhub refs: Unable to set up credhub client: \
                    Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY";
    assert_eq!(crate::report::chain(&error), sentence);
}
