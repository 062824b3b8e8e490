//! Images without bash, and without any shell. The image is a directory entered by chroot, which only
//! root may do.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;

use crate::{Droplet, launcher};

/// A droplet at the root of an image that holds the launcher and busybox, by these names.
fn image(names: &[&str]) -> Droplet {
    let image = Droplet::new();
    fs::create_dir(image.path("bin")).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    let busybox =
        busybox.into_iter().find(|path| path.exists()).expect("busybox: run scripts/test");
    for (program, name) in [(launcher(), "launcher"), (busybox, "bin/busybox")] {
        fs::copy(&program, image.path(name)).unwrap();
        for library in libraries(&program) {
            let copy = image.path(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(&library, copy).unwrap();
        }
    }
    for name in names {
        symlink("busybox", image.path("bin").join(name)).unwrap();
    }
    image
}

/// The shared libraries of a program; none if it is static.
fn libraries(program: &Path) -> Vec<String> {
    let listed = Command::new("ldd").arg(program).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(str::to_owned).collect()
}

/// The launcher in the image with this start command.
fn start(image: &Droplet, start_command: &str) -> Command {
    let mut command = image.command("/usr/sbin/chroot");
    command.arg(image.path("")).args(["/launcher", "app", start_command, ""]);
    command
}

#[test]
fn without_bash_sh_does_what_it_can_which_needs_root() {
    let image = image(&["sh", "env"])
        .file("profile.d/a b.sh", "export SEEN=profile")
        .file("app/.profile", "export SEEN=\"$SEEN and .profile\"");
    let stdout =
        "Invoking pre-start scripts.\nInvoking start command.\nprofile and .profile in /app\n";
    let stderr = predicate::str::starts_with("WARNING: this image has no bash.");
    start(&image, "echo $SEEN in $PWD").assert().code(0).stdout(stdout).stderr(stderr);
}

#[test]
fn without_bash_the_exit_status_is_still_the_commands_which_needs_root() {
    let image = image(&["sh"]);
    for (command, status) in [("exit 7", 7), ("no-such-program", 127)] {
        start(&image, command).assert().code(status);
    }
}

#[test]
fn without_a_shell_the_words_of_the_command_are_run_which_needs_root() {
    let image = image(&["echo", "env"]).file("app/.profile", "echo not sourced");
    let stdout = "Invoking pre-start scripts.\nInvoking start command.\none two  words $PORT\n";
    let stderr = predicate::str::starts_with("WARNING: this image has no shell.")
        .and(predicate::str::contains("they are passed on as they stand: $\n"));
    start(&image, "exec echo one 'two  words' $PORT")
        .assert()
        .code(0)
        .stdout(stdout)
        .stderr(stderr);
    let directories =
        predicate::str::contains("\nPWD=/app\n").and(predicate::str::contains("OLDPWD=/\n"));
    start(&image, "env").assert().code(0).stdout(directories);
}

#[test]
fn without_a_shell_an_entrypoint_prefix_gets_the_command_as_one_word_which_needs_root() {
    let info = r#"{"config":{"entrypoint_prefix":"echo 'the command':"}}"#;
    let image = image(&["echo"]).file("staging_info.yml", info);
    let stdout = predicate::str::ends_with("the command: two  words\n");
    start(&image, "two  words").assert().code(0).stdout(stdout);
}

#[test]
fn without_a_shell_a_missing_program_is_named_which_needs_root() {
    let stderr = predicate::str::ends_with("no-such-program: no such file or directory\n");
    start(&image(&[]), "no-such-program").assert().code(4).stderr(stderr);
}
