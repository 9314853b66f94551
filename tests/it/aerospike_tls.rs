//! TLS to Aerospike: `[aerospike.tls]` against a simulator with certificates that the test makes. What is right works,
//! also for a cluster of three nodes with a login; of what is wrong the reason and the cure are told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread;

use crate::support::certificates::{Authority, Certificates, Signed, Valid};
use crate::support::connect::{assert_line, check};
use crate::support::process::run_service;
use crate::support::{Kafka, Records as _, Service, Setup, Stream, wait_until};
use penstock::util::exit::Exit;
use penstock_sim::{SimConfig, SimTls, Simulator};

const ROUTES: &str = r#"
[[route]]
  [[route.write]]
  set = "users"
  key = "@key"
  bins = ["n"]
"#;

/// The name in the nodes' certificate. No host has it: nodes are reached by their numbers.
const NAME: &str = "db.test";

/// What all these tests need: two authorities, and certificates of the first one.
struct World {
    certificates: Certificates,
    ca: Authority,
    other: Authority,
    node: Signed,
    client: Signed,
}

impl World {
    fn new() -> World {
        let certificates = Certificates::new();
        let (ca, other) = (certificates.authority("ca"), certificates.authority("other"));
        World {
            node: certificates.sign(&ca, "node", &[NAME], Valid::Now),
            client: certificates.sign(&ca, "client", &["penstock"], Valid::Now),
            certificates,
            ca,
            other,
        }
    }

    fn simulator(&self, node: &Signed, wants_client: bool, change: impl FnOnce(&mut SimConfig)) -> Simulator {
        let mut config = SimConfig {
            tls: Some(SimTls {
                name: NAME.into(),
                certificate: node.certificate.clone(),
                key: node.key.clone(),
                client_ca: wants_client.then(|| self.ca.file.clone()),
            }),
            ..SimConfig::default()
        };
        change(&mut config);
        Simulator::start(config).unwrap()
    }
}

/// The lines of `[aerospike.tls]`.
fn tls(name: Option<&str>, ca: &Path, own: Option<&Signed>) -> String {
    let mut lines = format!("[aerospike.tls]\nca = \"{}\"\n", ca.display());
    if let Some(name) = name {
        lines += &format!("name = \"{name}\"\n");
    }
    if let Some(own) = own {
        let (certificate, key) = (own.certificate.display(), own.key.display());
        lines += &format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n");
    }
    lines
}

#[test]
fn messages_are_written_to_a_cluster_with_tls_a_login_and_client_certificates() {
    let (kafka, world) = (Kafka::mock(), World::new());
    let sim = world.simulator(&world.node, true, |config| {
        config.nodes = 3;
        config.login = Some(("penstock".into(), "secret".into()));
    });
    let topic = kafka.topic("tls", 2);
    let mut stream = Stream::new(&topic, 3);
    stream.produce(100);
    let login = "user = \"penstock\"\npassword = \"secret\"\n";
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .aerospike(&(login.to_owned() + &tls(Some(NAME), &world.ca.file, Some(&world.client))));
    let exited = check(&setup);
    assert_line(&exited, &["ok ", "aerospike: reached", "nodes: 3"]);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &stream.ends());
    stream.assert_ledger(&sim);
    // A node that leaves and comes back elsewhere is found by what the others say of it: its address, and its TLS name.
    sim.node(2).leave(penstock_sim::Leave::default()).unwrap();
    stream.produce(100);
    topic.wait_committed(&setup.group, &stream.ends());
    sim.node(2)
        .join(penstock_sim::Join {
            elsewhere: true,
            ..penstock_sim::Join::default()
        })
        .unwrap();
    stream.produce(100);
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert(Exit::Stopped);
    stream.assert_ledger(&sim);
    assert_eq!(sim.count("all"), stream.total());
}

