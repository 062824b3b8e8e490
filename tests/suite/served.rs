//! The whole way as a cell goes it: everything comes from the file server, with its checksum, and the
//! programs that stage, launch and check are those of the downloaded bundle (platform, 1.4 and 3.3).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use file_server::{FileServer, Serving};
use lifecycle::download::{Asset, Cache, Checksum, Held, PLATFORM_LIMIT};
use lifecycle::environment::Environment;
use lifecycle::http::{Client, transfer::TIMEOUTS};
use lifecycle::url::Url;
use nix::sys::signal::Signal;
use serde_json::Value;
use suite::ssh::{keygen, run};
use suite::{Container, Running, Stage, program, tool, wait_for};
use tempfile::TempDir;

use crate::container::{PROCFILE, READS_STDIN, environment, fixture, packed, start_staging};

/// A bundle's programs, as `scripts/bundle` packs them.
const PROGRAMS: [&str; 5] = ["builder", "launcher", "shell", "healthcheck", "diego-sshd"];

/// The instance's address.
const ADDRESS: &str = "10.255.3.7";

/// A file server with its directory, and a cell's cache.
struct Platform {
    dir: TempDir,
    server: Serving,
    cache: Cache,
}

impl Platform {
    fn new() -> Self {
        let dir = TempDir::with_prefix("platform-").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("static")).unwrap();
        let server = FileServer::bind(([127, 0, 0, 1], 0).into(), &dir.path().join("static"));
        let server = server.unwrap().start().unwrap();
        let client = Client::new(&Environment::default(), TIMEOUTS);
        let cache = Cache::open(&dir.path().join("cache"), PLATFORM_LIMIT, client).unwrap();
        Self { dir, server, cache }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("static").join(name)
    }

    /// Packs this build's programs, without what only debuggers need, but with their links.
    fn make_bundle(&self, name: &str) {
        let programs = program("builder");
        let (programs, stripped) = (programs.parent().unwrap(), self.dir.path().join("stripped"));
        for directory in [&stripped, self.path(name).parent().unwrap()] {
            fs::create_dir(directory).unwrap();
        }
        let names = PROGRAMS.join(" ");
        // Those for other machines are as they are shipped, and strip does not know them.
        let script = format!(
            "for name in {names}; do
               if [ -L \"$2/$name\" ] || ! strip -o \"$1/$name\" \"$2/$name\" 2>/dev/null; then
                 cp -P \"$2/$name\" \"$1\"
               fi
             done
             tar -czf \"$0\" -C \"$1\" {names}"
        );
        shell(&script, &[&self.path(name), &stripped, programs]);
    }

    fn asset(&self, name: &str) -> Asset {
        let sums = tool("sha256sum", [self.path(name)]);
        let checksum = Some(Checksum::new("sha256", &sums[..64]).unwrap());
        Asset { url: Url::parse(&format!("{}{name}", self.server.url())).unwrap(), checksum }
    }

    fn directory(&self, name: &str) -> Held {
        self.cache.directory(&self.asset(name)).unwrap()
    }

    fn archive(&self, name: &str) -> Held {
        self.cache.archive(&self.asset(name)).unwrap()
    }
}

fn shell(script: &str, words: &[&Path]) {
    tool("sh", ["-euc", script].map(Path::new).iter().chain(words));
}

/// A container with the bundle in the place of this build's programs.
fn container(bundle: &Held, buildpacks: &[(&str, &Path)]) -> Container {
    Container::changed(buildpacks, |config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        let lifecycle = |mount: &&mut Value| mount["destination"] == "/tmp/lifecycle";
        mounts.iter_mut().find(lifecycle).unwrap()["source"] = bundle.path().to_str().into();
    })
}

