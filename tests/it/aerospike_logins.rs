//! Aerospike logins that change while the service runs: `aerospike.user` and `aerospike.password` from files, against a
//! simulator whose users change. Nothing is lost, nothing ends, what is refused is told, and the number of logins stays
//! small. `cluster` has the logins that do not come from files.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use penstock_sim::{Share, SimConfig, SimTls, Simulator};
use tempfile::{NamedTempFile, TempDir};

use crate::support::certificates::{Certificates, Valid};
use crate::support::http::json;
use crate::support::process::{Program, run_service};
use crate::support::{Kafka, Setup, Stream, Topic, wait_until, wait_within};

const USER: &str = "penstock";
const OLD: &str = "old-secret";
const NEW: &str = "new-secret";

/// A service whose user and password are in files, and what it writes.
struct World {
    sim: Simulator,
    topic: Topic,
    stream: Stream,
    group: String,
    folder: TempDir,
    service: Program,
    _config: NamedTempFile,
}

impl World {
    /// Starts the service with the login of the simulator, and waits until it has written.
    fn start(kafka: &Kafka, sim: Simulator, lines: &str) -> World {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("user"), USER).unwrap();
        fs::write(folder.path().join("password"), OLD).unwrap();
        let topic = kafka.topic("rotated", 2);
        let mut stream = Stream::new(&topic, 5);
        stream.produce(20);
        let file = |name: &str| format!("${{file:{}}}", folder.path().join(name).display());
        let login = format!(
            "user = \"{}\"\npassword = \"{}\"\n{lines}",
            file("user"),
            file("password")
        );
        let mut setup = Setup::new(kafka, &topic, sim.addr()).aerospike(&login);
        setup.routes += "\n[http]\nlisten = \"127.0.0.1:0\"\n";
        let config = setup.file();
        let service = run_service(config.path());
        topic.wait_committed(&setup.group, &stream.ends());
        World {
            group: setup.group.clone(),
            sim,
            topic,
            stream,
            folder,
            service,
            _config: config,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a file in one step, as the guide says.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let next = self.path("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.path(name)).unwrap();
    }

    /// More messages, which are written.
    fn goes_on(&mut self) {
        self.stream.produce(20);
        self.topic.wait_committed(&self.group, &self.stream.ends());
    }

    /// Ends the service and compares all records. Returns what it logged.
    fn end(mut self) -> String {
        assert!(self.service.is_running(), "{}", self.service.output());
        self.service.signal("TERM");
        let exited = self.service.end();
        exited.assert_code(0);
        self.stream.assert_ledger(&self.sim);
        for secret in [OLD, NEW] {
            assert!(!exited.output.contains(secret), "{}", exited.output);
        }
        exited.output
    }
}

fn simulator(nodes: usize) -> Simulator {
    Simulator::start(SimConfig {
        nodes,
        login: Some((USER.into(), OLD.into())),
        ..SimConfig::default()
    })
    .unwrap()
}

const TAKEN: [&str; 2] = ["INFO", "has changed and is used from now on"];
const REFUSED: [&str; 3] = ["WARN", "aerospike: the cluster refuses the login (65", "node="];
const NEW_REFUSED: [&str; 3] = [
    "WARN",
    "aerospike: the new login in",
    "is refused, the last one is used (65",
];

fn count(output: &str, parts: &[&str]) -> usize {
    let lines = output.lines();
    lines
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .count()
}

/// How long logins are counted.
const WATCHED: Duration = Duration::from_secs(20);
/// How many refused logins there may be in that time. What the guide promises for a minute is far less than three times
/// this number: the first ones come at once.
const REFUSED_MAX: u64 = 60;

#[test]
fn a_password_that_changes_at_the_cluster_first_is_waited_for_and_nothing_is_lost() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    let line = world.service.wait_for_line(&["http: listening address=http://"]);
    let address = line.split_once("address=http://").unwrap().1;
    let address = address.trim_end_matches('/').parse().unwrap();
    world.sim.set_password(USER, NEW).unwrap();
    // Connections that have logged in go on.
    world.goes_on();

