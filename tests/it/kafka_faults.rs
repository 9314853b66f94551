//! A Kafka that cannot be used as configured: ports that do not belong to a broker, listeners that require something
//! else, groups that refuse a member. What `check`, `check --connect` and `run` say about it, how they end, and how
//! much they log.
//!
//! Small servers in this file answer the ports; `tests/live/kafka_faults.rs` uses a real broker.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::connect::assert_line;
use crate::support::process::{Exited, penstock, run, run_service};
use crate::support::{Kafka, ROUTES, Setup, simulator, unique, wait_until};

// ---- ports

/// A server on its own port. It passes each connection to a function; when that returns, the connection ends.
pub(super) struct Port {
    pub(super) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    fn serve(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped, answer) = (connections.clone(), stop.clone(), Arc::new(answer));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let (mut stream, answer) = (stream.unwrap(), answer.clone());
                thread::spawn(move || answer(&mut stream));
            }
        });
        Port {
            addr,
            connections,
            stop,
            thread: Some(thread),
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Accepts connections and sends nothing, until the other side closes them.
    fn silent() -> Port {
        Port::serve(|stream| while stream.read(&mut [0; 256]).is_ok_and(|count| count > 0) {})
    }

    /// Ends each connection as soon as something comes.
    fn closing() -> Port {
        Port::serve(|stream| {
            let _ = stream.read(&mut [0; 256]);
        })
    }

    /// Understands TLS and nothing else: an alert answers every beginning.
    fn tls(alerts_to_others: bool) -> Port {
        Port::serve(move |stream| {
            let mut first = [0; 256];
            let is_hello = stream.read(&mut first).is_ok_and(|count| count > 0) && first[0] == 0x16;
            if is_hello || alerts_to_others {
                let _ = stream.write_all(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28]);
            }
        })
    }

    /// Now closes the connection, now answers nonsense: librdkafka itself leaves out only what is the same as the last time.
    fn changing() -> Port {
        let turn = AtomicUsize::new(0);
        Port::serve(move |stream| {
            let _ = stream.read(&mut [0; 256]);
            if turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                let _ = stream.write_all(b"\xff\xff\xff\xff\xff\xff\xff\xff");
            }
        })
    }

    fn http() -> Port {
        Port::serve(|stream| {
            // Waits for the end of a line, as a web server does.
            let mut byte = [0];
            while stream.read(&mut byte).is_ok_and(|count| count > 0) && byte[0] != b'\n' {}
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        })
    }

    fn zookeeper() -> Port {
        Port::serve(|stream| {
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok() && &word == b"srvr" {
                let _ = stream.write_all(b"Zookeeper version: 3.8.4-9316c2a, built on 2024-02-12\n");
            }
        })
    }

    /// A listener that says which requests it knows, and ends the connection at any other: a broker's that wants a login
    /// by one of `mechanisms`, which nobody has.
    pub(super) fn sasl(mechanisms: &'static [&'static str]) -> Port {
        Port::serve(move |stream| kafka(stream, &[3, 17, 18, 36], Some(mechanisms)))
    }

    /// A KRaft controller's.
    fn controller() -> Port {
        Port::serve(|stream| kafka(stream, &[1, 17, 18, 52, 53, 54, 55], None))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn kafka(stream: &mut TcpStream, keys: &[i16], mechanisms: Option<&[&str]>) {
    loop {
        let mut size = [0; 4];
        if stream.read_exact(&mut size).is_err() {
            return;
        }
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap();
        if size > 1 << 20 {
            return;
        }
        let mut request = vec![0; size];
        if stream.read_exact(&mut request).is_err() {
            return;
        }
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let mut answer = request[4..8].to_vec();
        match (number(0), mechanisms) {
            (18, _) => {
                // An older broker. It refuses the newer request with an error.
                let error: i16 = if number(2) == 0 { 0 } else { 35 };
                answer.extend(error.to_be_bytes());
                answer.extend(u32::try_from(keys.len()).unwrap().to_be_bytes());
                for key in keys {
                    for part in [*key, 0, if *key == 3 { 8 } else { 1 }] {
                        answer.extend(part.to_be_bytes());
                    }
                }
            }
            (17, Some(mechanisms)) => {
                let client = usize::try_from(number(8).max(0)).unwrap();
                let asked = String::from_utf8_lossy(&request[12 + client..]).into_owned();
                let error: i16 = if mechanisms.contains(&asked.as_str()) { 0 } else { 33 };
                answer.extend(error.to_be_bytes());
                answer.extend(u32::try_from(mechanisms.len()).unwrap().to_be_bytes());
                for mechanism in mechanisms {
                    answer.extend(u16::try_from(mechanism.len()).unwrap().to_be_bytes());
                    answer.extend(mechanism.as_bytes());
                }
            }
            (36, Some(_)) => {
                let why = b"Authentication failed: Invalid username or password";
                answer.extend(58_i16.to_be_bytes());
                answer.extend(u16::try_from(why.len()).unwrap().to_be_bytes());
                answer.extend(why);
                answer.extend(0_u32.to_be_bytes());
                if number(2) > 0 {
                    answer.extend(0_u64.to_be_bytes());
                }
            }
            _ => return,
        }
        let size = u32::try_from(answer.len()).unwrap().to_be_bytes();
        if stream.write_all(&[&size, answer.as_slice()].concat()).is_err() {
            return;
        }
    }
}

// ---- the commands

const PLAIN: &str = "security.protocol = \"sasl_plaintext\"\nsasl.mechanism = \"PLAIN\"\nsasl.username = \"me\"\n\
                     sasl.password = \"kafka-secret\"\n";

fn setup(brokers: &str, properties: &str, hosts: SocketAddr) -> Setup {
    Setup {
        brokers: brokers.to_owned(),
        topic: unique("none"),
        more_topics: Vec::new(),
        group: unique("group"),
        target: hosts.into(),
        kafka: String::new(),
        commit_interval: "50ms",
        run: "start_timeout = \"6s\"".to_owned(),
        start: "earliest",
        consumer: properties.to_owned(),
        aerospike: String::new(),
        routes: ROUTES.to_owned(),
    }
}

fn check(setup: &Setup) -> Exited {
    let file = setup.file();
    run(penstock().arg("check").arg(file.path()).arg("--connect"))
}

fn run_to_its_end(setup: &Setup) -> Exited {
    let file = setup.file();
    run_service(file.path()).end()
}

/// `check --connect` and `run` end with this code, and both print one line that contains all of `parts`.
fn assert_told(brokers: &str, properties: &str, code: i32, parts: &[&str]) {
    let sim = simulator();
    let setup = setup(brokers, properties, sim.addr());
    for exited in [check(&setup), run_to_its_end(&setup)] {
        exited.assert_code(code);
        assert_line(&exited, parts);
        assert!(!exited.output.contains("kafka-secret"), "{}", exited.output);
    }
}

// ---- what answers at the port

#[test]
fn a_client_without_tls_is_told_of_a_listener_with_tls() {
    for alerts in [true, false] {
        let port = Port::tls(alerts);
        let addr = port.addr.to_string();
        assert_told(&addr, "", 78, &[&addr, "speaks TLS", "is plaintext", "\"ssl\""]);
        assert_told(
            &addr,
            PLAIN,
            78,
            &[&addr, "speaks TLS", "is sasl_plaintext", "\"sasl_ssl\""],
        );
    }
}

#[test]
fn a_client_with_tls_is_told_of_a_listener_without() {
    let kafka = Kafka::mock();
    let tls = "security.protocol = \"ssl\"";
    assert_told(
        &kafka.brokers,
        tls,
        78,
        &[&kafka.brokers, "has no TLS", "is ssl", "\"plaintext\""],
    );
    let port = Port::sasl(&["PLAIN"]);
    let addr = port.addr.to_string();
    let login = PLAIN.replace("sasl_plaintext", "sasl_ssl");
    assert_told(
        &addr,
        &login,
        78,
        &[&addr, "has no TLS", "is sasl_ssl", "\"sasl_plaintext\""],
    );
}

#[test]
fn a_client_without_a_login_is_told_of_a_listener_that_wants_one() {
    let port = Port::sasl(&["PLAIN", "SCRAM-SHA-256"]);
    let addr = port.addr.to_string();
    let parts = [&addr, "wants a login", "\"sasl_plaintext\"", "(PLAIN, SCRAM-SHA-256)"];
    assert_told(&addr, "", 78, &parts);
}

#[test]
fn a_client_with_a_login_is_told_of_a_broker_that_knows_none() {
    let kafka = Kafka::mock();
    assert_told(
        &kafka.brokers,
        PLAIN,
        78,
        &[&kafka.brokers, "no SASL login", "remove sasl.*"],
    );
}

#[test]
fn another_mechanism_than_the_listeners_is_told_with_those_that_it_has() {
    let port = Port::sasl(&["SCRAM-SHA-256", "SCRAM-SHA-512"]);
    let addr = port.addr.to_string();
    assert_told(
        &addr,
        PLAIN,
        78,
        &[
            &addr,
            "does not have the",
            "sasl.mechanism",
            "SCRAM-SHA-256,",
            "SCRAM-SHA-512",
        ],
    );
}

#[test]
fn a_login_that_is_refused_is_told_as_that() {
    let port = Port::sasl(&["PLAIN"]);
    let addr = port.addr.to_string();
    assert_told(
        &addr,
        PLAIN,
        77,
        &[&addr, "refuses the login", "sasl.username and sasl.password"],
    );
}

#[test]
fn a_port_that_answers_and_is_no_brokers_is_told_by_what_it_is() {
    let sim = simulator();
    let (http, zookeeper, controller) = (Port::http(), Port::zookeeper(), Port::controller());
    for (addr, what) in [
        (http.addr, "a web server's"),
        (zookeeper.addr, "ZooKeeper's"),
        (controller.addr, "a KRaft controller's"),
        (sim.addr(), "an Aerospike node's"),
    ] {
        let addr = addr.to_string();
        assert_told(
            &addr,
            "",
            78,
            &[&addr, "this port answers, but is no", what, "kafka.brokers"],
        );
    }
}

#[test]
fn hosts_that_are_no_aerospike_nodes_are_told_by_what_they_are() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("strangers", 1);
    let answers = |bytes: &'static [u8]| {
        Port::serve(move |stream| {
            let _ = stream.read(&mut [0; 256]);
            let _ = stream.write_all(bytes);
        })
    };
    for (port, what) in [
        (Port::http(), "a web server"),
        (answers(b"SSH-2.0-OpenSSH_9.6\r\n"), "an SSH server"),
        (answers(b"-ERR unknown command 'x'\r\n"), "a Redis server"),
        (Port::tls(true), "speaks TLS"),
    ] {
        let setup = Setup::new(&kafka, &topic, port.addr);
        let addr = port.addr.to_string();
        for exited in [check(&setup), run_to_its_end(&setup)] {
            exited.assert_code(78);
            let parts = [
                &addr,
                "this port answers, but is no Aerospike node's",
                what,
                "aerospike.hosts",
            ];
            assert_line(&exited, &parts);
            assert!(!exited.output.contains("buffer"), "{}", exited.output);
        }
    }
}

