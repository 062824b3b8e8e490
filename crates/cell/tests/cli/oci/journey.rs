//! All five programs at work in containers, on one app: the builder with two buildpacks, the launcher, the health checks of
//! all phases, and the SSH server with shell, copies and forwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use suite::essential_debian;
use suite::ssh::{Client, Terminal, run};

use super::{machine_of, nothing_is_left};
use crate::machine::{Machine, eventually, get};

/// Says what an app sees of its container, and is a server then: `/` and `/ready` are as healthy as the files of these
/// names in its home say.
const APP: &str = r#"
fact() { echo "fact $1=$2"; }
fact user "$(id -u):$(id -g):$(id -G):$(id -un)"
fact rights "$(grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\t' | tr '\n' ' ')"
fact place "$PWD"
fact mask "$(umask)"
fact files "$(ulimit -Sn) $(ulimit -Hn) $(ulimit -Sc)"
fact processes "$(cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null)"
fact memory "$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null)"
fact session "$(perl -e 'print getpgrp == $$ || getpgrp == getppid, " ", -t 0 || -t 1 || -t 2 ? "tty" : "none"')"
fact ignored "$(perl -e 'print join " ", grep { !/^(NUM|FPE)/ && ($SIG{$_} // "") eq "IGNORE" } sort keys %SIG')"
fact blocked "$(grep SigBlk: /proc/self/status | tr -d '\t')"
fact bundle "$(touch /tmp/lifecycle/new 2>&1 | sed 's/.*: //')"
fact cgroups "$(for it in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $it/new; done 2>&1 | sed 's/.*: //' | sort -u)"
timeout 0.3 cat; fact stdin $?
env | sed 's/^/variable /'
exec perl server.pl
"#;

