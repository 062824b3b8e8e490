//! Which files a tree has, and in which order.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A directory with these files, parents made.
fn files(names: &[&str]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for name in names {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    directory
}

fn names(tree: &Tree) -> Vec<String> {
    let name = |found: Result<Found, PackError>| found.unwrap().name.into_os_string();
    tree.walk().unwrap().map(|found| name(found).into_string().unwrap()).collect()
}

fn failure(tree: &Tree) -> String {
    let walk = tree.walk().map(|mut walk| walk.find_map(Result::err));
    walk.unwrap_or_else(Some).unwrap().to_string()
}

#[test]
fn names_are_sorted_by_their_bytes_and_directories_come_before_their_files() {
    let root = files(&["a/z", "a.txt", "a-b", "B", "a/b/c"]);
    let expected = ["", "B", "a", "a/b", "a/b/c", "a/z", "a-b", "a.txt"];
    assert_eq!(names(&Tree::new(root.path())), expected);
}

#[test]
fn a_graft_stands_where_a_copy_would() {
    let (root, app) = (files(&["Z", "deps/0/x", "a"]), files(&["index.html", "lib/y"]));
    let tree = Tree::new(root.path()).graft("app", app.path());
    let expected = [
        "",
        "Z",
        "a",
        "app",
        "app/index.html",
        "app/lib",
        "app/lib/y",
        "deps",
        "deps/0",
        "deps/0/x",
    ];
    assert_eq!(names(&tree), expected);
}

#[test]
fn a_graft_lies_over_what_is_there() {
    let (root, app) = (files(&["app/both", "app/own"]), files(&["both", "new"]));
    let tree = Tree::new(root.path()).graft("app", app.path());
    assert_eq!(names(&tree), ["", "app", "app/both", "app/new", "app/own"]);
    let sources: Vec<_> = tree.walk().unwrap().map(|found| found.unwrap().source).collect();
    assert_eq!(sources[1], app.path());
    assert_eq!(sources[2], app.path().join("both"));
    assert_eq!(sources[4], root.path().join("app/own"));
}

#[test]
fn a_file_and_a_directory_cannot_have_one_name() {
    let (root, app) = (files(&["app/x"]), files(&["x/y"]));
    let expected = format!(
        "{} and {} cannot both be packed under one name: only one is a directory",
        root.path().join("app/x").display(),
        app.path().join("x").display()
    );
    assert_eq!(failure(&Tree::new(root.path()).graft("app", app.path())), expected);
}

#[test]
fn symlinks_to_the_trees_are_resolved_and_those_within_are_not() {
    let (root, app) = (files(&["x"]), files(&["y"]));
    let links = TempDir::new().unwrap();
    let link = |to: &TempDir, name: &str| {
        symlink(to.path(), links.path().join(name)).unwrap();
        links.path().join(name)
    };
    symlink("..", app.path().join("up")).unwrap();
    let tree = Tree::new(link(&root, "root")).graft("app", link(&app, "app"));
    assert_eq!(names(&tree), ["", "app", "app/up", "app/y", "x"]);
    let kinds: Vec<_> = tree.walk().unwrap().map(|found| found.unwrap().kind.is_dir()).collect();
    assert_eq!(kinds, [true, true, false, false, false]);
}

#[test]
fn the_root_is_not_packed_into_itself() {
    let app = files(&["tmp/contents/deps/x", "tmp/contents/y", "tmp/z"]);
    let tree = Tree::new(app.path().join("tmp/contents")).graft("app", app.path());
    let expected = ["", "app", "app/tmp", "app/tmp/z", "deps", "deps/x", "y"];
    assert_eq!(names(&tree), expected);
}

#[test]
fn what_is_no_directory_is_named() {
    let root = files(&["file"]);
    let (file, nothing) = (root.path().join("file"), root.path().join("nothing"));
    let sentence = |path: &Path, what: &str| what.replace("PATH", &path.display().to_string());
    let tree = Tree::new(root.path()).graft("app", &file);
    assert_eq!(failure(&tree), sentence(&file, "PATH is not a directory"));
    let tree = Tree::new(&nothing);
    assert_eq!(failure(&tree), sentence(&nothing, "cannot read PATH: no such file or directory"));
}
