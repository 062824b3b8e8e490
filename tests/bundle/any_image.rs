//! The static programs in roots that hold nothing but themselves (no libc, no shell, no `/etc/passwd`, no `/proc`),
//! busybox, or a minimal Debian. A root is entered by chroot, which only root may do.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use suite::{essential_debian, free_port, tool, wait_for, xxhash};

use crate::Bundle;

/// A directory that is the whole file system of what runs in it; the bundle is at its root.
struct Image(Bundle);

/// How a program ended, and what it printed on both streams.
struct Ended {
    /// Target, words and status, for the messages of failures.
    what: String,
    status: Option<i32>,
    output: String,
}

impl Image {
    /// Nothing but the bundle, for each architecture.
    fn empty() -> Vec<Self> {
        Bundle::all_static().into_iter().map(Self).collect()
    }

    /// Busybox with all its names, no other file.
    fn busybox() -> Vec<Self> {
        let mut images = Self::empty();
        for image in &mut images {
            image.directory("bin");
            let places = ["/bin/busybox", "/usr/bin/busybox"];
            let busybox = places.iter().find(|path| Path::new(path).exists()).expect("busybox");
            fs::copy(busybox, image.path("bin/busybox")).unwrap();
            // `busybox --install` needs /proc.
            let names = tool(busybox, ["--list"]);
            for name in names.lines().filter(|name| *name != "busybox") {
                symlink("busybox", image.path("bin").join(name)).unwrap();
            }
        }
        images
    }

    /// What Debian calls essential, of this machine's release and architecture.
    fn debian() -> Vec<Self> {
        let images = Self::empty();
        let debian = essential_debian();
        for image in &images {
            // Devices, which the root of a user namespace may not make, are left out.
            let root = image.0.root().to_str().unwrap();
            tool("tar", ["-xf", debian.to_str().unwrap(), "-C", root, "--exclude=./dev/*"]);
        }
        images
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.root().join(inside.trim_start_matches('/'))
    }

    fn directory(&self, inside: &str) {
        fs::create_dir_all(self.path(inside)).unwrap();
    }

    fn script(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A command in the image, with `PATH`, `HOME` and `PORT` as environment.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(self.0.root()).args(words).stdin(Stdio::null());
        command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("HOME", "/"), ("PORT", "8080")]);
        command
    }

    fn run(&self, words: &[&str]) -> Ended {
        let output = self.command(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let what = format!("{}: {words:?}: {}", self.0.target, output.status);
        let output_of_both = text(&output.stdout) + &text(&output.stderr);
        Ended { status: output.status.code(), what, output: output_of_both }
    }

    /// Stages `/app` with one buildpack, whose scripts are these and `release`.
    fn stage(&self, scripts: &[(&str, &str)]) -> Ended {
        self.directory("app");
        fs::write(self.path("app/page"), "a page\n").unwrap();
        let bin = format!("buildpacks/{}/bin", xxhash("A"));
        let release = ("release", "echo 'default_process_types: {web: cat page}'");
        for (name, body) in scripts.iter().chain([&release]) {
            self.script(&format!("{bin}/{name}"), &format!("#!/bin/sh\n{body}\n"));
        }
        let flags = [
            "/builder",
            "-buildpackOrder=A",
            "-skipDetect=true",
            "-buildDir=/app",
            "-outputDroplet=/out/droplet",
            "-outputMetadata=/out/result.json",
            "-outputBuildArtifactsCache=/out/cache",
            "-buildpacksDir=/buildpacks",
            "-buildArtifactsCacheDir=/cache",
        ];
        self.run(&flags)
    }
}

impl Ended {
    fn succeeds(self) -> Self {
        self.ends(0, &[])
    }

    /// Checks the status, and that the output has all these parts.
    fn ends(self, status: i32, parts: &[&str]) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.what, self.output);
        for part in parts {
            assert!(self.output.contains(part), "no {part:?}: {}\n{}", self.what, self.output);
        }
        self
    }
}

