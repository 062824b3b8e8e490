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
use suite::{Container, Stage, program, tool, wait_for};
use tempfile::TempDir;

use crate::container::{PROCFILE, READS_STDIN, environment, fixture, packed, start_staging};

/// A bundle's programs, as `scripts/bundle` packs them.
const PROGRAMS: [&str; 5] = ["builder", "launcher", "shell", "healthcheck", "diego-sshd"];

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

    /// Packs this build's programs, without what only debuggers need.
    fn make_bundle(&self, name: &str) {
        let programs = program("builder");
        let (programs, stripped) = (programs.parent().unwrap(), self.dir.path().join("stripped"));
        for directory in [&stripped, self.path(name).parent().unwrap()] {
            fs::create_dir(directory).unwrap();
        }
        let names = PROGRAMS.join(" ");
        let script = format!(
            "for name in {names}; do strip -o \"$1/$name\" \"$2/$name\"; done
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
        let found = bundle.path().join(name).symlink_metadata().unwrap();
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
    running.give_address("10.255.3.7/24");
    running.unpack(platform.archive("droplet").path(), "/home/vcap");
    is_launched_and_healthy(&mut running);
}

/// The launcher of the bundle makes the app answer its health check, until it is stopped.
fn is_launched_and_healthy(container: &mut Container) {
    let environment = environment(&[("PORT", "8080"), ("INSTANCE_INDEX", "0"), ("LC_ALL", "C")]);
    let app = container.start(&["/tmp/lifecycle/launcher", "app", "", ""], &environment);
    let check = ["/tmp/lifecycle/healthcheck", "-port=8080", "-uri=/", "-timeout=1000ms"];
    wait_for("the app to be healthy", || {
        Some(container.run(&check, &environment)).filter(|check| check.status == 0)
    });
    app.signal(Signal::SIGTERM);
    let ended = app.finish();
    assert_eq!((ended.status, ended.stderr.as_str()), (143, ""), "{ended}");
}
