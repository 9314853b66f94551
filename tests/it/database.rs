//! The database that tests get (`tests/support/database.rs`), with the simulator's program as a cluster of three nodes:
//! what `make test-kafka` does if `AEROSPIKE_HOSTS` names real servers.

use std::net::TcpListener;
use std::time::Instant;

use crate::support::process::SimProgram;
use crate::support::{DEADLINE, Database, Kafka, Records as _, Service, Setup, Stream};
use penstock::util::exit::Exit;

#[test]
fn tests_that_share_a_cluster_have_sets_of_their_own() {
    let kafka = Kafka::mock();
    let sim = SimProgram::start(&["--nodes", "3"]);
    let hosts: Vec<String> = sim.addrs.iter().map(ToString::to_string).collect();
    let database = || Database::at(&hosts.join(","), "test").unwrap();
    // The same keys in the same sets, as in two runs of a test.
    let runs = [1, 2].map(|times| {
        let topic = kafka.topic("shared", 2);
        let mut stream = Stream::new(&topic, 5);
        stream.produce(50 * times);
        (topic, stream, database())
    });
    for (topic, stream, database) in &runs {
        let setup = Setup::new(&kafka, topic, database);
        let service = Service::start(&setup);
        topic.wait_committed(&setup.group, &stream.ends());
        service.stop().assert(Exit::Stopped);
    }
    for (_, stream, database) in &runs {
        stream.assert_ledger(database);
        assert_eq!(database.count("all"), stream.total());
    }
    assert_eq!(database().count("all"), 0);
    assert_eq!(database().ints("all", &["0-0"]), [None]);
    assert_eq!(sim.say("count test all"), "0", "a set without its suffix");
}

#[test]
fn a_cluster_that_cannot_be_used_is_one_error_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let sim = SimProgram::start(&[]);
    let there = sim.addr.to_string();
    for (hosts, namespace, why) in [
        (closed.as_str(), "test", "refused"),
        ("no-such-host.invalid:3000", "test", "resolve"),
        ("127.0.0.1:x", "test", "a port is not a number"),
        (",", "test", "a host is empty"),
        (&there, "other", "it has no namespace other, but test"),
    ] {
        let began = Instant::now();
        let Err(told) = Database::at(hosts, namespace) else {
            panic!("{hosts}/{namespace} is used");
        };
        assert!(began.elapsed() < DEADLINE, "{hosts}: {:?}", began.elapsed());
        for part in [why, hosts, "AEROSPIKE_HOSTS"] {
            assert!(told.contains(part), "{hosts}: {part} is not in: {told}");
        }
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}
