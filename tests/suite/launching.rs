//! Stage, unpack, launch, ask: what the platform does with an app (issue 2).

use std::process::Command;

use suite::{Stage, Staged, program};

use crate::staging::example;

/// An app of `tests/apps` staged with the working buildpack of the same name, which may use the
/// network's package registries as this machine is set up for them.
fn staged(name: &str) -> Stage {
    let stage = Stage::app(name).buildpacks([name]);
    let wanted = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["proxy", "pip_", "npm_", "ssl_", "requests_", "node_", "uv_"]
            .iter()
            .any(|part| name.contains(part))
    };
    let variables = std::env::vars_os();
    let wanted = variables.filter(|(name, _)| name.to_str().is_some_and(wanted));
    let stage = wanted.fold(stage, |stage, (name, value)| stage.env(name, value));
    match std::env::var_os("HOME") {
        // Registries are named in the home directory's pip and npm settings.
        Some(home) => stage.env("HOME", home),
        None => stage,
    }
}

fn answers(staged: &Staged, path: &str) -> String {
    let mut server = staged.serve();
    let answer = server.get(path);
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "{path}: {answer}");
    answer
}

#[test]
fn a_procfile_app_answers_over_http() {
    let staged = staged("procfile").run().succeeds();
    assert!(answers(&staged, "/").ends_with("\r\n\r\nStarted with a greeting from .profile\n"));
}

#[test]
fn a_static_app_answers_over_http() {
    let staged = staged("static").run().succeeds();
    assert!(answers(&staged, "/").contains("<h1>A page out of a droplet</h1>"));
    assert!(answers(&staged, "/style.css").contains('{'));
}

#[test]
fn a_python_app_answers_over_http() {
    let staged = staged("python").run().succeeds();
    assert!(answers(&staged, "/celsius/100").contains("\"fahrenheit\": 212.0"));
}

#[test]
fn a_node_app_answers_over_http() {
    let staged = staged("node").run().succeeds();
    assert!(answers(&staged, "/90000").ends_with("2m\n"));
}

#[test]
fn the_staged_start_command_runs_with_profiles_deps_and_prefix() {
    let stage = Stage::empty()
        .script("A", "supply", "echo tool > $3/$4/tool")
        .script(
            "B",
            "finalize",
            "echo 'export FROM_PROFILE=\"profile $(cat $DEPS_DIR/0/tool)\"' > $5/000.sh
             echo 'config: {entrypoint_prefix: ./start}' > $3/$4/config.yml",
        )
        .script("B", "release", "echo 'default_process_types: {web: ignored}'")
        .file("Procfile", "web: two words\n")
        .file("start", "#!/bin/sh\nprintf '<%s> ' \"$@\"\necho $FROM_PROFILE\n")
        .skip_detect();
    suite::tool("chmod", ["755", stage.path("app/start").to_str().unwrap()]);
    let staged = stage.run().succeeds();
    // A prefix takes the place of `bash -c`: the command is one last argument of it.
    let (status, stdout) = staged.launch("");
    assert_eq!((status, stdout.lines().last()), (0, Some("<two words> profile tool")));
}

#[test]
fn a_shell_in_the_droplet_has_the_apps_profiles_and_directories() {
    let staged = Stage::empty().buildpacks(["writes-profile-d"]).run().succeeds();
    assert_eq!(
        staged.launch(""),
        (0, "Invoking pre-start scripts.\nInvoking start command.\nsecond is after-yes\n".into())
    );
    let home = staged.path("home");
    let command = "echo $SECOND $PWD $DEPS_DIR; exit 5";
    let mut shell = Command::new(program("shell"));
    shell.arg(home.join("app")).arg(command).env_clear().env("PATH", "/usr/bin:/bin");
    let output = shell.output().unwrap();
    let expected = format!("after-yes {0}/app {0}/deps\n", home.display());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn the_launched_apps_exit_status_is_the_launchers() {
    let staged = example().run().succeeds();
    assert_eq!(staged.launch("exit 7").0, 7);
    assert_eq!(staged.launch("kill -TERM $$").0, 143);
    assert_eq!(staged.launch("no-such-program").0, 127);
}

#[test]
fn without_any_start_command_the_launcher_says_so() {
    let staged = example().script("A", "release", "").run().succeeds();
    assert_eq!(staged.launch("").0, 1);
}

#[test]
fn the_app_is_the_process_the_launcher_was() {
    let app = "import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'pid %d home %s' % (os.getpid(), os.environ['HOME'].encode()))
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()
";
    let staged = example().file("app.py", app).file("Procfile", "web: exec python3 app.py").run();
    let staged = staged.succeeds();
    let mut server = staged.serve();
    let answer = server.get("/");
    assert!(answer.contains(&format!("pid {} ", server.pid())), "{answer}");
    assert!(answer.ends_with("/home/app"), "{answer}");
}
