//! Tests of the decisions whom to ask, and of the thread with made-up nodes.

use base64::Engine as _;
use parking_lot::Mutex;

use super::super::partitions::{Owner, PARTITIONS};
use super::*;
use crate::aerospike::ask::fakes;

/// An answer to `replicas`: `test` with these partitions.
fn replicas(partitions: std::ops::Range<usize>) -> String {
    let mut bytes = [0u8; PARTITIONS / 8];
    for partition in partitions {
        bytes[partition / 8] |= 0x80 >> (partition % 8);
    }
    format!("test:0,1,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn told(name: &str, generation: i64, partitions: std::ops::Range<usize>) -> Told {
    Told {
        name: name.to_owned(),
        generation,
        is_alone: false,
        part: Part::parse(&replicas(partitions)).unwrap(),
    }
}

fn address(name: &str) -> NodeAddress {
    NodeAddress {
        name: name.to_owned(),
        address: format!("{name}:3000"),
    }
}

fn view(epoch: u64, nodes: &[(&str, i64)]) -> View {
    let seen = |(name, generation): &(&str, i64)| Seen {
        address: address(name),
        generation: *generation,
    };
    View {
        epoch,
        nodes: nodes.iter().map(seen).collect(),
    }
}

/// What is known, with a clock of its own and the last map.
struct Bench {
    known: Known,
    map: Map,
    now: Instant,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            known: Known::default(),
            map: Map::default(),
            now: Instant::now(),
        }
    }

    fn look(&mut self, view: View) -> Vec<(u64, String)> {
        self.look_with(view, false)
    }

    fn look_with(&mut self, view: View, is_doubted: bool) -> Vec<(u64, String)> {
        let asked = self.known.look(view, is_doubted, self.now);
        self.renew();
        asked.into_iter().map(|(ticket, node)| (ticket, node.name)).collect()
    }

    fn answer(&mut self, ticket: u64, answer: Result<Told, Unknown>) -> bool {
        let is_taken = self.known.answered(ticket, answer, self.now).is_none();
        self.renew();
        is_taken
    }

    fn renew(&mut self) {
        if let Some(map) = self.known.map(&self.map) {
            self.map = map;
        }
    }

    /// Looks, and gives each node that is asked its answer. Returns whom.
    fn ask(&mut self, view: View, answers: &[Told]) -> Vec<String> {
        let asked = self.look(view);
        let mut names = Vec::new();
        for (ticket, name) in asked {
            let told = answers.iter().find(|told| told.name == name);
            self.answer(ticket, told.cloned().ok_or_else(silent));
            names.push(name);
        }
        names
    }

    fn owner(&self, partition: usize) -> Owner {
        let mut digest = [0; 20];
        digest[..2].copy_from_slice(&u16::try_from(partition).unwrap().to_le_bytes());
        self.map.owner("test", &digest)
    }
}

fn silent() -> Unknown {
    Unknown::Silent(Silence::Unresolved)
}

#[test]
fn a_node_is_asked_when_it_appears_and_when_its_generation_moves_and_not_else() {
    let mut bench = Bench::new();
    let both = [told("A", 5, 0..2048), told("B", 8, 2048..4096)];
    assert_eq!(bench.ask(view(0, &[("A", 5)]), &both), ["A"]);
    assert_eq!(bench.owner(4095), Owner::NoNode);
    assert_eq!(bench.ask(view(0, &[("A", 5), ("B", 8)]), &both), ["B"]);
    assert_eq!(bench.owner(4095), Owner::Node(1));
    assert!(bench.ask(view(0, &[("A", 5), ("B", 8)]), &both).is_empty());
    // The client asks again by itself.
    assert!(bench.ask(view(0, &[("A", -1), ("B", 8)]), &both).is_empty());
    assert_eq!(bench.ask(view(0, &[("A", 5), ("B", 8)]), &both), ["A"]);
    let moved = [told("A", 6, 0..4096), told("B", 9, 0..0)];
    assert_eq!(bench.ask(view(0, &[("A", 6), ("B", 8)]), &moved), ["A"]);
    assert_eq!(bench.owner(4095), Owner::Node(0));
    // We were told of 9 before the client was.
    let asked = bench.look_with(view(0, &[("A", 6), ("B", 8)]), true);
    for ((ticket, _), told) in asked.into_iter().zip(moved.clone()) {
        bench.answer(ticket, Ok(told));
    }
    assert!(bench.ask(view(0, &[("A", 6), ("B", 8)]), &moved).is_empty());
    assert!(bench.ask(view(0, &[("A", 6), ("B", 9)]), &moved).is_empty());
}