#[test]
fn a_port_that_says_nothing_of_use_is_waited_for_and_told() {
    let (silent, closing) = (Port::silent(), Port::closing());
    for (addr, what) in [
        (silent.addr, "answers nothing"),
        (closing.addr, "not as a Kafka listener does"),
    ] {
        let addr = addr.to_string();
        assert_told(&addr, "", 69, &[&addr, what, "kafka.brokers"]);
    }
}

#[test]
fn with_one_broker_that_answers_the_others_do_not_matter() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("one-of-two", 1);
    let tls = Port::tls(true);
    let sim = simulator();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.brokers = format!("{},{}", tls.addr, kafka.brokers);
    check(&setup).assert_code(0);
}

// ---- the log

#[test]
fn what_comes_again_and_again_is_a_line_each_10_seconds() {
    let port = Port::changing();
    let properties = "reconnect.backoff.ms = 20\nreconnect.backoff.max.ms = 20";
    let mut setup = setup(&port.addr.to_string(), properties, "127.0.0.1:1".parse().unwrap());
    setup.run.clear();
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["WARN", "kafka: waiting", "not as a Kafka listener does"]);
    wait_until("a hundred attempts", || port.connections(), |count| *count > 100);
    let repeated = service.wait_for_line(&["librdkafka", "cure=", "repeated="]);
    let count: usize = repeated
        .split_once("repeated=")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(count > 1, "{repeated}");
    service.signal("TERM");
    let exited = service.end();
    let lines = |words: &str| exited.output.lines().filter(|line| line.contains(words)).count();
    let attempts = port.connections();
    // Few kinds. Each is logged at once, and then every 10 seconds.
    assert!(lines("librdkafka") < 12, "{attempts} attempts:\n{}", exited.output);
    assert!(lines("brokers are down") < 4, "{attempts} attempts:\n{}", exited.output);
}

