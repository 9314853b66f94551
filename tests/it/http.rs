//! The endpoints of a running service: they answer from the first moment to the last, and show nothing that is secret.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::http::{get, json};
use crate::support::process::{Program, SimProgram, penstock, run, run_service};
use crate::support::{Kafka, Sent, Service, Setup, Stream, simulator, wait_until};
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
    // Nobody answers there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let brokers = silent.local_addr().unwrap();
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    let text = format!(
        "[kafka]\nbrokers = \"{brokers}\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"{brokers}\"\nnamespace = \"test\"\n\
         [[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"n\"]\n{LISTEN}"
    );
    std::fs::write(file.path(), text).unwrap();
    let mut service = run_service(file.path());
    let address = address(&mut service);
    assert!(is_alive(address));
    assert_eq!(get(address, "/readyz").status, 503);
    assert_eq!(json(address, "/readyz")["status"], "failing");
    assert_eq!(json(address, "/status")["stage"], "starting");
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn an_address_that_is_taken_ends_the_process_before_anything_is_reached() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    let text = format!(
        "[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"127.0.0.1:1\"\n\
         namespace = \"test\"\n[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"n\"]\n[http]\nlisten = \"{address}\"\n"
    );
    std::fs::write(file.path(), text).unwrap();
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
