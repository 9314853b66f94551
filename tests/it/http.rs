//! The endpoints of a running service: they answer from the first moment to the last, and show nothing that is secret.

use std::net::{SocketAddr, TcpListener};

use penstock::config::http::PORT;
use serde_json::{Value, json};

use crate::support::http::{get, json};
use crate::support::process::{Program, SimProgram, UNREACHED, file, penstock, run, run_service};
use crate::support::{Kafka, Sent, Service, Setup, Stream, simulator, wait_until};
use penstock::observe::snapshot::Stage;
use penstock::util::exit::Exit;
use penstock::web::routes::PATHS;

/// Where the process says that it listens.
fn address(service: &mut Program) -> SocketAddr {
    let line = service.wait_for_line(&["http: listening address=http://"]);
    let (_, address) = line.split_once("address=http://").unwrap();
    address.trim_end_matches('/').parse().unwrap()
}

const LISTEN: &str = "\n[http]\nlisten = \"127.0.0.1:0\"\n";

/// Whether `/livez` says so.
fn is_alive(address: SocketAddr) -> bool {
    let answered = get(address, "/livez");
    let health: Value = serde_json::from_str(&answered.body).unwrap();
    assert_eq!(
        health["status"],
        if answered.status == 200 { "ok" } else { "failing" },
        "{answered:?}"
    );
    answered.status == 200
}

#[test]
fn a_running_process_answers_at_every_path() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("http", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let mut setup = Setup::new(&kafka, &topic, sim.addr);
    setup.routes += LISTEN;
    let file = setup.file();
    let mut service = run_service(file.path());
    let address = address(&mut service);
    wait_until(
        "totals",
        || json(address, "/status")["totals"]["written"].clone(),
        |written| *written == json!(stream.total()),
    );
    assert!(is_alive(address));
    for (path, content_type, part) in [
        ("/", "text/html; charset=utf-8", "<title>Penstock"),
        ("/metrics", "text/plain; ", "penstock_messages_consumed_total"),
        ("/livez", "application/json", "\"main-thread\""),
        ("/readyz", "application/json", "\"pressure\""),
        ("/status", "application/json", setup.group.as_str()),
    ] {
        assert!(PATHS.iter().any(|(known, _)| *known == path));
        let answered = get(address, path);
        assert!(
            answered.head.contains(&format!("\r\nContent-Type: {content_type}")),
            "{answered:?}"
        );
        assert!(answered.body.contains(part), "{answered:?}");
    }
    // The first statistics of the Kafka client say that a broker is connected.
    wait_until("ready", || get(address, "/readyz"), |answered| answered.status == 200);
    for (document, line) in curl_lines() {
        let paths = line.strip_prefix(&format!("curl http://127.0.0.1:{PORT}"));
        let path = paths.and_then(|rest| rest.split(' ').next());
        let path = path.unwrap_or_else(|| panic!("{document}: not at the port of the demo: {line}"));
        assert_eq!(get(address, path).status, 200, "{document}: {line}");
    }
    assert_eq!(get(address, "/nothing").status, 404);
    let status = json(address, "/status");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["topics"], json!([topic.name]));
    assert_eq!(status["sets"], json!(["test.last", "test.all"]));
    assert!(status["memory"]["bound_bytes"].as_u64() > Some(0), "{status}");
    let settings = status["settings"].as_array().unwrap();
    let listen = json!({ "name": "http", "value": "listen=127.0.0.1:0" });
    assert!(settings.contains(&listen), "{settings:?}");
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn endpoints_answer_while_nothing_is_reached_yet() {
    let file = file(&format!("{UNREACHED}{LISTEN}"));
    let mut service = run_service(file.path());
    let address = address(&mut service);
    assert!(is_alive(address));
    assert_eq!(get(address, "/readyz").status, 503);
    assert_eq!(json(address, "/readyz")["status"], "failing");
    assert_eq!(json(address, "/status")["stage"], "starting");
    wait_until(
        "what it waits for",
        || json(address, "/status")["why"].clone(),
        |why| why.as_str().unwrap().starts_with("Waiting for Kafka at 127.0.0.1:1."),
    );
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn a_start_says_that_it_waits_for_aerospike_and_how_long_it_has_waited() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("http", 1);
    // Nobody answers there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = silent.local_addr().unwrap();
    let mut setup = Setup::new(&kafka, &topic, hosts);
    setup.routes += LISTEN;
    let file = setup.file();
    let mut service = run_service(file.path());
    let address = address(&mut service);
    wait_until(
        "what it waits for",
        || json(address, "/status"),
        |status| {
            status["why"] == format!("Waiting for Aerospike at {hosts}. If that takes long, the log says why.")
                && status["state_for_s"].as_f64() > Some(0.0)
        },
    );
    service.signal("TERM");
    service.end().assert_code(0);
}