// ---- the group

#[test]
fn what_cannot_pass_when_the_group_is_joined_ends_the_service_with_its_cure() {
    for (error, code, name, cure) in [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT,
            78,
            "InvalidSessionTimeout",
            "group.min.session.timeout.ms",
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL,
            78,
            "InconsistentGroupProtocol",
            "partition.assignment.strategy",
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID,
            78,
            "InvalidGroupId",
            "kafka.group",
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            77,
            "GroupAuthorizationFailed",
            "READ",
        ),
    ] {
        let kafka = Kafka::mock();
        let topic = kafka.topic("joining", 1);
        let sim = simulator();
        kafka.cluster().request_errors(RDKafkaApiKey::JoinGroup, &[error; 50]);
        let exited = run_to_its_end(&Setup::new(&kafka, &topic, sim.addr()));
        exited.assert_code(code);
        assert_line(
            &exited,
            &[
                "ERROR",
                if code == 77 {
                    "access is refused"
                } else {
                    "the group cannot be joined"
                },
                name,
                cure,
            ],
        );
    }
}

#[test]
fn what_passes_when_the_group_is_joined_is_waited_for() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("joining", 1);
    let sim = simulator();
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    ] {
        kafka.cluster().request_errors(RDKafkaApiKey::JoinGroup, &[error]);
    }
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["kafka: assigned", &topic.name]);
    service.signal("TERM");
    service.end().assert_code(0);
}
