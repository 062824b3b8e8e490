//! nginx over HTTP and HTTPS: files, git's dumb protocol, and its smart one by `git http-backend`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Stopped when dropped.
pub(super) struct Web {
    dir: TempDir,
    port: u16,
    tls_port: u16,
    programs: Vec<Child>,
}

impl Web {
    /// Serves [`Web::root`] at `/`, the repositories in it below `/smart`; `/401`, `/403` answer so.
    pub(super) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        certificates(dir.path());
        let [port, tls_port] = [suite::free_port(), suite::free_port()];
        fs::write(dir.path().join("nginx.conf"), configuration(dir.path(), port, tls_port))
            .unwrap();
        let socket = format!("unix:{}", dir.path().join("cgi").display());
        let gateway = Command::new("fcgiwrap").args(["-s", &socket]).spawn().unwrap();
        let nginx = Command::new("nginx")
            .args(["-e", "stderr", "-c"])
            .arg(dir.path().join("nginx.conf"))
            .arg("-p")
            .arg(dir.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let web = Self { dir, port, tls_port, programs: vec![gateway, nginx] };
        let deadline = Instant::now() + suite::DEADLINE;
        while std::net::TcpStream::connect(("127.0.0.1", tls_port)).is_err() {
            assert!(Instant::now() < deadline, "nginx does not start");
            thread::sleep(Duration::from_millis(10));
        }
        web
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// The certificate that the server's is signed with.
    pub(super) fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn tls_url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.tls_port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        for program in &mut self.programs {
            program.kill().unwrap();
            program.wait().unwrap();
        }
    }
}

fn configuration(dir: &Path, port: u16, tls_port: u16) -> String {
    let dir = dir.display();
    let git = Command::new("git").arg("--exec-path").output().unwrap().stdout;
    let backend = format!("{}/git-http-backend", String::from_utf8(git).unwrap().trim_end());
    // One process without children, so that killing it is enough.
    format!(
        r#"
        daemon off;
        master_process off;
        pid {dir}/nginx.pid;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {dir}/body;
            proxy_temp_path {dir}/proxy;
            fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi;
            scgi_temp_path {dir}/scgi;
            server {{
                listen 127.0.0.1:{port};
                listen 127.0.0.1:{tls_port} ssl;
                ssl_certificate {dir}/server.pem;
                ssl_certificate_key {dir}/server.key;
                root {dir}/root;
                location /401 {{
                    add_header WWW-Authenticate "Basic realm=x" always;
                    return 401;
                }}
                location /403 {{ return 403; }}
                location ~ ^/smart(/.*)$ {{
                    fastcgi_pass unix:{dir}/cgi;
                    fastcgi_param SCRIPT_FILENAME {backend};
                    fastcgi_param GIT_PROJECT_ROOT {dir}/root;
                    fastcgi_param GIT_HTTP_EXPORT_ALL "";
                    fastcgi_param PATH_INFO $1;
                    fastcgi_param QUERY_STRING $query_string;
                    fastcgi_param REQUEST_METHOD $request_method;
                    fastcgi_param CONTENT_TYPE $content_type;
                    fastcgi_param CONTENT_LENGTH $content_length;
                    fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
                    fastcgi_param GIT_PROTOCOL $http_git_protocol;
                }}
            }}
        }}
        "#
    )
}

/// A private authority and a certificate of it for 127.0.0.1.
fn certificates(dir: &Path) {
    let run = |arguments: &str| {
        let done = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(dir)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "openssl {arguments}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Test"));
    run(&format!(
        "req -x509 {key} -keyout server.key -out server.pem -days 2 -subj /CN=server -CA ca.pem \
         -CAkey ca.key -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE"
    ));
}
