//! The partition map of the native writer, with a cluster of three simulated nodes: it has what the nodes say and what
//! the client goes by, and follows nodes that leave and join.

use std::sync::Arc;
use std::time::Duration;

use crate::support::process::{SimProgram, run_service};
use crate::support::{Kafka, Setup, wait_until};
use aerospike::{BatchOperation, BatchPolicy, BatchReadPolicy, Bins, Key};
use penstock::aerospike::wire::partitions::{Map, Owner, PARTITIONS};
use penstock::aerospike::{Store, StoreOptions};
use penstock::config;
use penstock::delivery::write::RowWriter as _;
use penstock::observe::counters::Counters;
use penstock::util::stop::Stop;
use penstock_sim::{Join, Leave, Share, SimConfig, Simulator};

/// A code that the simulator answers only where a test says so.
const REFUSED: u8 = 22;

fn cluster() -> Simulator {
    Simulator::start(SimConfig {
        nodes: 3,
        namespaces: vec!["test".into(), "gold".into()],
        ..SimConfig::default()
    })
    .unwrap()
}

fn store(sim: &Simulator, lines: &str) -> Store {
    let text = format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"{}\"\nnamespace = \"test\"\n{lines}\n[[route]]\n\
         [[route.write]]\nkey = \"k\"\ntouch = true\n",
        sim.addr()
    );
    let config = config::parse(&text, "test.toml").unwrap();
    let options = StoreOptions {
        write_timeout: Duration::from_secs(10),
        workers: 1,
        start_timeout: Some(Duration::from_secs(60)),
        namespaces: vec!["test".into()],
        whole: true,
    };
    Store::connect(&config.aerospike, &options, Arc::new(Counters::new()), &Stop::new()).unwrap()
}

fn native(sim: &Simulator) -> Store {
    store(sim, "writer = \"native\"")
}

fn map(store: &Store) -> Arc<Map> {
    store.partition_map().expect("the native writer")
}

/// A digest in this partition.
fn digest(partition: usize) -> [u8; 20] {
    let mut digest = [7; 20];
    digest[..2].copy_from_slice(&u16::try_from(partition).unwrap().to_le_bytes());
    digest
}

/// For each partition the port of its master by our map.
fn by_map(map: &Map, namespace: &str) -> Vec<Option<String>> {
    let owner = |partition| match map.owner(namespace, &digest(partition)) {
        Owner::Node(place) => Some(map.nodes()[place].address.clone()),
        Owner::NoNode => None,
        Owner::NoNamespace => panic!("no namespace {namespace}"),
    };
    (0..PARTITIONS).map(owner).collect()
}

/// The same by the simulator.
fn by_cluster(sim: &Simulator) -> Vec<Option<String>> {
    let master = |partition| {
        let nodes = (0..3)
            .map(|number| sim.node(number))
            .filter(penstock_sim::SimNode::is_here);
        let mut masters = nodes.filter(|node| node.masters(&digest(partition)));
        masters.next().map(|node| node.addr().to_string())
    };
    (0..PARTITIONS).map(master).collect()
}

/// The same by where the client sends a read: each node in turn refuses all of them.
fn by_client(sim: &Simulator, store: &Store, namespace: &str) -> Vec<Option<String>> {
    let mut owners = vec![None; PARTITIONS];
    let policy = BatchPolicy::write_default();
    for number in 0..3 {
        let node = sim.node(number);
        node.faults().fail_reads(REFUSED, Share::Fraction(1.0));
        let read = |partition| {
            let key = Key::with_digest(namespace, "", None, digest(partition));
            BatchOperation::read(&BatchReadPolicy::default(), key, Bins::None)
        };
        let mut reads: Vec<BatchOperation> = (0..PARTITIONS).map(read).collect();
        let _ = store.client().batch(&policy, &mut reads);
        for (owner, read) in owners.iter_mut().zip(&reads) {
            if read.batch_record().result_code().map(u8::from) == Some(REFUSED) {
                assert_eq!(*owner, None, "two nodes were asked");
                *owner = Some(node.addr().to_string());
            }
        }
        node.faults().clear();
    }
    owners
}

