use super::*;

fn app() -> App {
    App {
        architecture: None,
        isolation: crate::container::Isolation::None,
        name: "shop".to_owned(),
        guid: "11111111-1111-4111-8111-111111111111".to_owned(),
        version: "22222222-2222-4222-8222-222222222222".to_owned(),
        stack: "host".to_owned(),
        environment: [("COLOUR", "red"), ("LANG", "C")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        services: json!({}),
        processes: vec![web()],
        sidecars: Vec::new(),
        staged_commands: [("web".to_owned(), "run".to_owned())].into(),
        execution_metadata: "{}".to_owned(),
    }
}

fn web() -> Process {
    Process {
        kind: "web".to_owned(),
        command: None,
        memory: 256,
        disk: 512,
        instances: 1,
        start_timeout_ms: 60_000,
        health: Check::new(CheckKind::Port),
        readiness: None,
    }
}

fn instance() -> Instance {
    Instance {
        guid: "33333333-3333-4333-8333-333333333333".to_owned(),
        index: 1,
        address: "127.0.0.1".to_owned(),
        port: 61_001,
        ssh_port: 61_002,
    }
}

fn arguments(action: &Action) -> Vec<String> {
    action.arguments.iter().map(|word| word.resolved(|path| format!("<{path}>"))).collect()
}

fn variable(action: &Action, name: &str) -> String {
    action.environment[name].resolved(|path| format!("<{path}>"))
}

#[test]
fn the_builder_gets_the_arguments_of_the_contract() {
    let action = staging(&app(), &["a".to_owned(), "b".to_owned()], true, "10.0.0.1");
    assert_eq!(action.path, "/tmp/lifecycle/builder");
    assert_eq!(
        arguments(&action),
        [
            "-buildpackOrder=a,b",
            "-skipCertVerify=false",
            "-skipDetect=true",
            "-buildDir=</tmp/app>",
            "-outputDroplet=</tmp/droplet>",
            "-outputMetadata=</tmp/result.json>",
            "-outputBuildArtifactsCache=</tmp/output-cache>",
            "-buildpacksDir=</tmp/buildpacks>",
            "-buildArtifactsCacheDir=</tmp/cache>",
        ]
    );
    let names: Vec<_> = action.environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        "CF_INSTANCE_ADDR CF_INSTANCE_INTERNAL_IP CF_INSTANCE_IP CF_INSTANCE_PORT CF_INSTANCE_PORTS CF_STACK COLOUR HOME LANG MEMORY_LIMIT PATH USER VCAP_APPLICATION VCAP_SERVICES"
            .split(' ')
            .collect::<Vec<_>>()
    );
    assert_eq!(variable(&action, "MEMORY_LIMIT"), "1024m", "staging has at least this");
    assert_eq!(variable(&action, "HOME"), "</home/vcap>");
    assert_eq!(variable(&action, "LANG"), "C", "the app's own value wins over the container's");
}

#[test]
fn the_launcher_gets_the_users_command_or_the_droplets() {
    let mut app = app();
    let action = launch(&app, &app.processes[0], &instance());
    assert_eq!(
        (action.source.as_str(), action.path.as_str()),
        ("APP/PROC/WEB", "/tmp/lifecycle/launcher")
    );
    assert_eq!(arguments(&action), ["app", "run", "{}"]);
    app.processes[0].command = Some("mine".to_owned());
    assert_eq!(arguments(&launch(&app, &app.processes[0], &instance())), ["app", "mine", "{}"]);
    app.processes[0] = Process { kind: "worker".to_owned(), ..web() };
    assert_eq!(arguments(&launch(&app, &app.processes[0], &instance())), ["app", "", "{}"]);
}

/// The app had it of the launcher, sessions had it not.
#[test]
fn every_program_of_an_instance_is_told_of_the_database() {
    let mut app = app();
    app.services = json!({"sql": [{"credentials": {"uri": "postgresql://db"}}]});
    let sshd = sshd(
        &app,
        &app.processes[0],
        &instance(),
        &KeyPair { private: String::new(), public: String::new() },
    );
    assert_eq!(variable(&sshd, "DATABASE_URL"), "postgres://db");
    assert!(!staging(&app, &[], false, "").environment.contains_key("DATABASE_URL"));
}

