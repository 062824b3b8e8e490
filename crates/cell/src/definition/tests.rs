use super::*;
use crate::command_line::{Command, CommandLine};
use clap::Parser;
use tempfile::TempDir;

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::with_prefix("shop").unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn flags(directory: &Path, arguments: &[&str]) -> Stage {
    let own = ["cell", "stage", directory.to_str().unwrap()];
    let words = own.iter().chain(arguments);
    match CommandLine::try_parse_from(words).unwrap().command {
        Command::Stage(flags) => flags,
        other => panic!("{other:?}"),
    }
}

fn one(flags: &Stage) -> Definition {
    let mut definitions = read(flags).unwrap();
    assert_eq!(definitions.len(), 1);
    definitions.remove(0)
}

#[test]
fn without_a_manifest_the_directory_is_the_app() {
    let directory = directory(&[]);
    let definition = one(&flags(directory.path(), &[]));
    assert_eq!(definition.app.name, directory.path().file_name().unwrap().to_str().unwrap());
    assert_eq!((definition.app.stack.as_str(), definition.buildpacks.len()), ("", 0));
    let [web] = definition.app.processes.as_slice() else { panic!("{:?}", definition.app) };
    assert_eq!((web.kind.as_str(), web.instances, web.memory), ("web", 1, 1024));
    assert_eq!(web.health, Check::new(CheckKind::Port));
    assert_eq!(definition.app.services, json!({}));
}

#[test]
fn flags_win_over_the_manifest() {
    let manifest = "applications: [{name: ((n)), path: web, stack: a, buildpacks: [u, v], processes: [{type: worker}]}]";
    let directory =
        directory(&[("manifest.yml", manifest), ("web/index", ""), ("vars", "n: file")]);
    let vars = directory.path().join("vars");
    let definition = one(&flags(directory.path(), &["--vars-file", vars.to_str().unwrap()]));
    assert_eq!((definition.app.name.as_str(), definition.app.stack.as_str()), ("file", "a"));
    assert_eq!(
        (definition.buildpacks, definition.base),
        (vec!["u".to_owned(), "v".to_owned()], directory.path().to_owned())
    );
    assert_eq!(definition.files, directory.path().join("web"));
    assert_eq!(
        definition.app.processes[1].instances, 0,
        "other processes than web run when asked for"
    );
    let arguments = ["--var", "n=flag", "--name", "other", "-s", "b", "-b", "./mine"];
    let definition = one(&flags(directory.path(), &arguments));
    assert_eq!((definition.app.name.as_str(), definition.app.stack.as_str()), ("other", "b"));
    assert_eq!(
        (definition.buildpacks, definition.base),
        (vec!["./mine".to_owned()], PathBuf::from("."))
    );
}

#[test]
fn of_several_apps_all_are_meant_or_the_one_that_is_named() {
    let directory = directory(&[(
        "manifest.yml",
        "applications: [{name: a, routes: []}, {name: b, path: sub}]",
    )]);
    let read = |arguments: &[&str]| read(&flags(directory.path(), arguments));
    assert!(read(&[]).unwrap_err().to_string().contains("sub: there is no such directory"));
    fs::create_dir(directory.path().join("sub")).unwrap();
    let all = read(&[]).unwrap();
    let what = |it: &Definition| (it.app.name.clone(), it.files.clone(), it.warnings.len());
    assert_eq!(
        all.iter().map(what).collect::<Vec<_>>(),
        [
            ("a".to_owned(), directory.path().to_owned(), 1),
            ("b".to_owned(), directory.path().join("sub"), 0)
        ]
    );
    assert_eq!(read(&["--name", "b", "-s", "x"]).unwrap()[0].app.name, "b");
    for (arguments, sentence) in [
        (["--name", "c"], "the manifest has a, b; choose one of them by --name"),
        (
            ["-b", "static"],
            "the manifest has a, b: what flags say of an app can't be for all of them; choose one by --name",
        ),
    ] {
        assert_eq!(read(&arguments).unwrap_err().to_string(), sentence);
    }
    fs::write(directory.path().join("manifest.yml"), "applications: [{name: a}, {}]").unwrap();
    assert!(read(&[]).unwrap_err().to_string().contains("an app without name"));
}

#[test]
fn services_come_from_a_file_and_the_manifest_chooses() {
    let file = r#"{"sql": [{"name": "db"}, {"name": "other"}], "mail": [{"name": "m"}]}"#;
    for (manifest, bound) in [
        ("", Ok(file)),
        ("applications: [{services: [db]}]", Ok(r#"{"sql": [{"name": "db"}]}"#)),
        ("applications: [{services: []}]", Ok("{}")),
        (
            "applications: [{services: [db, none]}]",
            Err("the manifest has services none: give a file that has them, too, by --services"),
        ),
    ] {
        let directory = directory(&[("manifest.yml", manifest), ("services.json", file)]);
        let path = directory.path().join("services.json");
        let read = read(&flags(directory.path(), &["--services", path.to_str().unwrap()]));
        match (read, bound) {
            (Ok(definitions), Ok(bound)) => {
                assert_eq!(
                    definitions[0].app.services,
                    serde_json::from_str::<Value>(bound).unwrap(),
                    "{manifest}"
                );
            }
            (Err(error), Err(sentence)) => assert_eq!(error.to_string(), sentence),
            (read, _) => panic!("{manifest}: {read:?}"),
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let directory = directory(&[("list.json", "{\"a\": 1}")]);
    let there = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for (arguments, sentence) in [
        (["-f", &there("m.yml")], format!("{}: no such file", there("m.yml"))),
        (["--services", &there("s.json")], format!("{}: no such file", there("s.json"))),
        (
            ["--services", &there("list.json")],
            format!(
                "{}: expected an object of lists, as VCAP_SERVICES is: 'a' is no list",
                there("list.json")
            ),
        ),
    ] {
        assert_eq!(read(&flags(directory.path(), &arguments)).unwrap_err().to_string(), sentence);
    }
    let error = read(&flags(&directory.path().join("none"), &[])).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "none: there is no such directory or archive; give the app's: cell push APP_DIR"
        ),
        "{error}"
    );
}

#[test]
fn an_archive_is_an_app_too() {
    let directory = directory(&[
        ("manifest.yml", "applications: [{path: shop.jar, memory: 64M}]"),
        ("shop.jar", ""),
        ("other.jar", ""),
        ("my.app.tar.gz", ""),
        ("several.yml", "applications: [{name: a}, {name: b}]"),
    ]);
    let path = directory.path();
    for (given, files) in [(path.to_owned(), "shop"), (path.join("other.jar"), "other")] {
        let definition = one(&flags(&given, &[]));
        assert_eq!(definition.files, path.join(files).with_extension("jar"));
        assert_eq!((definition.app.name.as_str(), definition.app.processes[0].memory), (files, 64));
    }
    // It was called `my.app.tar`.
    assert_eq!(one(&flags(&path.join("my.app.tar.gz"), &["-f", "/dev/null"])).app.name, "my.app");
    // All of a manifest's apps became the archive.
    let mut several = flags(&path.join("other.jar"), &[]);
    several.manifest = Some(path.join("several.yml"));
    assert!(matches!(read(&several), Err(DefinitionError::Several(_))));
}
