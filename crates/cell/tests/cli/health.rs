//! What health checks and crashes make of an instance.

use crate::machine::{Machine, eventually};

#[test]
fn an_app_that_listens_elsewhere_is_never_healthy_and_the_log_says_why() {
    let machine = Machine::new();
    let manifest = "applications: [{name: shop, timeout: 2}]";
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", manifest)]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    assert!(error.contains("'shop' crashed: Instance never healthy after "), "{error}");
    assert!(error.contains("connection refused"), "{error}");
    let log = machine.log();
    assert!(
        log.contains("[HEALTH/0] ERR ")
            && log.contains("[CELL/0] ERR Process has crashed with type: \"web\""),
        "{log}"
    );
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn an_app_that_ends_is_started_again_at_once_three_times() {
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: exit 9\n")]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    assert!(error.contains("'shop' crashed: APP/PROC/WEB: Exited with status 9"), "{error}");
    eventually("the fourth start is put off", || {
        machine.log().contains("The next start is in 30 s")
    });
    assert_eq!(machine.log().matches("Process has crashed").count(), 4);
    machine.cell(&["stop", "shop"]).succeeds();
}