#[test]
fn a_node_that_does_not_answer_keeps_what_it_owned_and_is_asked_again_after_a_while() {
    let mut bench = Bench::new();
    let both = [told("A", 5, 0..2048), told("B", 8, 2048..4096)];
    let nodes = [("A", 5), ("B", 8)];
    bench.ask(view(0, &nodes), &both);
    for (ticket, name) in bench.look_with(view(0, &nodes), true) {
        let failed = match name.as_str() {
            "A" => silent(),
            _ => Unknown::Wrong("malformed".into()),
        };
        assert!(!bench.answer(ticket, Err(failed)));
    }
    assert_eq!((bench.owner(0), bench.owner(4095)), (Owner::Node(0), Owner::Node(1)));
    bench.now += RETRY_INTERVAL - Duration::from_millis(1);
    assert!(bench.look(view(0, &nodes)).is_empty());
    bench.now += Duration::from_millis(1);
    assert_eq!(bench.ask(view(0, &nodes), &both), ["A", "B"]);
    // The client has dropped it.
    bench.ask(view(0, &nodes[..1]), &both);
    assert_eq!(bench.map.nodes().len(), 1);
    assert_eq!((bench.owner(0), bench.owner(4095)), (Owner::Node(0), Owner::NoNode));
}

#[test]
fn an_answer_of_another_node_at_the_same_address_is_not_taken() {
    let mut bench = Bench::new();
    let asked = bench.look(view(0, &[("A", 5)]));
    assert!(!bench.answer(asked[0].0, Ok(told("B", 5, 0..4096))));
    assert_eq!(bench.owner(0), Owner::NoNode);
    assert!(bench.known.is_complete());
}

#[test]
fn an_answer_that_comes_after_the_node_is_gone_counts_for_nothing() {
    let mut bench = Bench::new();
    let asked = bench.look(view(0, &[("A", 5)]));
    bench.look(view(0, &[]));
    let again = bench.look(view(0, &[("A", 0)]));
    bench.answer(asked[0].0, Ok(told("A", 5, 0..4096)));
    assert_eq!(bench.owner(0), Owner::NoNode);
    bench.answer(again[0].0, Ok(told("A", 0, 0..10)));
    assert_eq!((bench.owner(0), bench.owner(10)), (Owner::Node(0), Owner::NoNode));
}

#[test]
fn a_doubt_asks_all_nodes_and_one_that_is_being_asked_once_more_afterwards() {
    let mut bench = Bench::new();
    let both = [told("A", 5, 0..2048), told("B", 8, 2048..4096)];
    let nodes = [("A", 5), ("B", 8)];
    assert!(bench.known.may_doubt(bench.now));
    bench.ask(view(0, &nodes), &both);
    let asked = bench.look_with(view(0, &nodes), true);
    assert_eq!(asked.len(), 2);
    assert!(!bench.known.may_doubt(bench.now), "a storm of doubts");
    bench.now += DOUBT_INTERVAL;
    assert!(bench.known.may_doubt(bench.now));
    // A answers. B may be answering with what is doubted.
    bench.answer(asked[0].0, Ok(both[0].clone()));
    let asked_again = bench.look_with(view(0, &nodes), true);
    assert_eq!(asked_again.len(), 1, "{asked_again:?}");
    assert_eq!(asked_again[0].1, "A");
    bench.answer(asked[1].0, Ok(both[1].clone()));
    let last = bench.look(view(0, &nodes));
    assert_eq!(last.len(), 1, "{last:?}");
    assert_eq!(last[0].1, "B");
    bench.answer(last[0].0, Ok(both[1].clone()));
    assert!(bench.look(view(0, &nodes)).is_empty());
}

#[test]
fn a_node_whose_partitions_another_one_claims_later_is_asked_again() {
    let mut bench = Bench::new();
    let nodes = [("A", 5), ("B", 8)];
    bench.ask(view(0, &nodes), &[told("A", 5, 0..4096), told("B", 8, 2048..4096)]);
    assert_eq!((bench.owner(0), bench.owner(4095)), (Owner::Node(0), Owner::Node(1)));
    assert!(bench.look(view(0, &nodes)).is_empty());
    bench.now += RETRY_INTERVAL;
    assert_eq!(bench.ask(view(0, &nodes), &[told("A", 5, 0..2048)]), ["A"]);
    bench.now += RETRY_INTERVAL;
    assert!(bench.look(view(0, &nodes)).is_empty());
}