#[test]
fn root_bundle_buildpacks_app_and_droplet_come_from_the_file_server() {
    let platform = Platform::new();
    platform.make_bundle("lifecycle/bundle.tgz");
    for name in ["reads-stdin", "procfile"] {
        let zip = platform.path(&format!("{name}.zip"));
        shell("cd \"$1\" && zip -qry \"$0\" .", &[&zip, &fixture(name)]);
    }
    fs::copy(packed(&Stage::app("procfile")), platform.path("app.tgz")).unwrap();

    let bundle = platform.directory("lifecycle/bundle.tgz");
    for name in PROGRAMS {
        let found = bundle.path().join(name).metadata().unwrap();
        assert_eq!((found.is_file(), found.permissions().mode() & 0o777), (true, 0o755), "{name}");
    }
    let buildpacks = [(READS_STDIN, "reads-stdin.zip"), (PROCFILE, "procfile.zip")];
    let buildpacks = buildpacks.map(|(key, name)| (key, platform.directory(name)));
    let buildpacks = buildpacks.each_ref().map(|(key, held)| (*key, held.path()));
    let mut staging = container(&bundle, &buildpacks);
    staging.unpack(platform.archive("app.tgz").path(), "/tmp/app");
    let staged = start_staging(&mut staging, &[READS_STDIN, PROCFILE]).finish().succeeds();
    assert!(staged.stderr.is_empty(), "{staged}");
    fs::copy(staging.take("/tmp/droplet"), platform.path("droplet")).unwrap();
    drop(staging);

    let again = platform.directory("lifecycle/bundle.tgz");
    assert!(again.was_cached() && again.path() == bundle.path());
    let mut running = container(&again, &[]);
    running.give_address(&format!("{ADDRESS}/24"));
    running.unpack(platform.archive("droplet").path(), "/home/vcap");
    let app = is_launched_and_healthy(&mut running);
    lets_people_in(&mut running);
    app.signal(Signal::SIGTERM);
    let ended = app.finish();
    assert_eq!((ended.status, ended.stderr.as_str()), (143, ""), "{ended}");
}

/// What the platform gives to the processes of an instance.
fn of_the_instance() -> Vec<(&'static str, &'static str)> {
    environment(&[("PORT", "8080"), ("INSTANCE_INDEX", "0"), ("LC_ALL", "C")])
}

/// The launcher of the bundle makes the app answer its health check.
fn is_launched_and_healthy(container: &mut Container) -> Running {
    let app = container.start(&["/tmp/lifecycle/launcher", "app", "", ""], &of_the_instance());
    let check = ["/tmp/lifecycle/healthcheck", "-port=8080", "-uri=/", "-timeout=1000ms"];
    wait_for("the app to be healthy", || {
        Some(container.run(&check, &of_the_instance())).filter(|check| check.status == 0)
    });
    app
}

/// The daemon with the platform's arguments (5.3), and OpenSSH's client: a session in the container, one in the app's
/// environment, which the bundle's shell computes, and the daemon's end.
fn lets_people_in(container: &mut Container) {
    let keys = TempDir::with_prefix("keys-").unwrap();
    let path = |name: &str| keys.path().join(name);
    keygen("rsa -b 2048", &path("key"));
    let public = fs::read_to_string(path("key.pub")).unwrap();
    fs::write(path("known_hosts"), format!("[{ADDRESS}]:2222 {public}")).unwrap();
    // Nothing of this machine's user.
    let settings = format!(
        "Host box\n HostName {ADDRESS}\n Port 2222\n User vcap\n IdentityFile {0}/key\n IdentitiesOnly yes\n \
         UserKnownHostsFile {0}/known_hosts\n BatchMode yes\n LogLevel ERROR\n",
        keys.path().display(),
    );
    let config = path("config");
    fs::write(&config, settings).unwrap();
    let words = [
        "/tmp/lifecycle/diego-sshd",
        "-address=0.0.0.0:2222",
        &format!("-hostKey={}", fs::read_to_string(path("key")).unwrap()),
        &format!("-authorizedKey={}", public.trim_end()),
        "-inheritDaemonEnv",
        "-logLevel=fatal",
    ];
    let daemon = container.start(&words, &of_the_instance());
    let ssh = |variable: &str, command: &str| {
        let set = format!("SetEnv={variable}");
        let words = ["ssh", "-F", config.to_str().unwrap(), "-T", "-o", &set, "box", command];
        run(container.client(&words).env_remove("SSH_AUTH_SOCK"), b"")
    };
    wait_for("a session", || Some(ssh("A=", "true")).filter(|session| session.status == 0));
    let plain = ssh("A=", "id -u; echo $PWD $PORT ${DEPS_DIR-no deps}");
    plain.prints("2000\n/home/vcap 8080 no deps\n");
    let in_app = ssh("CF_SSH_APP_ENV=1", "echo $PWD $PORT $DEPS_DIR; exit 7").ends_with(7);
    assert_eq!(in_app.stdout, "/home/vcap/app 8080 /home/vcap/deps\n", "{in_app}");
    daemon.signal(Signal::SIGTERM);
    let ended = daemon.finish().succeeds();
    assert_eq!(ended.stdout.clone() + &ended.stderr, "", "{ended}");
}