const SERVER: &str = r#"
use strict; use warnings; use IO::Socket::INET; $SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 16, ReuseAddr => 1) or die;
while (1) {
    my $client = $listener->accept or next;
    my ($path) = (<$client> // '') =~ m{ /(\w*)};
    while (<$client>) { last if /^\r?\n/ }
    my $status = 200;
    if (open my $file, '<', "$ENV{HOME}/health-$path") { chomp($status = <$file>) }
    print $client "HTTP/1.0 $status It\r\n\r\nserved";
    close $client;
}
"#;

const MANIFEST: &str = "applications:
- name: shop
  memory: 256M
  buildpacks: [writes-profile-d, procfile]
  env: {COLOUR: red}
  health-check-type: http
  health-check-interval: 1
  health-check-invocation-timeout: 30
  readiness-health-check-type: http
  readiness-health-check-http-endpoint: /ready
  readiness-health-check-interval: 1
  readiness-health-check-invocation-timeout: 30
";

#[test]
fn root_an_app_of_two_buildpacks_is_staged_launched_checked_and_entered() {
    let machine = machine_of(&essential_debian(), &["writes-profile-d", "procfile"]);
    let app = machine.app(&[
        ("Procfile", "web: sh app.sh\n"),
        ("app.sh", APP),
        ("server.pl", SERVER),
        (".profile", "export OWN=\"$SUPPLIED of $COLOUR\"\n"),
        ("manifest.yml", MANIFEST),
    ]);
    let url = machine.push(&app);
    assert!(get(&url).ends_with("served"));
    is_staged(&machine);
    sees_the_platforms_container(&machine);
    has_the_platforms_environment(&machine, url.rsplit(':').next().unwrap());
    is_entered(&machine);
    is_copied_to_and_from(&machine);
    is_forwarded(&machine, &url);
    is_checked(&machine);
    machine.cell(&["stop", "shop"]).succeeds();
    let log = machine.log();
    assert!(log.contains("[APP/PROC/WEB/0] OUT Exit status 143"), "{log}");
    nothing_is_left(&machine);
}

/// What the Cloud Controller reads.
fn is_staged(machine: &Machine) {
    let document = |name| -> Value {
        serde_json::from_slice(&fs::read(machine.place(name)).unwrap()).unwrap()
    };
    let result = document("result.json");
    assert_eq!(result["process_types"]["web"], "sh app.sh", "{result}");
    let buildpacks = result["lifecycle_metadata"]["buildpacks"].as_array().unwrap();
    assert_eq!(buildpacks.len(), 2, "{result}");
    let report = document("staging_report.json").to_string();
    assert!(report.contains("sha256"), "{report}");
    assert!(machine.log().contains("[STG/0] OUT Uploading complete"));
}

/// Lines of the app's log that begin with `kind`, at their first `=`.
fn told(machine: &Machine, kind: &str) -> BTreeMap<String, String> {
    let log = machine.log();
    let start = format!("[APP/PROC/WEB/0] OUT {kind} ");
    let lines = log.lines().filter_map(|line| line.split_once(&start)?.1.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The platform contract's sections 7 and 14.
fn sees_the_platforms_container(machine: &Machine) {
    let facts = told(machine, "fact");
    for (name, value) in [
        ("user", "2000:2000:2000:vcap"),
        (
            "rights",
            "CapInh:0000000000000000 CapPrm:0000000000000000 CapEff:0000000000000000 \
             CapBnd:0000000000000000 CapAmb:0000000000000000 NoNewPrivs:1 Seccomp:2 ",
        ),
        ("place", "/home/vcap/app"),
        ("mask", "0022"),
        ("files", "16384 16384 0"),
        ("processes", "1024"),
        ("memory", "268435456"),
        ("session", "1 none"),
        ("ignored", ""),
        ("blocked", "SigBlk:0000000000000000"),
        ("bundle", "Read-only file system"),
        ("cgroups", "Permission denied"),
        ("stdin", "124"),
    ] {
        assert_eq!(facts.get(name).map(String::as_str), Some(value), "{name}: {facts:?}");
    }
}

/// The platform contract's section 5.2: no variable more, none less.
fn has_the_platforms_environment(machine: &Machine, port: &str) {
    let mut variables = told(machine, "variable");
    // Those of the shells.
    for name in ["_", "PWD", "OLDPWD", "SHLVL"] {
        variables.remove(name);
    }
    let application: Value = serde_json::from_str(&variables["VCAP_APPLICATION"]).unwrap();
    assert_eq!(application["port"].to_string(), port);
    assert_eq!(application["limits"]["mem"], 256);
    let ports: Value = serde_json::from_str(&variables["CF_INSTANCE_PORTS"]).unwrap();
    assert_eq!(ports[0]["internal"].to_string(), port);
    let guid = variables["CF_INSTANCE_GUID"].clone();
    assert_eq!(guid.len(), 36);
    let address = format!("127.0.0.1:{port}");
    let expected = [
        ("CF_INSTANCE_ADDR", address.as_str()),
        ("CF_INSTANCE_GUID", &guid),
        ("CF_INSTANCE_INDEX", "0"),
        ("CF_INSTANCE_INTERNAL_IP", "127.0.0.1"),
        ("CF_INSTANCE_IP", "127.0.0.1"),
        ("CF_INSTANCE_PORT", port),
        ("CF_INSTANCE_PORTS", &variables["CF_INSTANCE_PORTS"]),
        ("COLOUR", "red"),
        ("DEPS_DIR", "/home/vcap/deps"),
        ("HOME", "/home/vcap/app"),
        ("INSTANCE_GUID", &guid),
        ("INSTANCE_INDEX", "0"),
        ("LANG", "en_US.UTF-8"),
        ("MEMORY_LIMIT", "256m"),
        ("OWN", "0 of red"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("PORT", port),
        ("SUPPLIED", "0"),
        ("TMPDIR", "/home/vcap/tmp"),
        ("USER", "vcap"),
        ("VCAP_APPLICATION", &variables["VCAP_APPLICATION"]),
        ("VCAP_APP_HOST", "0.0.0.0"),
        ("VCAP_APP_PORT", port),
        ("VCAP_SERVICES", "{}"),
    ];
    let found: Vec<_> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
}

fn is_entered(machine: &Machine) {
    let said = machine.cell(&["ssh", "shop", "--", "echo out; echo error >&2; exit 7"]);
    assert_eq!((said.0.status.code(), said.out().as_str()), (Some(7), "out\n"));
    assert!(said.error().starts_with("error\n"), "{}", said.error());
    let said = machine.cell(&["ssh", "shop", "--", "kill -TERM $$"]);
    assert_eq!(said.0.status.code(), Some(255), "{}", said.error());
    let shell = "/tmp/lifecycle/shell /home/vcap/app 'echo $SUPPLIED $PWD $HOME'";
    let said = machine.cell(&["ssh", "shop", "--", shell]).succeeds();
    assert_eq!(said.out(), "0 /home/vcap/app /home/vcap/app\n");
    // A login shell, with a terminal that knows of Ctrl-C.
    let mut terminal = Terminal::start(&machine.command(&["ssh", "shop"]), &[]);
    terminal.types("tty; stty size; sh -c 'echo I am $$; exec sleep 600'\r");
    let screen = terminal.shows("\nI am ");
    assert!(screen.contains("/dev/pts/") && screen.contains("24 80"), "{screen:?}");
    terminal.types("\u{3}");
    terminal.types("echo status $?; exit 3\r");
    terminal.shows("status 130");
    assert_eq!(terminal.wait(), 3);
}

/// One of OpenSSH's clients, with the key that `cell` keeps and the port that the app is told.
fn client(machine: &Machine, program: &str) -> Command {
    let ports: Value =
        serde_json::from_str(&told(machine, "variable")["CF_INSTANCE_PORTS"]).unwrap();
    let mut command = Command::new(program);
    command.args([
        "-F",
        "none",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-i",
    ]);
    command.arg(machine.place("key")).arg("-o");
    command.arg(format!("UserKnownHostsFile={}", machine.place("known_hosts").display()));
    command.args(["-o", "HostKeyAlias=piecrust"]);
    command.arg("-o").arg(format!("Port={}", ports[1]["internal"]));
    command
}

fn is_copied_to_and_from(machine: &Machine) {
    let here = |name: &str| -> PathBuf { machine.state().with_file_name(name) };
    let bytes: Vec<u8> =
        (0..300_000_u32).flat_map(|it| (it.wrapping_mul(it)).to_le_bytes()).collect();
    fs::write(here("up"), &bytes).unwrap();
    let there = "vcap@127.0.0.1:/home/vcap/app/copied";
    for protocol in [&["-O"][..], &["-s"]] {
        let mut up = client(machine, "scp");
        let _copied = run(up.args(protocol).arg(here("up")).arg(there), b"").succeeds();
        let mut down = client(machine, "scp");
        let _copied = run(down.args(protocol).arg(there).arg(here("down")), b"").succeeds();
        assert!(fs::read(here("down")).unwrap() == bytes, "{protocol:?}");
        fs::remove_file(here("down")).unwrap();
        let words = ["ssh", "shop", "--", "stat -c %U:%s app/copied && rm app/copied"];
        assert_eq!(machine.cell(&words).succeeds().out(), "vcap:1200000\n");
    }
    let batch = format!(
        "put {} app/a\nrename app/a app/b\nget app/b {}\nrm app/b\n",
        here("up").display(),
        here("down").display()
    );
    let mut sftp = client(machine, "sftp");
    let _done = run(sftp.args(["-b", "-", "vcap@127.0.0.1"]), batch.as_bytes()).succeeds();
    assert!(fs::read(here("down")).unwrap() == bytes);
}

fn is_forwarded(machine: &Machine, url: &str) {
    let (own, app) = (suite::free_port(), url.strip_prefix("http://").unwrap());
    let mut ssh = client(machine, "ssh");
    ssh.args([
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-L",
        &format!("{own}:{app}"),
        "vcap@127.0.0.1",
    ]);
    let _forwarding = Client::start(&mut ssh);
    eventually("the forward is there", || std::net::TcpStream::connect(("127.0.0.1", own)).is_ok());
    assert!(get(&format!("http://127.0.0.1:{own}")).ends_with("served"));
}

/// Readiness comes and goes; an unhealthy app gets a new container.
fn is_checked(machine: &Machine) {
    let instance = || machine.cell(&["ps", "--json"]).succeeds().events().remove(0);
    let set = |path: &str, health: &str| {
        let command = format!("echo {health} >app/new && mv app/new app/health-{path}");
        machine.cell(&["ssh", "shop", "--", &command]).succeeds();
    };
    eventually("it is ready", || instance()["ready"] == true);
    set("ready", "503");
    eventually("it is not ready", || instance()["ready"] == false);
    set("ready", "200");
    eventually("it is ready again", || instance()["ready"] == true);
    set("", "500");
    eventually("it was started again", || {
        let it = instance();
        it["crashes"] == 1 && it["state"] == "running" && it["ready"] == true
    });
    let log = machine.log();
    for (line, count) in [
        ("Container became healthy", 2),
        (
            "Container passed the readiness health check. Container marked ready and added to route pool.",
            3,
        ),
        ("Container failed the readiness health check.", 1),
        ("Process has crashed with type: \"web\": Instance became unhealthy: ", 1),
    ] {
        assert_eq!(log.matches(line).count(), count, "{line}: {log}");
    }
}
