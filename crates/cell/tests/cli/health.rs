//! What health checks and crashes make of an instance.

use std::fs;
use std::time::Instant;

use crate::machine::{Machine, eventually};

#[test]
fn an_app_that_listens_elsewhere_is_never_healthy_and_the_log_says_why() {
    listens_elsewhere(&Machine::new());
}

/// The same, wherever its containers are.
pub(crate) fn listens_elsewhere(machine: &Machine) {
    let manifest = "applications: [{name: shop, timeout: 2}]";
    let elsewhere = "web: exec perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1) or die; sleep 600'\n";
    let app = machine.app(&[("Procfile", elsewhere), ("manifest.yml", manifest)]);
    let push = || machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    let error = push();
    assert!(error.contains("'shop' crashed: Instance never healthy after "), "{error}");
    assert!(error.contains("connection refused"), "{error}");
    let advice = "; it is started again until cell stop shop; its log: cell logs shop\n";
    assert!(error.ends_with(advice), "{error}");
    // A busy machine is not looked through in 20 ms: the explanation is there sooner or later.
    eventually("the explanation", || {
        machine.log().contains("connection refused (nothing listens on port ") || push().is_empty()
    });
    let log = machine.log();
    assert!(
        log.contains("[HEALTH/0] ERR Timed out after 2s (")
            && log.contains("[CELL/0] ERR Process has crashed with type: \"web\""),
        "{log}"
    );
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn an_app_that_ends_is_started_again_at_once_three_times() {
    ends_again_and_again(&Machine::new());
}

/// The same, wherever its containers are.
pub(crate) fn ends_again_and_again(machine: &Machine) {
    let app = machine.app(&[("Procfile", "web: exit 9\n")]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    assert!(error.contains("'shop' crashed: APP/PROC/WEB: Exited with status 9"), "{error}");
    eventually("the fourth start is put off", || {
        machine.log().contains("The next start is in 30 s")
    });
    assert_eq!(machine.log().matches("Process has crashed").count(), 4);
    machine.cell(&["stop", "shop"]).succeeds();
}

/// A server whose health is what the file `health` in its home says: `200`, `500`, …
const SERVER: &str = r#"
use strict; use warnings; use IO::Socket::INET; $SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 16, ReuseAddr => 1) or die;
while (1) {
    my $client = $listener->accept or next;
    while (<$client>) { last if /^\r?\n/ }
    my $status = 200;
    if (open my $file, '<', "$ENV{HOME}/health") { chomp($status = <$file>) }
    print $client "HTTP/1.0 $status It\r\n\r\n";
    close $client;
}
"#;

/// Pushes the server with these keys in its manifest, and gives what sets its health.
fn push_server(machine: &Machine, keys: &str) -> impl Fn(&str) {
    let manifest = format!("applications: [{{name: shop, {keys}}}]");
    let app = machine.app(&[
        ("Procfile", "web: perl server.pl\n"),
        ("server.pl", SERVER),
        ("manifest.yml", &manifest),
    ]);
    machine.push(&app);
    |health| {
        let command = format!("echo {health} >app/new && mv app/new app/health");
        machine.cell(&["ssh", "shop", "--", &command]).succeeds();
    }
}

#[test]
fn an_app_that_becomes_unhealthy_is_started_again_and_the_log_says_why() {
    becomes_unhealthy(&Machine::new());
}

/// The same, wherever its containers are.
pub(crate) fn becomes_unhealthy(machine: &Machine) {
    let set = push_server(
        machine,
        "health-check-type: http, health-check-interval: 1, health-check-invocation-timeout: 30",
    );
    set("503");
    eventually("it was started again", || {
        let of = machine.cell(&["ps", "--json"]).succeeds().events().remove(0);
        of["crashes"] == 1 && of["state"] == "running"
    });
    let log = machine.log();
    for line in [
        "[HEALTH/0] ERR ",
        "503",
        "Process has crashed with type: \"web\": Instance became unhealthy: ",
        "[CELL/0] OUT Stopping instance ",
        "[APP/PROC/WEB/0] OUT Exit status 143",
    ] {
        assert!(log.contains(line), "no {line}: {log}");
    }
    assert_eq!(log.matches("Container became healthy").count(), 2, "{log}");
    machine.cell(&["stop", "shop"]).succeeds();
}

/// The next one began at once, and the log said nothing.
#[test]
fn a_readiness_check_that_cannot_be_started_is_told_and_tried_again_after_a_while() {
    let machine = Machine::new();
    let set = push_server(
        &machine,
        "health-check-invocation-timeout: 30, readiness-health-check-type: http, \
         readiness-health-check-interval: 1, readiness-health-check-invocation-timeout: 30",
    );
    let is_ready = || machine.cell(&["ps", "--json"]).succeeds().events()[0]["ready"] == true;
    eventually("it is ready", is_ready);
    let programs = machine.place("instances/web-0/tmp/lifecycle");
    fs::rename(&programs, programs.with_extension("away")).unwrap();
    let began = Instant::now();
    set("503");
    let failures = || machine.log().matches("[HEALTH/0] ERR Failed to invoke process: ").count();
    eventually("it was tried twice", || failures() >= 2);
    let tries = failures();
    let pauses = began.elapsed().as_secs() / 2;
    assert!(tries as u64 <= pauses + 1, "{}", machine.log());
    fs::rename(programs.with_extension("away"), &programs).unwrap();
    set("200");
    eventually("it is ready again", is_ready);
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn an_app_that_is_not_ready_takes_no_requests_until_it_is() {
    is_not_ready(&Machine::new());
}

/// The same, wherever its containers are.
pub(crate) fn is_not_ready(machine: &Machine) {
    let set = push_server(
        machine,
        "health-check-invocation-timeout: 30, readiness-health-check-type: http, \
         readiness-health-check-interval: 1, readiness-health-check-invocation-timeout: 30",
    );
    let is_ready = || machine.cell(&["ps", "--json"]).succeeds().events()[0]["ready"] == true;
    eventually("it is ready", is_ready);
    set("503");
    eventually("it is not ready", || !is_ready());
    assert!(machine.cell(&["ps"]).succeeds().out().contains("running, not ready"));
    set("200");
    eventually("it is ready again", is_ready);
    let log = machine.log();
    for (line, count) in [
        (
            "Container passed the readiness health check. Container marked ready and added to route pool.",
            2,
        ),
        (
            "Container failed the readiness health check. Container marked not ready and removed from route pool.",
            1,
        ),
        ("Process has crashed", 0),
    ] {
        assert_eq!(log.matches(line).count(), count, "{line}: {log}");
    }
    machine.cell(&["stop", "shop"]).succeeds();
}