/// Each snapshot costs something.
#[test]
fn without_endpoints_and_without_a_terminal_no_snapshot_is_taken() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("http", 1);
    let sim = simulator();
    Stream::new(&topic, 5).produce(20);
    let service = Service::start(&Setup::new(&kafka, &topic, sim.addr()));
    service.wait_written(20);
    let board = service.seen.board.clone();
    service.stop().assert(Exit::Stopped);
    // With somebody who looks, the last one is of a service that ends.
    assert_eq!(board.last().stage, Stage::Starting);
}

/// The lines for `curl` of the documents, which must work while `make demo` runs.
fn curl_lines() -> Vec<(&'static str, &'static str)> {
    let documents = [
        ("README.md", include_str!("../../README.md")),
        ("docs/reference/http.md", include_str!("../../docs/reference/http.md")),
    ];
    let lines: Vec<(&str, &str)> = documents
        .iter()
        .flat_map(|(name, text)| text.lines().map(move |line| (*name, line)))
        .filter(|(_, line)| line.starts_with("curl "))
        .collect();
    for (name, _) in documents {
        let lines = lines.iter().filter(|(document, _)| *document == name);
        assert!(lines.count() >= 3, "{name} has lost its lines for curl");
    }
    lines
}

#[test]
fn an_address_that_is_taken_ends_the_process_before_anything_is_reached() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = file(&format!("{UNREACHED}\n[http]\nlisten = \"{address}\"\n"));
    let exited = run(penstock().arg("run").arg(file.path()));
    exited.assert_code(i32::from(Exit::Configuration.code()));
    let lines: Vec<&str> = exited.output.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 1, "{}", exited.output);
    assert!(
        lines[0].contains(&format!("http: cannot listen at {address} ")) && lines[0].contains("another program"),
        "{}",
        lines[0]
    );
}

#[test]
fn no_answer_has_anything_of_a_message_or_a_password() {
    const PASSWORD: &str = "the-password";
    const PROPERTY: &str = "the-property";
    let kafka = Kafka::mock();
    let topic = kafka.topic("http", 1);
    let sim = simulator();
    sim.set_user("penstock", PASSWORD).unwrap();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.aerospike = format!("user = \"penstock\"\npassword = \"{PASSWORD}\"");
    setup.consumer += &format!("\nclient.rack = \"{PROPERTY}\"");
    setup.routes += &format!("\n[reject]\naction = \"drop\"\n{LISTEN}");
    let message = |payload: &'static str| Sent {
        key: Some("the-message-key"),
        payload: Some(payload.as_bytes()),
        headers: &[("the-header", Some(b"the-header-value"))],
    };
    topic.produce(
        0,
        &[
            message(r#"{"id":"the-record-key","key":"the-other-key","n":7300573}"#),
            message(r#"{"id":"the-record-key","key":{"the-field":1},"n":7300573}"#),
            message("the-payload"),
            message(r#"{"id":"the-record-key","key":"the-other-key","n":"the-value"}"#),
        ],
    );
    let service = Service::start(&setup);
    let endpoints = service.endpoints();
    service.wait_finished(4);
    let address = endpoints.address();
    let status = json(address, "/status");
    assert_eq!(status["totals"]["consumed"], 4, "{status}");
    for (path, _) in PATHS {
        let answered = get(address, path);
        let text = format!("{}\n{}", answered.head, answered.body);
        for secret in [
            PASSWORD,
            PROPERTY,
            "the-message-key",
            "the-header",
            "the-record-key",
            "the-other-key",
            "the-field",
            "the-payload",
            "the-value",
            "7300573",
        ] {
            assert!(!text.contains(secret), "{path} tells {secret}: {text}");
        }
    }
    service.stop();
}

/// What the health check of a container does.
#[test]
fn health_asks_the_service_of_a_file() {
    let health = |arguments: &[&str], listen: &str, code: i32, says: &str| {
        let file = file(&format!("{UNREACHED}\n[http]\nlisten = \"{listen}\"\n"));
        let asked = run(penstock().arg("health").args(arguments).arg(file.path()));
        asked.assert_code(code);
        assert!(asked.output.contains(says), "{says} is not in: {}", asked.output);
    };
    let service_file = file(&format!("{UNREACHED}{LISTEN}"));
    let mut service = run_service(service_file.path());
    let address = address(&mut service).to_string();
    // A start that waits for Kafka is alive, and not ready.
    health(&[], &address, 0, "ok");
    // As a container's health check asks: the file may have got a fault meanwhile.
    let by_address = run(penstock().args(["health", &address]));
    by_address.assert_code(0);
    assert_eq!(by_address.output.trim(), "ok");
    health(&["--ready"], &address, 1, "stage: ");
    service.signal("STOP");
    health(&[], &address, 69, "no answer within 4 s");
    service.signal("CONT");
    health(&[], &address, 0, "ok");
    service.signal("TERM");
    service.end().assert_code(0);
    // Not at the address of the ended service: another test may have its port by now.
    health(&[], "127.0.0.1:1", 69, "refused");
    health(&[], "127.0.0.1:0", 78, "port 0");
    let silent = file(UNREACHED);
    let asked = run(penstock().arg("health").arg(silent.path()));
    asked.assert_code(78);
    assert!(asked.output.contains("has no [http]"), "{}", asked.output);
}
