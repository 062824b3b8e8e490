use super::*;

fn read_text(text: &str) -> Result<Manifest, ManifestError> {
    read(text.as_bytes(), &Variables::default())
}

const WHOLE: &str = "version: 1
defaults: &defaults
  memory: 256M
  stack: cflinuxfs4
applications:
- <<: *defaults
  name: shop
  path: web
  buildpacks: [python_buildpack, https://example.com/bp.zip]
  command: python3 app.py
  instances: 2
  disk_quota: 1G
  timeout: 90
  health-check-type: http
  health-check-http-endpoint: /health
  health-check-invocation-timeout: 3
  health-check-interval: 7
  readiness-health-check-type: port
  env: {A: text, B: 5, C: true, D: [1, x], E: null}
  services: [db, {name: queue, parameters: {x: 1}}]
  processes:
  - type: web
    memory: 512M
  - type: worker
    command: python3 worker.py
    health-check-type: process
  sidecars:
  - name: proxy
    process_types: [web]
    command: ./proxy
    memory: 64M
";

#[test]
fn a_whole_manifest_is_read() {
    let manifest = read_text(WHOLE).unwrap();
    assert_eq!(manifest.warnings, Vec::<String>::new());
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let web = Process {
        kind: "web".to_owned(),
        command: Some("python3 app.py".to_owned()),
        memory: Some(Megabytes(512)),
        disk: Some(Megabytes(1024)),
        instances: Some(2),
        start_timeout: seconds(90),
        health: HealthCheck {
            kind: Some(HealthCheckKind::Http),
            endpoint: Some("/health".to_owned()),
            invocation_timeout: seconds(3),
            interval: seconds(7),
        },
        readiness: HealthCheck { kind: Some(HealthCheckKind::Port), ..HealthCheck::default() },
    };
    let worker = Process {
        kind: "worker".to_owned(),
        command: Some("python3 worker.py".to_owned()),
        health: HealthCheck { kind: Some(HealthCheckKind::Process), ..HealthCheck::default() },
        ..Process::default()
    };
    let app = App {
        name: Some("shop".to_owned()),
        path: Some("web".into()),
        buildpacks: vec!["python_buildpack".to_owned(), "https://example.com/bp.zip".to_owned()],
        stack: Some("cflinuxfs4".to_owned()),
        environment: [("A", "text"), ("B", "5"), ("C", "true"), ("D", "[1,\"x\"]"), ("E", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        services: Some(vec!["db".to_owned(), "queue".to_owned()]),
        processes: vec![web, worker],
        sidecars: vec![Sidecar {
            name: "proxy".to_owned(),
            process_types: vec!["web".to_owned()],
            command: "./proxy".to_owned(),
            memory: Some(Megabytes(64)),
        }],
    };
    assert_eq!(manifest.apps, [app]);
}

/// `name: 123` was refused, and nobody learnt that 3.10 arrives as 3.1.
#[test]
fn numbers_and_truths_are_taken_as_texts_and_what_they_become_is_said() {
    let manifest = read_text(
        "d: &d {env: {A: 010}, name: on}
applications:
- <<: *d
  name: 123
  stack: true
  path: 1
  buildpacks: [2]
  command: yes
  env: {A: 1, B: true, C: 0x10, D: 1e3, E: 012, F: null, G: 3.10, H: 'no', I: [no], J: y, K: .5}
  sidecars: [{name: 3, process_types: [4], command: 5}]
- name: y
",
    )
    .unwrap();
    let app = &manifest.apps[0];
    assert_eq!(
        (app.name.as_deref(), app.stack.as_deref(), app.path.as_deref(), app.buildpacks.as_slice()),
        (Some("123"), Some("true"), Some("1".as_ref()), ["2".to_owned()].as_slice())
    );
    assert_eq!(app.processes[0].command.as_deref(), Some("true"));
    let sidecar = &app.sidecars[0];
    assert_eq!((sidecar.name.as_str(), sidecar.command.as_str()), ("3", "5"));
    assert_eq!(sidecar.process_types, ["4"]);
    let environment: Vec<String> =
        app.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        environment.join(" "),
        "A=1 B=true C=16 D=1000 E=10 F= G=3.1 H=no I=[false] J=true K=0.5"
    );
    assert_eq!(manifest.apps[1].name.as_deref(), Some("true"));
    assert_eq!(
        manifest.warnings,
        [
            said("[0].command", "true or false"),
            said("[0].env.C", "a number"),
            said("[0].env.D", "a number"),
            said("[0].env.E", "a number"),
            said("[0].env.G", "a number"),
            said("[0].env.I[0]", "true or false"),
            said("[0].env.J", "true or false"),
            said("[0].env.K", "a number"),
            said("[1].name", "true or false"),
        ]
    );
    let error = read_text("applications: [{name: [a]}]").unwrap_err().to_string();
    assert_eq!(error, "applications[0].name: [\"a\"] stands where a text is expected");
}

/// What is said of a text of an app that YAML takes for `kind`.
fn said(place: &str, kind: &str) -> String {
    format!(
        "manifest: applications{place}: YAML takes it for {kind} and does not keep how it is written, as with cf push; put it into quotes"
    )
}

/// Only `env` and `name` were looked at. Numbers of memory and instances, and parameters of services, are meant.
#[test]
fn texts_are_looked_at_wherever_they_stand_and_numbers_are_not() {
    let manifest = read_text(
        "applications:
- memory: 1_024
  instances: 0x2
  no-route: yes
  services: [{name: 0o7, parameters: {a: 010}}]
  buildpacks: [1.0]
  processes: [{type: off, command: 3.10, health-check-type: http, health-check-http-endpoint: 1e2}]
  sidecars: [{name: on, process_types: [off], command: 1_0}]
",
    );
    assert_eq!(
        manifest.unwrap().warnings,
        [
            said("[0].processes[0].command", "a number"),
            said("[0].processes[0].type", "true or false"),
            said("[0].processes[0].health-check-http-endpoint", "a number"),
            said("[0].sidecars[0].name", "true or false"),
            said("[0].sidecars[0].process_types[0]", "true or false"),
            said("[0].sidecars[0].command", "a number"),
            said("[0].buildpacks[0]", "a number"),
            said("[0].services[0].name", "a number"),
            "manifest: applications[0].no-route has no effect on one machine".to_owned(),
        ]
    );
}

#[test]
fn what_is_left_open_is_none() {
    for text in [
        "applications: [{name: a}]",
        "applications:\n- name: a\n  command: null\n  buildpack: default\n",
    ] {
        let app = read_text(text).unwrap().apps.remove(0);
        assert_eq!(
            app.processes,
            [Process { kind: "web".to_owned(), ..Process::default() }],
            "{text}"
        );
        assert_eq!((app.buildpacks.len(), app.services), (0, None), "{text}");
    }
    assert_eq!(read_text("").unwrap(), Manifest::default());
}

#[test]
fn keys_without_effect_are_named_with_their_place() {
    let manifest = read_text(
        "application: []\ncommon: &c {}\napplications: [{name: a, routes: [], memroy: 1G, processes: [{type: w, foo: 1}]}]",
    )
    .unwrap();
    assert_eq!(
        manifest.warnings,
        [
            "manifest: applications[0].processes[0].foo is not known; it is passed over",
            "manifest: applications[0].memroy is not known; it is passed over",
            "manifest: applications[0].routes has no effect on one machine",
            "manifest: application is not known; is 'applications' meant?",
        ]
    );
}

/// Nobody learnt that a platform takes them otherwise.
#[test]
fn fields_without_effect_or_beyond_a_platform_are_named_with_their_process() {
    let manifest = read_text(
        "applications:
- health-check-http-endpoint: /a
  readiness-health-check-http-endpoint: /b
  timeout: 181
  processes: [{type: w, health-check-type: port, health-check-http-endpoint: /c, timeout: 180}]
- health-check-http-endpoint: /d
  processes: [{type: web, health-check-type: http}]
",
    );
    let http = "health-check-http-endpoint has no effect without";
    assert_eq!(
        manifest.unwrap().warnings,
        [
            format!("manifest: applications[0]: process web: {http} health-check-type: http"),
            format!("manifest: applications[0]: process web: readiness-{http} readiness-health-check-type: http"),
            "manifest: applications[0]: process web: a platform refuses its timeout of 181 s, unless its operator allows more than 180 s".to_owned(),
            format!("manifest: applications[0]: process w: {http} health-check-type: http"),
        ]
    );
}

#[test]
fn values_that_do_not_fit_are_named_with_their_place() {
    for (text, sentence) in [
        (
            "applications: [{memory: lots}]",
            "applications[0].memory: 'lots' is no size; write 512M or 1G (units are MB and GB)",
        ),
        ("applications: [{timeout: 0}]", "applications[0].timeout: must be at least 1 second"),
        ("applications: [{processes: [{}]}]", "applications[0].processes[0].type: is missing"),
        (
            "applications: [{services: [5]}]",
            "applications[0].services: 5 is no name of a service instance",
        ),
        // It was a path: what stood there was removed when the app was stopped.
        (
            "applications: [{processes: [{type: ../../victim}]}]",
            "applications[0].processes[0].type: \"../../victim\" can't be a process type: use letters, \
             digits, blanks, '.', '-' and '_', at most 100, and begin with neither '.' nor '-'",
        ),
        // They shared a directory; of two sidecars' programs one was not ended.
        (
            "applications: [{processes: [{type: w}, {type: web}, {type: w}]}]",
            "applications[0].processes[2].type: 'w' stands twice",
        ),
        (
            "applications: [{sidecars: [{name: a b, process_types: [], command: c}, {name: A B, process_types: [], command: c}]}]",
            "applications[0].sidecars[1].name: 'A B' stands twice",
        ),
        // They were set, and the platform's own values put over them.
        (
            "applications: [{env: {A: b, PORT: 9000}}]",
            "applications[0].env.PORT: PORT and names that begin with VCAP_ or VMC_ are the platform's own; give it another name",
        ),
        (
            "applications: [{env: {vcap_x: y}}]",
            "applications[0].env.vcap_x: PORT and names that begin with VCAP_ or VMC_ are the platform's own; give it another name",
        ),
        // Lines of the log could not be taken apart.
        (
            "applications: [{sidecars: [{name: \"a\\nb] OUT c\", process_types: [], command: c}]}]",
            "applications[0].sidecars[0].name: \"a\\nb] OUT c\" can't be a sidecar's name: use neither ']' nor line ends",
        ),
        ("applications: [x]", "applications[0]: \"x\" stands where a mapping is expected"),
        ("[1]", "the document: [1] stands where a mapping is expected"),
        (
            "applications: [{name: a}, {name: a}]",
            "applications: 'a' stands twice; give each app a name of its own",
        ),
        (
            "applications: [{name: ((n))}]",
            "Expected to find variables: n; give them by --var NAME=VALUE or --vars-file FILE",
        ),
    ] {
        assert_eq!(read_text(text).unwrap_err().to_string(), sentence, "{text}");
    }
    let error = read_text("applications: [{health-check-type: ftp}]").unwrap_err().to_string();
    assert!(error.contains("health-check-type: unknown variant `ftp`, expected"), "{error}");
}