#[test]
fn a_node_that_is_alone_does_not_count_while_another_one_has_peers() {
    let alone = |generation| Told {
        is_alone: true,
        ..told("B", generation, 0..4096)
    };
    let mut bench = Bench::new();
    let nodes = [("A", 5), ("B", 8)];
    let both = [told("A", 5, 0..2048), told("B", 8, 2048..4096)];
    bench.ask(view(0, &nodes), &both);
    // It is cut off, and takes itself for the whole cluster. It keeps what it had: somebody else claims it later.
    let cut_off = [("A", 5), ("B", 9)];
    bench.ask(view(0, &cut_off), &[alone(9)]);
    assert_eq!((bench.owner(0), bench.owner(4095)), (Owner::Node(0), Owner::Node(1)));
    bench.ask(view(0, &[("A", 6), ("B", 9)]), &[told("A", 6, 0..4096)]);
    assert_eq!((bench.owner(0), bench.owner(4095)), (Owner::Node(0), Owner::Node(0)));
    // The others do not answer: it is what is left.
    let nodes = [("A", 6), ("B", 9)];
    for (ticket, name) in bench.look_with(view(0, &nodes), true) {
        let answer = if name == "A" { Err(silent()) } else { Ok(alone(9)) };
        bench.answer(ticket, answer);
    }
    assert_eq!((bench.owner(0), bench.owner(4095)), (Owner::Node(1), Owner::Node(1)));
    // A cluster of one.
    let mut bench = Bench::new();
    bench.ask(view(0, &[("B", 9)]), &[alone(9)]);
    assert_eq!(bench.owner(0), Owner::Node(0));
}

#[test]
fn a_client_that_is_replaced_changes_the_epoch_and_all_nodes_are_asked() {
    let mut bench = Bench::new();
    let both = [told("A", 5, 0..2048), told("B", 8, 2048..4096)];
    let nodes = [("A", 5), ("B", 8)];
    bench.ask(view(0, &nodes), &both);
    assert_eq!(bench.map.epoch(), 0);
    assert_eq!(bench.look(view(1, &nodes)).len(), 2);
    assert_eq!(bench.map.epoch(), 1, "before any node has answered");
    assert_eq!(bench.owner(4095), Owner::Node(1));
}

// ---- the thread

fn lines(name: &str, generation: &str, replicas: &str) -> String {
    fakes::node(&[
        ("node", name),
        ("partition-generation", generation),
        ("peers-clear-std", "1,3000,[[C,,[10.0.0.9]]]"),
        ("replicas", replicas),
    ])
}

fn seen(name: &str, address: String, generation: i64) -> Seen {
    let name = name.to_owned();
    Seen {
        address: NodeAddress { name, address },
        generation,
    }
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Waits for a map like this.
#[track_caller]
fn wait_for_map(cluster: &Cluster, is_it: impl Fn(&Map) -> bool) -> Arc<Map> {
    let deadline = in_a_minute();
    loop {
        let map = cluster.map();
        if is_it(&map) {
            return map;
        }
        assert!(Instant::now() < deadline, "not this one: {map:?}");
        thread::yield_now();
    }
}

#[test]
fn the_first_map_has_what_the_nodes_that_answer_own() {
    let nodes = vec![
        seen("A", lines("A", "3", &replicas(0..2048)), 3),
        seen("B", lines("B", "3", "garbage"), 3),
        seen("C", fakes::nobody(), 3),
        seen("D", lines("D", "x", &replicas(0..4096)), 3),
        seen("E", lines("E", "3", &replicas(2048..3000)), 3),
    ];
    let cluster = Cluster::start(move || View {
        epoch: 0,
        nodes: nodes.clone(),
    })
    .unwrap();
    assert!(cluster.wait_complete(in_a_minute(), &Stop::new()));
    let map = cluster.map();
    assert_eq!(map.nodes().len(), 5);
    assert_eq!(map.holes(), PARTITIONS - 3000);
}

#[test]
fn the_map_follows_the_client() {
    let now = Arc::new(Mutex::new(View::default()));
    let cluster = {
        let now = now.clone();
        Cluster::start(move || now.lock().clone()).unwrap()
    };
    assert!(
        cluster.wait_complete(in_a_minute(), &Stop::new()),
        "no node, no question"
    );
    now.lock().nodes.push(seen("A", lines("A", "1", &replicas(0..4096)), 1));
    wait_for_map(&cluster, |map| map.nodes().len() == 1 && map.holes() == 0);
    now.lock().nodes.push(seen("B", lines("B", "1", &replicas(0..1)), 1));
    wait_for_map(&cluster, |map| map.owner("test", &[0; 20]) == Owner::Node(1));
    now.lock().epoch = 7;
    let map = wait_for_map(&cluster, |map| map.epoch() == 7);
    assert_eq!(map.nodes().len(), 2);
    now.lock().nodes.clear();
    wait_for_map(&cluster, |map| map.nodes().is_empty());
}

#[test]
fn a_stop_ends_the_wait_for_the_first_map_and_a_silent_node_holds_up_no_end() {
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let cluster = Cluster::start(move || View {
        epoch: 0,
        nodes: vec![seen("A", address.clone(), 1)],
    })
    .unwrap();
    let _asked = silent.accept().unwrap();
    let stop = Stop::requested_before(Duration::ZERO);
    assert!(!cluster.wait_complete(in_a_minute(), &stop));
    assert!(!cluster.wait_complete(Instant::now(), &Stop::new()));
    drop(cluster);
}