    let (began, before) = (Instant::now(), world.sim.stats());
    world.sim.faults().close_connections();
    // The client notices before there is something to write.
    wait_until(
        "a login",
        || world.sim.stats(),
        |now| now.logins_refused > before.logins_refused,
    );
    world.stream.produce(20);
    let told = world.service.wait_for_line(&REFUSED);
    let file = world.path("password").display().to_string();
    for part in [&world.sim.addr().to_string(), &file, "correct aerospike.password"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    world
        .service
        .wait_for_line(&["progress", "state=waiting-for-aerospike", "refuses the login (65"]);
    let why = || json(address, "/status")["why"].as_str().unwrap_or_default().to_owned();
    wait_until("the reason", why, |why| {
        why.contains("refuses the login (65") && why.contains(&file)
    });
    wait_within(
        WATCHED * 2,
        "the time to be over",
        || began.elapsed(),
        |time| *time >= WATCHED,
    );
    let refused = world.sim.stats().logins_refused - before.logins_refused;
    println!("refused logins in the first {WATCHED:?}: {refused}");
    assert!(refused <= REFUSED_MAX, "{refused} refused logins in {WATCHED:?}");
    let (began, before) = (Instant::now(), world.sim.stats());
    wait_within(
        WATCHED * 2,
        "the time to be over",
        || began.elapsed(),
        |time| *time >= WATCHED,
    );
    let refused = world.sim.stats().logins_refused - before.logins_refused;
    println!("refused logins in the next {WATCHED:?}: {refused}");
    assert!(refused <= 4, "{refused} refused logins in {WATCHED:?}");

    world.write("password", format!("{NEW}\n"));
    world.service.wait_for_line(&TAKEN);
    world.topic.wait_committed(&world.group, &world.stream.ends());
    world.goes_on();
    let output = world.end();
    assert_eq!(count(&output, &REFUSED), 1, "{output}");
}

/// The worst case: workers call before anything has shown that connections are lost. The client library logs in about
/// once per millisecond while such a call waits for a connection. Each worker has one such call.
#[test]
fn a_refused_login_is_tried_by_no_more_than_one_call_of_each_worker() {
    const WORKERS: u64 = 2;
    const WRITE_TIMEOUT_MS: u64 = 300;
    // An attempt is refused twice: as the token of the earlier session, and as a password.
    const PER_MS: u64 = 2;
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    world.sim.set_password(USER, NEW).unwrap();
    let before = world.sim.stats();
    world.sim.faults().close_connections();
    world.stream.produce(40);
    world.service.wait_for_line(&REFUSED);
    world.service.wait_for_line(&["progress", "refuses the login"]);
    let refused = world.sim.stats().logins_refused - before.logins_refused;
    println!("refused logins of calls that had begun: {refused}");
    assert!(
        refused <= WORKERS * WRITE_TIMEOUT_MS * PER_MS + REFUSED_MAX,
        "{refused}"
    );
    world.write("password", NEW);
    world.service.wait_for_line(&TAKEN);
    world.topic.wait_committed(&world.group, &world.stream.ends());
    world.end();
}

#[test]
fn a_login_that_is_refused_at_the_start_ends_it_with_one_line() {
    let kafka = Kafka::mock();
    let (topic, sim, folder) = (kafka.topic("refused", 1), simulator(1), TempDir::new().unwrap());
    let file = folder.path().join("password");
    fs::write(&file, "wrong").unwrap();
    let login = format!("user = \"{USER}\"\npassword = \"${{file:{}}}\"", file.display());
    let setup = Setup::new(&kafka, &topic, sim.addr()).aerospike(&login);
    let config = setup.file();
    let exited = run_service(config.path()).end();
    exited.assert_code(77);
    let parts = [
        "ERROR",
        "aerospike: the cluster refuses the login (65",
        "correct aerospike.password",
    ];
    assert_eq!(count(&exited.output, &parts), 1, "{}", exited.output);
    assert_eq!(count(&exited.output, &["ERROR"]), 1, "{}", exited.output);
    let refused = sim.stats().logins_refused;
    println!("refused logins of a start: {refused}");
    assert!(refused <= 4, "{refused}");
}

#[test]
fn a_password_that_is_in_its_file_first_is_taken_when_the_cluster_has_it() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    world.write("password", NEW);
    world.service.wait_for_line(&NEW_REFUSED);
    world.goes_on();
    world.sim.set_password(USER, NEW).unwrap();
    world.service.wait_for_line(&TAKEN);
    world.sim.faults().close_connections();
    world.goes_on();
    let output = world.end();
    assert_eq!(count(&output, &REFUSED), 0, "{output}");
    assert_eq!(count(&output, &NEW_REFUSED), 1, "{output}");
}

#[test]
fn another_user_is_taken_from_the_files() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    world.sim.set_user("successor", NEW).unwrap();
    world.sim.faults().close_connections();
    world.stream.produce(20);
    world.service.wait_for_line(&[
        "WARN",
        "aerospike: the cluster refuses the login (60",
        "correct aerospike.user",
    ]);
    // For a moment, one file is of the one user and the other file of the other.
    world.write("user", "successor");
    world.service.wait_for_line(&NEW_REFUSED);
    world.write("password", NEW);
    world.service.wait_for_line(&TAKEN);
    world.topic.wait_committed(&world.group, &world.stream.ends());
    world.goes_on();
    world.end();
}