/// How many of the partitions go to the right node.
fn agreed(ours: &[Option<String>], others: &[Option<String>]) -> usize {
    ours.iter().zip(others).filter(|(ours, others)| ours == others).count()
}

#[test]
fn the_first_map_sends_each_partition_where_the_client_sends_it() {
    let sim = cluster();
    let store = native(&sim);
    let map = map(&store);
    assert_eq!((map.nodes().len(), map.holes()), (3, 0));
    let truth = by_cluster(&sim);
    for namespace in ["test", "gold"] {
        let ours = by_map(&map, namespace);
        assert!(ours.iter().all(Option::is_some), "{namespace}");
        assert_eq!(agreed(&ours, &truth), PARTITIONS, "{namespace}");
        assert_eq!(
            agreed(&ours, &by_client(&sim, &store, namespace)),
            PARTITIONS,
            "{namespace}"
        );
    }
    assert_eq!(map.owner("none", &digest(0)), Owner::NoNamespace);
    let names: Vec<String> = store
        .client()
        .nodes()
        .iter()
        .map(|node| node.name().to_owned())
        .collect();
    let ours: Vec<&String> = map.nodes().iter().map(|node| &node.name).collect();
    assert_eq!(ours, names.iter().collect::<Vec<_>>());
}

#[test]
fn the_map_follows_a_node_that_leaves_and_joins_again_elsewhere() {
    let sim = cluster();
    let store = native(&sim);
    let follows = |nodes: usize, what: &str| {
        let truth = by_cluster(&sim);
        let now = || {
            let map = map(&store);
            (map.nodes().len(), agreed(&by_map(&map, "test"), &truth))
        };
        wait_until(what, now, |seen| *seen == (nodes, PARTITIONS));
    };
    sim.node(2).leave(Leave::default()).unwrap();
    sim.node(2).settle();
    follows(2, "the map without a node");
    sim.node(2)
        .join(Join {
            elsewhere: true,
            ..Join::default()
        })
        .unwrap();
    sim.node(2).settle();
    follows(3, "the map with the node at its new address");
    // The node that was asked first is no exception.
    sim.node(0).leave(Leave::default()).unwrap();
    sim.node(0).settle();
    follows(2, "the map without the first node");
}

#[test]
fn the_map_follows_a_client_that_is_replaced() {
    let sim = cluster();
    let store = native(&sim);
    assert_eq!(map(&store).epoch(), 0);
    // As a client that has lost all its nodes.
    store.client().close().unwrap();
    // Each call without an answer looks for the cluster.
    let looked = || {
        assert!(store.write(&[]).is_empty());
        let map = map(&store);
        (
            map.epoch(),
            map.nodes().len(),
            agreed(&by_map(&map, "test"), &by_cluster(&sim)),
        )
    };
    wait_until("the map of no node", || map(&store).nodes().len(), |nodes| *nodes == 0);
    assert_eq!(map(&store).owner("test", &digest(0)), Owner::NoNode);
    wait_until("the map of the new client", looked, |seen| *seen == (1, 3, PARTITIONS));
}

#[test]
fn the_start_tells_which_writer_is_used_and_why() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("writer", 1);
    let user = "user = \"penstock\"\npassword = \"right\"";
    let login = ["--user", "penstock", "--password", "right"];
    for (lines, arguments, told) in [
        (
            "writer = \"native\"".to_owned(),
            [].as_slice(),
            "aerospike: writer=native",
        ),
        (
            "writer = \"client\"".to_owned(),
            [].as_slice(),
            "aerospike: writer=client reason=\"configured\"",
        ),
        (
            format!("writer = \"native\"\n{user}"),
            login.as_slice(),
            "aerospike: writer=client reason=\"a user is configured\"",
        ),
    ] {
        let sim = SimProgram::start(arguments);
        let setup = Setup::new(&kafka, &topic, sim.addr).aerospike(&lines);
        let file = setup.file();
        let mut service = run_service(file.path());
        service.wait_for_line(&["INFO", told]);
        service.signal("TERM");
        service.end().assert_code(0);
    }
}

#[test]
fn only_the_native_writer_has_a_map() {
    let sim = cluster();
    assert!(store(&sim, "writer = \"client\"").partition_map().is_none());
    assert!(native(&sim).partition_map().is_some());
}