#[test]
fn root_in_an_empty_image_the_launcher_starts_a_program_and_says_that_there_is_no_shell() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let check = format!("/healthcheck -port={}", listener.local_addr().unwrap().port());
    for image in Image::empty() {
        image.directory("app");
        let no_shell = "WARNING: this image has no shell.";
        image.run(&["/launcher", "app", &check, ""]).ends(0, &[no_shell]);
        let missing = "no-such-program: no such file or directory\n";
        image.run(&["/launcher", "app", "no-such-program", ""]).ends(4, &[no_shell, missing]);
        image.run(&["/shell"]).ends(1, &[no_shell, "bash: no such file or directory\n"]);
    }
}

#[test]
fn root_in_an_empty_image_healthchecks_are_what_they_are_elsewhere() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let open = format!("-port={}", listener.local_addr().unwrap().port());
    let closed = {
        let closed = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        format!("-port={}", closed.local_addr().unwrap().port())
    };
    for image in Image::empty() {
        image.run(&["/healthcheck", &open]).ends(0, &[]);
        image.run(&["/healthcheck", &closed]).ends(4, &["connection refused"]);
        let http = ["/healthcheck", &closed, "-uri=/"];
        image.run(&http).ends(5, &["failed to make HTTP request to '/'", "connection refused"]);
    }
}

#[test]
fn root_in_an_empty_image_staging_names_what_is_missing() {
    for image in Image::empty() {
        image
            .stage(&[("supply", "true"), ("finalize", "true")])
            .ends(1, &["stat /tmp: no such file or directory"]);
        image.directory("tmp");
        let missing = "bin/supply of buildpack A could not be started: its interpreter /bin/sh is not in this stack";
        image.stage(&[("supply", "true"), ("finalize", "true")]).ends(223, &[missing]);
        let url = [
            "/builder",
            "-buildDir=/app",
            "-buildpackOrder=https://127.0.0.1:9/buildpack.git",
            "-skipDetect",
        ];
        image.run(&url).ends(1, &["exec: \"git\": executable file not found in $PATH"]);
    }
}

#[test]
fn root_in_a_busybox_image_an_app_is_staged_and_launched() {
    for image in Image::busybox() {
        image.directory("tmp");
        // Once it was the interpreter that was said to be missing.
        let missing =
            "bin/supply of buildpack A could not be started: /dev/null is not in this stack";
        image.stage(&[("supply", "true"), ("finalize", "true")]).ends(223, &[missing]);
        works(&image, &["WARNING: this image has no bash."]);
    }
}

#[test]
fn root_in_a_minimal_debian_an_app_is_staged_and_launched() {
    for image in Image::debian() {
        works(&image, &[]);
    }
}

/// Staging, launching, a shell, where there is a file for `/dev/null`; `warnings` are what launcher and shell say beside.
fn works(image: &Image, warnings: &[&str]) {
    image.directory("dev");
    fs::write(image.path("dev/null"), "").unwrap();
    let scripts = [
        ("supply", "echo supplied > $3/$4/file"),
        ("finalize", "echo 'export SEEN=profile' > $5/seen.sh"),
    ];
    image.stage(&scripts).succeeds();
    image.directory("home");
    let words = ["sh", "-c", "cd /home && tar -xzf /out/droplet"];
    image.run(&words).succeeds();
    let mut launched = vec!["a page\n", "Invoking start command.\n"];
    launched.extend(warnings);
    let within = |words: &str| format!("cd /home && exec {words}");
    image.run(&["sh", "-c", &within("/launcher app '' ''")]).ends(0, &launched);
    image
        .run(&["sh", "-c", &within("/launcher app 'echo $SEEN; exit 7' ''")])
        .ends(7, &["profile\n"]);
    let mut in_shell = vec!["profile in /home/app\n"];
    in_shell.extend(warnings);
    image.run(&["sh", "-c", &within("/shell /home/app 'echo $SEEN in $PWD'")]).ends(0, &in_shell);
}

/// A daemon that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn root_in_an_empty_image_sshd_greets() {
    for image in Image::empty() {
        let port = free_port();
        let address = format!("-address=127.0.0.1:{port}");
        let words = ["/diego-sshd", &address, "-allowUnauthenticatedClients", "-logLevel=fatal"];
        let _daemon = Daemon(image.command(&words).spawn().unwrap());
        let greeting = wait_for("a greeting of diego-sshd", || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut greeting = [0; 8];
            stream.read_exact(&mut greeting).ok().map(|()| greeting)
        });
        assert_eq!(&greeting, b"SSH-2.0-", "{}", image.0.target);
    }
}