#[test]
fn a_file_that_is_missing_empty_or_broken_for_a_while_changes_nothing() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    let unreadable = [
        "WARN",
        "aerospike: the login cannot be read again, the last one is used",
    ];
    fs::remove_file(world.path("password")).unwrap();
    world.service.wait_for_line(&unreadable);
    world.sim.faults().close_connections();
    world.goes_on();
    for broken in [&b""[..], b"\xff\xfe\x00"] {
        world.write("password", broken);
        world.goes_on();
    }
    // It is told again where logins fail.
    world.sim.set_user(USER, NEW).unwrap();
    world.stream.produce(20);
    world.service.wait_for_line(&REFUSED);
    world.write("password", NEW);
    world.service.wait_for_line(&TAKEN);
    world.topic.wait_committed(&world.group, &world.stream.ends());
    let output = world.end();
    assert!(count(&output, &unreadable) <= 2, "{output}");
}

#[test]
fn a_login_that_the_cluster_accepts_again_goes_on_without_a_change_of_its_file() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    world.sim.set_user(USER, NEW).unwrap();
    world.sim.faults().close_connections();
    world.stream.produce(20);
    world.service.wait_for_line(&REFUSED);
    world.sim.set_user(USER, OLD).unwrap();
    world
        .service
        .wait_for_line(&["INFO", "aerospike: the login is accepted again"]);
    world.topic.wait_committed(&world.group, &world.stream.ends());
    world.goes_on();
    world.end();
}

/// The answer of a row, while the nodes accept the login.
const RIGHTS: [&str; 2] = ["WARN", "aerospike: the cluster refuses this user (81"];

#[test]
fn rows_that_are_refused_wait_for_the_new_login_in_the_files() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    world.sim.faults().fail_rows(81, Share::Fraction(1.0));
    world.sim.set_password(USER, NEW).unwrap();
    world.stream.produce(20);
    let told = world.service.wait_for_line(&RIGHTS);
    let file = world.path("password").display().to_string();
    for part in [&file, "grant the user read-write"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    world.write("password", NEW);
    world.service.wait_for_line(&TAKEN);
    world.sim.faults().clear();
    world.topic.wait_committed(&world.group, &world.stream.ends());
    world.goes_on();
    world.end();
}

#[test]
fn rows_that_are_refused_end_the_service_if_the_files_have_no_other_login() {
    let kafka = Kafka::mock();
    let mut world = World::start(&kafka, simulator(1), "");
    let before = world.topic.committed(&world.group);
    world.sim.faults().fail_rows(81, Share::Fraction(1.0));
    world.stream.produce(20);
    let exited = world.service.end();
    exited.assert_code(77);
    assert_eq!(count(&exited.output, &RIGHTS), 1, "{}", exited.output);
    let ends = [
        "ERROR",
        "aerospike: the cluster refuses this user (81",
        "cure=\"grant the user read-write\"",
    ];
    assert_eq!(count(&exited.output, &ends), 1, "{}", exited.output);
    assert_eq!(world.topic.committed(&world.group), before);
}

/// A cluster spreads a changed password within a second or so. Here it takes as long as it may.
#[test]
fn nodes_that_get_a_new_password_one_after_the_other_are_all_written_to_in_the_end() {
    const NAME: &str = "db.test";
    let (kafka, certificates) = (Kafka::mock(), Certificates::new());
    let ca = certificates.authority("ca");
    let node = certificates.sign(&ca, "node", &[NAME], Valid::Now);
    let sim = Simulator::start(SimConfig {
        nodes: 3,
        login: Some((USER.into(), OLD.into())),
        tls: Some(SimTls {
            name: NAME.into(),
            certificate: node.certificate,
            key: node.key,
            client_ca: None,
        }),
        ..SimConfig::default()
    })
    .unwrap();
    let tls = format!("[aerospike.tls]\nca = \"{}\"\nname = \"{NAME}\"\n", ca.file.display());
    let mut world = World::start(&kafka, sim, &tls);

    world.sim.node(1).set_password(USER, NEW).unwrap();
    world.write("password", NEW);
    // Two nodes refuse the new one.
    world.service.wait_for_line(&NEW_REFUSED);
    world.goes_on();
    world.sim.node(1).faults().close_connections();
    world.stream.produce(20);
    world.sim.node(0).set_password(USER, NEW).unwrap();
    world.sim.node(0).faults().close_connections();
    world.stream.produce(20);
    world.sim.node(2).set_password(USER, NEW).unwrap();
    world.sim.node(2).faults().close_connections();
    world.service.wait_for_line(&TAKEN);
    world.topic.wait_committed(&world.group, &world.stream.ends());
    world.goes_on();
    world.sim.faults().close_connections();
    world.goes_on();
    world.end();
}
