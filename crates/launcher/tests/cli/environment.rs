//! The variables the app finds (contract, sections 6 to 8).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::{Droplet, app_output};

#[test]
fn directories_are_those_of_the_app() {
    let droplet = Droplet::new();
    let mut command = droplet.start("echo $HOME $TMPDIR $DEPS_DIR $PWD $OLDPWD");
    let names = ["app", "tmp", "deps", "app", ""].map(|name| droplet.path(name));
    let expected = names.map(|path| path.display().to_string().trim_end_matches('/').to_owned());
    assert_eq!(app_output(&mut command), expected.join(" ") + "\n");
}

#[test]
fn an_app_directory_is_cleaned_but_no_link_resolved() {
    let droplet = Droplet::new();
    symlink("app", droplet.path("link")).unwrap();
    let link = droplet.path("link").display().to_string();
    let given = format!("{link}/.././/link/");
    let mut command = droplet.launcher([&given, "echo $HOME $PWD", ""]);
    assert_eq!(app_output(&mut command), format!("{link} {link}\n"));
}

#[test]
fn a_relative_app_directory_starts_from_pwd_where_that_is_right() {
    let droplet = Droplet::new();
    let link = droplet.path("home-by-another-name");
    symlink(droplet.path(""), &link).unwrap();
    for (pwd, base) in [
        (link.as_path(), link.as_path()),
        (Path::new("/nowhere"), &droplet.path("")),
        (Path::new("."), &droplet.path("")),
    ] {
        let mut command = droplet.start("echo $HOME");
        let home = base.join("app");
        assert_eq!(app_output(command.env("PWD", pwd)), format!("{}\n", home.display()));
    }
}

#[test]
fn without_a_working_directory_the_app_directory_stays_relative() {
    let droplet = Droplet::new();
    let script = "mkdir gone; cd gone; rmdir ../gone; exec \"$@\"";
    let mut command = droplet.command("sh");
    let launcher = crate::launcher();
    command.args(["-c", script, "sh"]).arg(launcher).args([
        "app",
        "echo $HOME $TMPDIR $DEPS_DIR.",
        "",
    ]);
    assert_eq!(app_output(command.env("TMPDIR", "/t")), "app /t .\n");
}

#[test]
fn vcap_application_says_where_the_instance_runs() {
    let droplet = Droplet::new();
    let mut command = droplet.start("echo \"$VCAP_APPLICATION\"");
    command
        .env("VCAP_APPLICATION", r#"{"z":12345678901234567890,"name":"a<b","port":1}"#)
        .env("PORT", "+08080")
        .env("INSTANCE_GUID", "guid")
        .env("INSTANCE_INDEX", "2");
    let expected = r#"{"z":12345678901234567890,"name":"a\u003cb","port":8080,"host":"0.0.0.0","instance_id":"guid","instance_index":2}"#;
    assert_eq!(app_output(&mut command), format!("{expected}\n"));
}

#[test]
fn vcap_application_that_is_no_object_is_passed_on() {
    for text in ["null", "[1]", "{", ""] {
        let droplet = Droplet::new();
        let mut command = droplet.start("echo \"$VCAP_APPLICATION\"");
        assert_eq!(app_output(command.env("VCAP_APPLICATION", text)), format!("{text}\n"));
    }
}

#[test]
fn platform_options_are_not_for_the_app() {
    let droplet = Droplet::new();
    let mut command = droplet.start("echo \"<${VCAP_PLATFORM_OPTIONS-unset}>\"");
    assert_eq!(app_output(command.env("VCAP_PLATFORM_OPTIONS", "{}")), "<unset>\n");
}

#[test]
fn the_bound_database_is_named() {
    let services = r#"{"a":[{"credentials":{"uri":"http://x"}}],"b":[{"credentials":{"uri":"mysql://u:p@h/d"}}]}"#;
    let droplet = Droplet::new();
    let mut command = droplet.start("echo $DATABASE_URL");
    assert_eq!(app_output(command.env("VCAP_SERVICES", services)), "mysql2://u:p@h/d\n");
}

/// Starting environments in which bash's own doing could show.
fn environments(droplet: &Droplet) -> Vec<Vec<(OsString, OsString)>> {
    let root = droplet.path("");
    let root = root.to_str().unwrap();
    let raw = OsString::from_vec(b"\xff\x01\x7f \n'\"\\$()".to_vec());
    let one = |name: &str, value: &str| vec![(name.into(), value.into())];
    let mut all: Vec<Vec<(OsString, OsString)>> = vec![vec![]];
    for level in ["0", "5", "007", "-3", "x", "", "998", "99999999999999999999"] {
        all.push(one("SHLVL", level));
    }
    for pwd in [root, "/nowhere", "", "relative", &format!("{root}/app/.."), &format!("{root}/./")]
    {
        all.push(one("PWD", pwd));
        all.push(vec![("PWD".into(), pwd.into()), ("OLDPWD".into(), "/tmp".into())]);
    }
    for (name, value) in [
        ("OLDPWD", "/nowhere"),
        ("_", "before"),
        ("IFS", "x"),
        ("PS1", "p"),
        ("PS4", "p"),
        ("RANDOM", "7"),
        ("LINENO", "7"),
        ("OPTIND", "7"),
        ("BASH_XTRACEFD", "2"),
        ("BASHOPTS", "extglob"),
        ("SHELLOPTS", "braceexpand"),
        ("POSIXLY_CORRECT", "1"),
        ("BASH_ENV", "/nowhere"),
        ("BASH_FUNC_cd%%", "() {  builtin cd \"$@\" && X=function\n}"),
        ("CDPATH", "/"),
        ("HOSTNAME", "h"),
        ("LC_ALL", "C.UTF-8"),
        ("TMOUT", "1"),
        ("1a", "name"),
        ("a-b", "name"),
        ("a.b", "() { :; }"),
        ("é", "name"),
    ] {
        all.push(one(name, value));
    }
    all.push(vec![("RAW".into(), raw.clone()), (OsString::from_vec(b"\xfe".to_vec()), raw)]);
    all
}

/// What the command's shell knows of itself, and the app's environment, byte for byte.
fn seen_by_app(droplet: &Droplet, variables: &[(OsString, OsString)]) -> BTreeSet<Vec<u8>> {
    let command = r#"echo "$_ $0 $- $# $SHLVL $PWD $OLDPWD $BASH_EXECUTION_STRING"; exec cat /proc/self/environ"#;
    let output = droplet.start(command).envs(variables.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{variables:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()
}

/// The one-bash way against the two-bash way, which an empty profile script forces.
#[test]
fn one_bash_leaves_the_environment_that_two_leave() {
    let droplet = Droplet::new();
    let starts = environments(&droplet);
    let with_one: Vec<_> = starts.iter().map(|start| seen_by_app(&droplet, start)).collect();
    let droplet = droplet.file("profile.d/empty.sh", "");
    for (start, with_one) in starts.iter().zip(with_one) {
        assert_eq!(with_one, seen_by_app(&droplet, start), "{start:?}");
    }
}

#[test]
fn values_that_are_not_utf8_arrive_as_they_are() {
    let value = OsStr::from_bytes(b"\xff\xfe=\x80");
    let seen = seen_by_app(&Droplet::new(), &[("RAW".into(), value.to_owned())]);
    assert!(seen.contains(b"RAW=\xff\xfe=\x80".as_slice()));
}