#[test]
fn an_instance_knows_where_it_is() {
    let app = app();
    let action = launch(&app, &app.processes[0], &instance());
    for (name, value) in [
        ("PORT", "61001"),
        ("VCAP_APP_HOST", "0.0.0.0"),
        ("MEMORY_LIMIT", "256m"),
        ("INSTANCE_INDEX", "1"),
        ("CF_INSTANCE_GUID", "33333333-3333-4333-8333-333333333333"),
        ("CF_INSTANCE_ADDR", "127.0.0.1:61001"),
        (
            "CF_INSTANCE_PORTS",
            r#"[{"external":61001,"internal":61001},{"external":61002,"internal":61002}]"#,
        ),
        ("COLOUR", "red"),
    ] {
        assert_eq!(variable(&action, name), value, "{name}");
    }
    let application: Value = serde_json::from_str(&variable(&action, "VCAP_APPLICATION")).unwrap();
    assert_eq!(application["process_type"], "web");
    assert_eq!(application["limits"], json!({"fds": 16384, "mem": 256, "disk": 512}));
    assert!(application.get("users").is_none());
}

/// Buildpacks were told the app's own limit of disk, which staging exceeds.
#[test]
fn staging_is_told_the_platforms_least_limits() {
    let limits = |app: &App| {
        let action = staging(app, &[], false, "127.0.0.1");
        let text = variable(&action, "VCAP_APPLICATION");
        serde_json::from_str::<Value>(&text).unwrap()["limits"].clone()
    };
    let mut app = app();
    assert_eq!(limits(&app), json!({"fds": 16384, "mem": 1024, "disk": 4096}));
    (app.processes[0].memory, app.processes[0].disk) = (2048, 8192);
    assert_eq!(limits(&app), json!({"fds": 16384, "mem": 2048, "disk": 8192}));
}

#[test]
fn sidecars_have_their_own_source_and_memory() {
    let app = app();
    let proxy = Sidecar {
        name: "proxy".to_owned(),
        process_types: vec!["web".to_owned()],
        command: "p".to_owned(),
        memory: Some(64),
    };
    let action = sidecar(&app, &app.processes[0], &proxy, &instance());
    assert_eq!(action.source, "APP/PROC/WEB/SIDECAR/PROXY");
    assert_eq!(arguments(&action), ["app", "p", "{}"]);
    assert_eq!(variable(&action, "MEMORY_LIMIT"), "64m");
}

#[test]
fn sshd_gets_the_arguments_of_the_contract() {
    let app = app();
    let keys = KeyPair { private: "-----BEGIN\nX\n".to_owned(), public: "ssh-rsa AAAA".to_owned() };
    let action = sshd(&app, &app.processes[0], &instance(), &keys);
    assert_eq!(
        arguments(&action),
        [
            "-address=127.0.0.1:61002",
            "-hostKey=-----BEGIN\nX\n",
            "-authorizedKey=ssh-rsa AAAA",
            "-inheritDaemonEnv",
            "-logLevel=fatal",
        ]
    );
}

#[test]
fn each_phase_of_a_health_check_has_its_flags() {
    let http = Check { endpoint: "/up".to_owned(), ..Check::new(CheckKind::Http) };
    for (check, phase, flags) in [
        (
            Check::new(CheckKind::Port),
            Phase::Startup,
            "-port=61001 -timeout=1000ms -startup-interval=2s -startup-timeout=1m0s",
        ),
        (
            http.clone(),
            Phase::Liveness,
            "-port=61001 -timeout=1000ms -uri=/up -liveness-interval=30s",
        ),
        (
            http.clone(),
            Phase::UntilReady,
            "-port=61001 -timeout=1000ms -uri=/up -until-ready-interval=2s",
        ),
        (http, Phase::Readiness, "-port=61001 -timeout=1000ms -uri=/up -readiness-interval=30s"),
    ] {
        let action = health(&web(), &check, phase, &instance()).unwrap();
        assert_eq!(arguments(&action).join(" "), flags);
    }
    assert_eq!(health(&web(), &Check::new(CheckKind::Process), Phase::Startup, &instance()), None);
}

#[test]
fn times_are_written_as_go_writes_them() {
    for (milliseconds, text) in [
        (500, "500ms"),
        (1500, "1.5s"),
        (59_050, "59.05s"),
        (60_000, "1m0s"),
        (601_000, "10m1s"),
        (3_600_000, "1h0m0s"),
    ] {
        assert_eq!(go_duration(milliseconds), text);
    }
}
