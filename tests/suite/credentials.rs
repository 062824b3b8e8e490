//! CredHub over mutual TLS, from the platform's options to what scripts and the app see (5, 6, 7).

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use suite::{Stage, program, tool, wait_for};

use crate::staging::example;

const SERVICES: &str = r#"{"db":[{"name":"d","credentials":{"credhub-ref":"/c/db"}}]}"#;
const INTERPOLATED: &str = r#"{"db":[{"name":"d","credentials":{"uri":"mysql://u:p%40@h/db"}}]}"#;

/// A CA in `system/`, and pairs signed by it: for the server at 127.0.0.1, and for the instance.
const CERTIFICATES: &str = "set -e; cd \"$0\"; mkdir system
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -keyout ca.key -out system/ca.crt -days 2
    for name in server instance; do
        openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
        echo subjectAltName=IP:127.0.0.1 > extensions
        openssl x509 -req -in $name.csr -CA system/ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out $name.crt
    done";

/// Answers POSTs of who shows a certificate of the CA with `answer`, and notes path and body.
const SERVER: &str = r#"
import http.server, os, ssl, sys
os.chdir(sys.argv[1])
class CredHub(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        with open('asked', 'a') as asked:
            print(self.path, self.headers['Content-Type'], body.decode(), file=asked)
        answer = open('answer', 'rb').read()
        self.send_response(200 if answer.startswith(b'{"db"') else 500)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_): pass
server = http.server.HTTPServer(('127.0.0.1', 0), CredHub)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('server.crt', 'server.key')
context.load_verify_locations('system/ca.crt')
context.verify_mode = ssl.CERT_REQUIRED
server.socket = context.wrap_socket(server.socket, server_side=True)
with open('port.part', 'w') as port: print(server.server_port, file=port)
os.rename('port.part', 'port')
server.serve_forever()
"#;

/// A CredHub that runs until this is dropped.
struct CredHub {
    server: Child,
    options: String,
}

impl CredHub {
    fn start(directory: &Path, answer: &str) -> Self {
        tool("sh", ["-c".as_ref(), CERTIFICATES.as_ref(), directory.as_os_str()]);
        fs::write(directory.join("answer"), answer).unwrap();
        let mut server = Command::new("python3");
        server.args(["-c", SERVER]).arg(directory).stdin(Stdio::null());
        let server = server.spawn().unwrap();
        let port = wait_for("CredHub's port", || fs::read_to_string(directory.join("port")).ok());
        let options = format!(r#"{{"credhub-uri":"https://127.0.0.1:{}/x?y"}}"#, port.trim());
        Self { server, options }
    }
}

impl Drop for CredHub {
    fn drop(&mut self) {
        let _ended = self.server.kill().and_then(|()| self.server.wait());
    }
}

/// The variables of a container whose app has a bound service with a reference.
fn variables(credhub: &CredHub, directory: &Path) -> Vec<(&'static str, String)> {
    let path = |name| directory.join(name).to_str().unwrap().to_owned();
    vec![
        ("VCAP_PLATFORM_OPTIONS", credhub.options.clone()),
        ("VCAP_SERVICES", SERVICES.to_owned()),
        ("CF_INSTANCE_CERT", path("instance.crt")),
        ("CF_INSTANCE_KEY", path("instance.key")),
        ("CF_SYSTEM_CERT_PATH", path("system")),
    ]
}

fn bound(stage: Stage, credhub: &CredHub) -> Stage {
    let directory = stage.path("");
    let variables = variables(credhub, &directory);
    variables.into_iter().fold(stage, |stage, (name, value)| stage.env(name, value))
}

#[test]
fn scripts_and_app_see_credentials_instead_of_references() {
    let note = "printf '%s\\n' \"$VCAP_SERVICES\" \"$DATABASE_URL\"";
    let stage = example().script("A", "finalize", &format!("{{ {note}; }} > $ROOT/seen"));
    let credhub = CredHub::start(&stage.path(""), INTERPOLATED);
    let staged = bound(stage, &credhub).run().succeeds();
    let expected = format!("{INTERPOLATED}\nmysql2://u:p%40@h/db\n");
    assert_eq!(staged.read("seen"), expected);
    let asked = format!("/api/v1/interpolate application/json {SERVICES}\n");
    assert_eq!(staged.read("asked"), asked);

    let (status, _) = staged.launch(":");
    assert_eq!(status, 0);
    for program_name in ["launcher", "shell"] {
        let mut command = Command::new(program(program_name));
        command.args(["app", &format!("{note} $VCAP_PLATFORM_OPTIONS"), ""]);
        command.current_dir(staged.path("home")).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(variables(&credhub, &staged.path("")));
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.ends_with(&expected), "{program_name}: {stdout}");
    }
    assert_eq!(staged.read("asked"), asked.repeat(3));
}

#[test]
fn a_credhub_that_refuses_is_asked_again_and_then_named() {
    let stage = example();
    let credhub =
        CredHub::start(&stage.path(""), r#"{"error":"broken","error_description":"all of it"}"#);
    let stage =
        bound(stage, &credhub).flag("credhubConnectAttempts", "2").flag("credhubRetryDelay", "1ms");
    let reason = "Unable to interpolate credhub references: broken: all of it";
    let staged = stage.run().fails(4, &format!("Unable to interpolate credhub refs: {reason}"));
    for attempt in ["1", "2"] {
        let line = format!("Failed on attempt {attempt} out of 2: {reason}");
        assert!(staged.stdout.lines().any(|found| found == line), "{staged}");
    }
    assert_eq!(staged.read("asked").lines().count(), 2);
    assert!(!staged.has("out") && !staged.has("cache"));
}

#[test]
fn a_credhub_with_another_authority_is_not_trusted() {
    let stage = example();
    let credhub = CredHub::start(&stage.path(""), INTERPOLATED);
    let other = "cd \"$0\" && mkdir other && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x \
        -keyout other.key -out other/ca.crt -days 2";
    tool("sh", ["-c".as_ref(), other.as_ref(), stage.path("").as_os_str()]);
    let path = stage.path("other");
    let stage = bound(stage, &credhub).env("CF_SYSTEM_CERT_PATH", path);
    let staged = stage.flag("credhubConnectAttempts", "1").flag("credhubRetryDelay", "0").run();
    assert_eq!(staged.status, 4, "{staged}");
    let staged = staged.explains(&["Unable to interpolate credhub refs: ", "certificate"]);
    assert!(!staged.has("asked"));
}
