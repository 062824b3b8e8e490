//! nginx, the server that most blobstores are behind.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use suite::wait_for;
use tempfile::TempDir;

/// Stopped when dropped.
pub(crate) struct Web {
    dir: TempDir,
    port: u16,
    nginx: Child,
}

impl Web {
    /// With these directives for its one location.
    pub(crate) fn start(directives: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        // nginx drops root's rights.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).unwrap();
        let port = suite::free_port();
        let nginx = spawn(&dir, port, directives);
        Self { dir, port, nginx }
    }

    /// Kills it in the middle of whatever it does, and starts another one in its place.
    pub(crate) fn replace(&mut self, directives: &str) {
        self.nginx.kill().unwrap();
        self.nginx.wait().unwrap();
        self.nginx = spawn(&self.dir, self.port, directives);
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.dir.path().join("root").join(name), content).unwrap();
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    /// The statuses of all answers so far.
    pub(crate) fn statuses(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir.path().join("access.log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _gone = self.nginx.kill();
        let _status = self.nginx.wait();
    }
}

fn spawn(dir: &TempDir, port: u16, directives: &str) -> Child {
    let path = dir.path().display();
    // One process without children, so that killing it is enough.
    let configuration = format!(
        "daemon off; master_process off; pid {path}/nginx.pid; events {{}}
         http {{
             log_format status $status;
             access_log {path}/access.log status;
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
             fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
             server {{ listen 127.0.0.1:{port} reuseport; root {path}/root; location / {{ {directives} }} }}
         }}"
    );
    fs::write(dir.path().join("nginx.conf"), configuration).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c"]).arg(dir.path().join("nginx.conf"));
    let nginx = command.arg("-p").arg(dir.path()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("nginx to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    nginx
}