/// What `check --connect` and `run` say where TLS fails: the same words, and code 78 at once.
#[test]
fn what_is_wrong_with_tls_is_told_with_its_cure() {
    let (kafka, world) = (Kafka::mock(), World::new());
    let topic = kafka.topic("tls-wrong", 1);
    let ca = world.ca.file.as_path();
    let expired = world.certificates.sign(&world.ca, "expired", &[NAME], Valid::Before);
    let stranger = world
        .certificates
        .sign(&world.other, "stranger", &["penstock"], Valid::Now);
    let old = world.certificates.sign(&world.ca, "old", &["penstock"], Valid::Before);
    let open = world.simulator(&world.node, false, |_| {});
    let closed = world.simulator(&world.node, true, |_| {});
    let of_expired = world.simulator(&expired, false, |_| {});
    let plain = Simulator::start(SimConfig::default()).unwrap();
    let mixed = Signed {
        certificate: stranger.certificate.clone(),
        key: world.client.key.clone(),
    };
    let cases: [(&str, SocketAddr, String, &[&str]); 12] = [
        (
            "no [aerospike.tls]",
            open.addr(),
            String::new(),
            &["it speaks TLS", "write [aerospike.tls]"],
        ),
        (
            "a port without TLS",
            plain.addr(),
            tls(Some(NAME), ca, None),
            &["speaks no TLS", "4333", "remove [aerospike.tls]"],
        ),
        (
            "another authority",
            open.addr(),
            tls(Some(NAME), &world.other.file, None),
            &["an authority that is not known here", "aerospike.tls.ca"],
        ),
        (
            "another name",
            open.addr(),
            tls(Some("db.else"), ca, None),
            &["does not have the name \"db.else\"", "aerospike.tls.name"],
        ),
        (
            "the name of the address",
            open.addr(),
            tls(None, ca, None),
            &["does not have the name \"127.0.0.1\"", "aerospike.tls.name"],
        ),
        (
            "an expired certificate of the node",
            of_expired.addr(),
            tls(Some(NAME), ca, None),
            &["has expired", "renew"],
        ),
        (
            "no client certificate",
            closed.addr(),
            tls(Some(NAME), ca, None),
            &["wants a client certificate", "aerospike.tls.certificate"],
        ),
        (
            "a client certificate of another authority",
            closed.addr(),
            tls(Some(NAME), ca, Some(&stranger)),
            &["refuses the client's certificate", "aerospike.tls.certificate"],
        ),
        (
            "an expired client certificate",
            closed.addr(),
            tls(Some(NAME), ca, Some(&old)),
            &[
                "the client's certificate has expired",
                "renew aerospike.tls.certificate",
            ],
        ),
        (
            "a key of another certificate",
            closed.addr(),
            tls(Some(NAME), ca, Some(&mixed)),
            &["aerospike.tls.key", "not the key of aerospike.tls.certificate"],
        ),
        (
            "no such file",
            open.addr(),
            tls(Some(NAME), Path::new("/no/such.pem"), None),
            &["aerospike.tls.ca = \"/no/such.pem\"", "there is no such file"],
        ),
        (
            "a key in place of the authority",
            open.addr(),
            tls(Some(NAME), &world.node.key, None),
            &["aerospike.tls.ca", "holds no PEM certificate"],
        ),
    ];
    for (case, addr, lines, words) in cases {
        let setup = Setup::new(&kafka, &topic, addr).routes(ROUTES).aerospike(&lines);
        let checked = check(&setup);
        assert_eq!(checked.status.code(), Some(78), "{case}:\n{}", checked.output);
        let mut parts = vec!["error ", "aerospike"];
        parts.extend(words);
        assert_line(&checked, &parts);
        let file = setup.file();
        let exited = run_service(file.path()).end();
        exited.assert_code(78);
        let told: Vec<&str> = exited.output.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(told.len(), 1, "{case}: one line says it:\n{}", exited.output);
        for word in words {
            assert!(told[0].contains(word), "{case}: {word:?} is not in {}", told[0]);
        }
    }
}

#[test]
fn a_renewed_client_certificate_is_taken_at_the_next_connection() {
    let (kafka, world) = (Kafka::mock(), World::new());
    let sim = world.simulator(&world.node, true, |_| {});
    let topic = kafka.topic("tls-renewed", 1);
    let mut stream = Stream::new(&topic, 3);
    stream.produce(20);
    let setup = Setup::new(&kafka, &topic, sim.addr()).aerospike(&tls(Some(NAME), &world.ca.file, Some(&world.client)));
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &stream.ends());
    // Nobody could connect with these: so new connections tell which certificate is shown.
    world
        .certificates
        .sign(&world.other, "client", &["penstock"], Valid::Now);
    let before = sim.stats().connections;
    sim.faults().close_connections();
    stream.produce(20);
    // It tries, and is refused.
    wait_until("it connects again", || sim.stats().connections, |now| *now > before + 2);
    world.certificates.sign(&world.ca, "client", &["penstock"], Valid::Now);
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert(Exit::Stopped);
    stream.assert_ledger(&sim);
}

/// A port that takes the greeting and says nothing, or drips: the start says so, and does not wait for ever.
#[test]
fn a_port_that_is_silent_during_the_handshake_is_told() {
    let (kafka, world) = (Kafka::mock(), World::new());
    let topic = kafka.topic("tls-silent", 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut greeting = [0; 16];
            // A part of a handshake record, and no more.
            let _ = stream
                .read(&mut greeting)
                .and_then(|_| stream.write_all(b"\x16\x03\x03\x10"));
            open.push(stream);
        }
    });
    let setup = Setup::new(&kafka, &topic, addr)
        .routes(ROUTES)
        .run("start_timeout = \"1s\"")
        .aerospike(&tls(Some(NAME), &world.ca.file, None));
    let exited = check(&setup);
    assert_eq!(exited.status.code(), Some(69), "{}", exited.output);
    assert_line(
        &exited,
        &["error ", "aerospike", "takes the connection and does not answer"],
    );
}
