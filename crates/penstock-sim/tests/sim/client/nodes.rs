//! Several nodes as the client sees them: one that it finds, one that leaves, one that comes back, and rows at the wrong
//! one.

use super::*;
use penstock_sim::{Gone, Join, Leave, SimNode};
use std::collections::BTreeSet;

const ROWS: i64 = 300;
/// Nobody notices before a test says so.
const NEVER: Duration = Duration::from_secs(3600);
/// Where some rows are not answered and the others must be, on a machine that is busy.
const PATIENT_MS: u32 = 1000;
const TEND_MS: u32 = 250;

fn policy() -> ClientPolicy {
    ClientPolicy {
        timeout: 2000,
        tend_interval: TEND_MS,
        max_error_rate: 0,
        ..ClientPolicy::default()
    }
}

fn start_nodes(nodes: usize) -> (Simulator, Client) {
    let simulator = Simulator::start(SimConfig {
        nodes,
        ..SimConfig::default()
    })
    .unwrap();
    let client = Client::new(&policy(), &simulator.addr().to_string()).unwrap();
    (simulator, client)
}

/// A client that knows of one node and of no other.
fn connect_to_one(node: &SimNode) -> Client {
    let policy = ClientPolicy {
        seed_only_cluster: true,
        ..policy()
    };
    Client::new(&policy, &node.addr().to_string()).unwrap()
}

fn leave_unnoticed(node: &SimNode, gone: Gone) {
    let leave = Leave {
        gone,
        unnoticed: NEVER,
        ..Leave::default()
    };
    node.leave(leave).unwrap();
}

/// The rows that a node is master of.
fn mastered(node: &SimNode) -> BTreeSet<i64> {
    (0..ROWS).filter(|id| node.masters(&key(*id).digest())).collect()
}

/// Writes all rows; those that were written.
fn write_all(client: &Client, value: i64, timeout_ms: u32) -> BTreeSet<i64> {
    let mut rows: Vec<BatchOperation> = (0..ROWS).map(|id| put_row(id, value)).collect();
    let policy = BatchPolicy {
        concurrency: Concurrency::Parallel,
        ..batch_policy(timeout_ms)
    };
    // Says nothing of the rows.
    let _ = client.batch(&policy, &mut rows);
    let written = |(id, row): (i64, &BatchOperation)| (row.result_code() == Some(ResultCode::Ok)).then_some(id);
    (0..).zip(&rows).filter_map(written).collect()
}

fn wait_for_all_written(client: &Client, value: i64) {
    wait_for("all rows to be written", || {
        write_all(client, value, PATIENT_MS).len() == ROWS as usize
    });
}

fn wait_for_nodes(client: &Client, expected: &[&str]) {
    wait_for(&format!("the client to know {expected:?}"), || {
        let mut names = client.node_names();
        names.sort();
        names == expected
    });
}

/// The records that are there, read by the client: once every row has its answer, for a client that has just found or
/// lost a node has no map for a moment.
fn read_all(client: &Client) -> BTreeSet<i64> {
    let policy = BatchReadPolicy::default();
    let mut found = BTreeSet::new();
    wait_for("every row to be answered", || {
        let mut rows: Vec<BatchOperation> = (0..ROWS)
            .map(|id| BatchOperation::read(&policy, key(id), Bins::All))
            .collect();
        let _ = client.batch(&batch_policy(LONG_MS), &mut rows);
        let codes = codes(&rows);
        let with = |wanted| (0..).zip(&codes).filter(move |(_, code)| **code == Some(wanted));
        found = with(ResultCode::Ok).map(|(id, _)| id).collect();
        found.len() + with(ResultCode::KeyNotFoundError).count() == rows.len()
    });
    found
}

fn all() -> BTreeSet<i64> {
    (0..ROWS).collect()
}

#[test]
fn three_nodes_are_found_from_any_one_and_share_the_rows() {
    let (simulator, _client) = start_nodes(3);
    for addr in simulator.addrs() {
        let client = Client::new(&policy(), &addr.to_string()).unwrap();
        wait_for_nodes(&client, &["A1", "B2", "C3"]);
        let before = [0, 1, 2].map(|number| simulator.node(number).stats().rows);
        assert_eq!(write_all(&client, 1, LONG_MS), all());
        for (number, before) in (0..).zip(before) {
            let node = simulator.node(number);
            let (mastered, stats) = (mastered(&node).len() as u64, node.stats());
            assert!((50..150).contains(&mastered), "{mastered} of {ROWS} rows");
            assert_eq!(stats.rows - before, mastered, "{}", node.name());
        }
    }
    let client = Client::new(&policy(), &simulator.node(1).addr().to_string()).unwrap();
    for id in 0..ROWS {
        client
            .put(&write_policy(LONG_MS), &key(id), &[as_bin!("v", 2)])
            .unwrap();
    }
    let stats = simulator.stats();
    assert_eq!((stats.singles, stats.unowned, stats.proxied), (ROWS as u64, 0, 0));
    assert_eq!(read_all(&client), all());
    assert_eq!(
        simulator.stats().unowned,
        0,
        "a read is sent to a node that has the record"
    );
}

#[test]
fn a_node_that_crashes_takes_its_rows_with_it_until_the_others_notice() {
    let (simulator, client) = start_nodes(3);
    let node = simulator.node(1);
    assert_eq!(write_all(&client, 1, LONG_MS), all());
    let (its_rows, served) = (mastered(&node), node.stats().rows);
    leave_unnoticed(&node, Gone::Refusing);
    let refused = std::net::TcpStream::connect(node.addr()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // The map names it: nobody else is asked for its rows, however often.
    for value in [2, 3] {
        assert_eq!(write_all(&client, value, PATIENT_MS), &all() - &its_rows);
    }

    node.settle();
    wait_for_all_written(&client, 5);
    wait_for_nodes(&client, &["A1", "C3"]);
    assert_eq!(read_all(&client), all());
    assert_eq!(node.stats().rows, served);
    assert_eq!(
        (
            node.partitions(),
            simulator.node(0).partitions() + simulator.node(2).partitions()
        ),
        (0, 4096)
    );

    node.join(Join::default()).unwrap();
    wait_for_nodes(&client, &["A1", "B2", "C3"]);
    assert_eq!(mastered(&node), its_rows);
    wait_for("its rows to be sent to it", || {
        let before = node.stats().rows;
        write_all(&client, 6, LONG_MS) == all() && node.stats().rows - before == its_rows.len() as u64
    });
    for id in 0..ROWS {
        assert_eq!(simulator.get("test", "s", id).unwrap().int("v"), Some(6));
    }
}

#[test]
fn a_node_that_comes_back_empty_has_lost_what_it_was_master_of() {
    let (simulator, client) = start_nodes(3);
    let node = simulator.node(2);
    assert_eq!(write_all(&client, 1, LONG_MS), all());
    let its_rows = mastered(&node);
    node.leave(Leave {
        lossy: true,
        unnoticed: Duration::ZERO,
        ..Leave::default()
    })
    .unwrap();
    wait_for_nodes(&client, &["A1", "B2"]);
    assert_eq!(read_all(&client), &all() - &its_rows);
    node.join(Join::default()).unwrap();
    wait_for_nodes(&client, &["A1", "B2", "C3"]);
    assert_eq!(read_all(&client), &all() - &its_rows);
    wait_for_all_written(&client, 2);
    assert_eq!(read_all(&client), all());
}

#[test]
fn a_node_that_falls_silent_answers_nothing_and_is_back_with_new_connections() {
    let (simulator, client) = start_nodes(3);
    let node = simulator.node(1);
    assert_eq!(write_all(&client, 1, LONG_MS), all());
    let its_rows = mastered(&node);
    leave_unnoticed(&node, Gone::Silent);
    assert_eq!(write_all(&client, 2, PATIENT_MS), &all() - &its_rows);
    for id in &its_rows {
        assert_eq!(simulator.get("test", "s", *id).unwrap().int("v"), Some(1));
    }
    // Not even who connects now.
    let mut stream = std::net::TcpStream::connect(node.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    std::io::Write::write_all(&mut stream, &[2, 1, 0, 0, 0, 0, 0, 5, b'n', b'o', b'd', b'e', b'\n']).unwrap();
    std::io::Read::read(&mut stream, &mut [0]).unwrap_err();

    node.settle();
    wait_for_nodes(&client, &["A1", "C3"]);
    wait_for_all_written(&client, 3);
    node.join(Join::default()).unwrap();
    wait_for("the old connection to be closed", || {
        matches!(std::io::Read::read(&mut stream, &mut [0]), Ok(0))
    });
    wait_for_nodes(&client, &["A1", "B2", "C3"]);
    wait_for_all_written(&client, 4);
}

#[test]
fn a_cluster_that_was_away_as_a_whole_is_found_again_whichever_node_is_back_first() {
    let (simulator, client) = start_nodes(3);
    assert_eq!(write_all(&client, 1, LONG_MS), all());
    for number in 0..3 {
        leave_unnoticed(&simulator.node(number), Gone::Refusing);
    }
    wait_for_nodes(&client, &[]);
    assert!(write_all(&client, 2, PATIENT_MS).is_empty());
    simulator.node(2).join(Join::default()).unwrap();
    wait_for_nodes(&client, &["C3"]);
    assert_eq!(simulator.node(2).partitions(), 4096, "it knows of nobody");
    assert_eq!(read_all(&client), all());
    simulator.node(0).join(Join::default()).unwrap();
    simulator.node(1).join(Join::default()).unwrap();
    wait_for_nodes(&client, &["A1", "B2", "C3"]);
    wait_for_all_written(&client, 3);
}

#[test]
fn a_node_that_is_back_elsewhere_is_followed_once_it_was_missed() {
    let (simulator, client) = start_nodes(3);
    let node = simulator.node(0);
    let addr = node.addr();
    for gone in [Gone::Refusing, Gone::Silent] {
        node.leave(Leave {
            gone,
            unnoticed: Duration::ZERO,
            ..Leave::default()
        })
        .unwrap();
        wait_for_nodes(&client, &["B2", "C3"]);
        node.join(Join {
            elsewhere: true,
            ..Join::default()
        })
        .unwrap();
        assert_ne!(node.addr(), addr);
        wait_for_nodes(&client, &["A1", "B2", "C3"]);
        wait_for("its rows to be sent to it", || {
            let before = node.stats().rows;
            write_all(&client, 1, LONG_MS) == all() && node.stats().rows - before == mastered(&node).len() as u64
        });
    }
    std::net::TcpStream::connect(addr).unwrap_err();
}

#[test]
fn a_node_refused_for_many_tends_stays_in_the_cluster_and_serves_again() {
    let (simulator, client) = start_nodes(3);
    let node = simulator.node(1);
    let its_rows = mastered(&node);
    node.faults().refuse(true);
    let begun = Instant::now();
    wait_for("12 tends", || {
        assert_eq!(write_all(&client, 1, PATIENT_MS), &all() - &its_rows);
        begun.elapsed() > 12 * Duration::from_millis(TEND_MS.into())
    });
    wait_for_nodes(&client, &["A1", "B2", "C3"]);
    node.faults().refuse(false);
    wait_for_all_written(&client, 2);
}

#[test]
fn a_node_passes_on_what_is_not_its_own_or_answers_11() {
    let (simulator, client) = start_nodes(2);
    let [one, other] = [0, 1].map(|number| simulator.node(number));
    // It takes the replica for the next best node.
    let lost = connect_to_one(&one);
    let its_rows = mastered(&other);
    let unowned = its_rows.len() as u64;
    assert_eq!(write_all(&lost, 1, LONG_MS), all());
    let counted = || {
        let stats = one.stats();
        (stats.unowned, stats.proxied, other.stats().rows)
    };
    assert_eq!(counted(), (unowned, unowned, 0));
    assert_eq!(read_all(&client), all());
    let at_the_other = other.stats().rows;
    assert_eq!(read_all(&lost), all());
    assert_eq!(
        counted(),
        (unowned, unowned, at_the_other),
        "a replica may be read from"
    );

    simulator.faults().refuse_unowned(Some(11));
    assert_eq!(write_all(&lost, 2, LONG_MS), &all() - &its_rows);
    assert_eq!(counted().0, 2 * unowned);
    assert_eq!(counted().1, unowned);
    assert_eq!(one.stats().result(11), unowned);
    let stray = *its_rows.first().unwrap();
    let put = |value: i64| lost.put(&write_policy(LONG_MS), &key(stray), &[as_bin!("v", value)]);
    assert_eq!(refused(put(2)), Some(ResultCode::PartitionUnavailable));
    assert_eq!(simulator.get("test", "s", stray).unwrap().int("v"), Some(1));
    assert_eq!(
        write_all(&client, 3, LONG_MS),
        all(),
        "who asks the right node is not refused"
    );
    simulator.faults().refuse_unowned(None);
    put(4).unwrap();
    assert_eq!(simulator.get("test", "s", stray).unwrap().int("v"), Some(4));
}

#[test]
fn what_is_passed_on_to_a_node_that_nobody_misses_yet_times_out_at_the_server() {
    let (simulator, _client) = start_nodes(2);
    let [one, other] = [0, 1].map(|number| simulator.node(number));
    let lost = connect_to_one(&one);
    let its_rows = mastered(&other);
    leave_unnoticed(&other, Gone::Refusing);
    assert_eq!(write_all(&lost, 1, LONG_MS), &all() - &its_rows);
    assert_eq!(one.stats().result(9), its_rows.len() as u64);
    assert!(its_rows.iter().all(|id| simulator.get("test", "s", *id).is_none()));
    other.settle();
    assert_eq!(write_all(&lost, 1, LONG_MS), all());
}

#[test]
fn a_node_that_is_back_and_not_yet_in_the_cluster_answers_11() {
    let (simulator, client) = start_nodes(1);
    let node = simulator.node(0);
    node.leave(Leave::default()).unwrap();
    node.join(Join {
        after: NEVER,
        ..Join::default()
    })
    .unwrap();
    let put = || client.put(&write_policy(LONG_MS), &key(1), &[as_bin!("v", 1)]);
    wait_for("the node to be reached", || {
        put().unwrap_err().server_result_code() == Some(ResultCode::PartitionUnavailable)
    });
    // No client takes it for one of the cluster.
    let error = Client::new(&policy(), &node.addr().to_string()).err().unwrap();
    assert!(error.to_string().contains("not yet fully initialized"), "{error}");
    node.settle();
    put().unwrap();
}

#[test]
fn each_node_says_what_it_has() {
    let (simulator, client) = start_nodes(3);
    assert_eq!(write_all(&client, 1, LONG_MS), all());
    let settings = |node: &SimNode| -> HashMap<String, String> {
        let client = connect_to_one(node);
        let questions = ["node", "namespaces", "namespace/test", "sets/test"];
        let answers = client.info(&AdminPolicy::default(), &questions).unwrap();
        assert_eq!(answers["node"], node.name());
        assert_eq!(answers["namespaces"], "test;disk");
        assert!(answers["sets/test"].starts_with("ns=test:set=s:objects="));
        let (sets, found) = (&answers["sets/test"], &answers["namespace/test"]);
        let found = found.split(';').filter_map(|setting| setting.split_once('='));
        let mut found: HashMap<String, String> = found.map(|(name, value)| (name.into(), value.into())).collect();
        let in_set = sets.split(':').find_map(|field| field.strip_prefix("objects="));
        found.insert("in_set".into(), in_set.unwrap().into());
        found
    };
    let number = |found: &HashMap<String, String>, name: &str| found[name].parse::<i64>().unwrap();
    let nodes = [0, 1, 2].map(|number| simulator.node(number));
    for node in &nodes {
        let found = settings(node);
        assert_eq!(number(&found, "ns_cluster_size"), 3);
        assert_eq!(number(&found, "effective_replication_factor"), 2);
        assert_eq!(number(&found, "master_objects"), mastered(node).len() as i64);
        let copies = number(&found, "master_objects") + number(&found, "prole_objects");
        assert_eq!(number(&found, "objects"), copies);
        assert_eq!(number(&found, "in_set"), copies);
    }
    let copies: i64 = nodes.iter().map(|node| number(&settings(node), "objects")).sum();
    assert_eq!(copies, 2 * ROWS);

    // A write that one node refuses is refused by it alone, and it says so.
    nodes[1].faults().stop_writes(true);
    assert_eq!(settings(&nodes[0])["stop_writes"], "false");
    assert_eq!(settings(&nodes[1])["stop_writes"], "true");
    assert_eq!(write_all(&client, 2, LONG_MS), &all() - &mastered(&nodes[1]));

    for node in &nodes[1..] {
        node.leave(Leave {
            unnoticed: Duration::ZERO,
            ..Leave::default()
        })
        .unwrap();
    }
    let alone = settings(&nodes[0]);
    assert_eq!(number(&alone, "effective_replication_factor"), 1);
    assert_eq!(
        (number(&alone, "ns_cluster_size"), number(&alone, "objects")),
        (1, ROWS)
    );
}

#[test]
fn peers_and_generations_are_told_as_the_server_tells_them() {
    let (simulator, _client) = start_nodes(3);
    let nodes = [0, 1, 2].map(|number| simulator.node(number));
    let ask = |node: &SimNode| {
        let client = connect_to_one(node);
        let questions = [
            "peers-clear-std",
            "peers-generation",
            "partition-generation",
            "service-clear-std",
        ];
        let answers = client.info(&AdminPolicy::default(), &questions).unwrap();
        questions.map(|question| answers[question].clone())
    };
    let expected = |node: &SimNode, generation: u64, peers: &[&SimNode]| {
        let peers: Vec<String> = peers
            .iter()
            .map(|peer| format!("[{},,[{}]]", peer.name(), peer.addr()))
            .collect();
        let generation = generation.to_string();
        let peers = format!("{generation},3000,[{}]", peers.join(","));
        [peers, generation.clone(), generation, node.addr().to_string()]
    };
    let [a, b, c] = &nodes;
    assert_eq!(ask(a), expected(a, 0, &[b, c]));
    assert_eq!(ask(b), expected(b, 0, &[a, c]));
    leave_unnoticed(b, Gone::Refusing);
    assert_eq!(ask(a), expected(a, 0, &[b, c]));
    b.settle();
    assert_eq!(ask(a), expected(a, 1, &[c]));
    b.join(Join::default()).unwrap();
    assert_eq!(ask(a), expected(a, 2, &[b, c]));
    assert_eq!(ask(b), expected(b, 0, &[a, c]), "it has begun anew");
}

#[test]
fn a_fault_strikes_at_its_node_or_at_whichever() {
    let (simulator, client) = start_nodes(3);
    let nodes = [0, 1, 2].map(|number| simulator.node(number));
    let not_of = |node: &SimNode| &all() - &mastered(node);
    nodes[0].faults().stall(Stalled::Dropped);
    assert_eq!(write_all(&client, 1, PATIENT_MS), not_of(&nodes[0]));
    nodes[0].faults().clear();
    wait_for_all_written(&client, 2);

    nodes[1].faults().fail_rows(18, Share::Fraction(1.0));
    assert_eq!(write_all(&client, 3, LONG_MS), not_of(&nodes[1]));
    simulator.faults().clear();
    assert_eq!(
        write_all(&client, 3, LONG_MS),
        not_of(&nodes[1]),
        "its own faults are its own"
    );
    nodes[1].faults().clear();

    nodes[2].faults().fail_batches(150, Share::Next(1));
    assert_eq!(write_all(&client, 4, LONG_MS), not_of(&nodes[2]));
    assert_eq!(write_all(&client, 4, LONG_MS), all());
    assert_eq!(nodes.each_ref().map(|node| node.stats().batches_refused), [0, 0, 1]);

    // Of the cluster's, so many in all.
    simulator.faults().fail_rows(18, Share::Next(10));
    assert_eq!(write_all(&client, 5, LONG_MS).len(), ROWS as usize - 10);

    nodes[2].faults().late_next(1);
    assert_eq!(write_all(&client, 6, PATIENT_MS), not_of(&nodes[2]));
    assert_eq!(
        (simulator.faults().release_late(), nodes[2].faults().held_late()),
        (0, 1)
    );
    assert_eq!(nodes[2].faults().release_late(), 1);
    assert_eq!(read_all(&client), all());
    let stored = |id: &i64| simulator.get("test", "s", *id).unwrap().int("v");
    assert!(mastered(&nodes[2]).iter().all(|id| stored(id) == Some(6)));

    // What is held does not outlive its node.
    nodes[2].faults().late_next(1);
    simulator.faults().late(Share::Next(0));
    assert_eq!(write_all(&client, 7, PATIENT_MS), not_of(&nodes[2]));
    nodes[2].leave(Leave::default()).unwrap();
    nodes[2].join(Join::default()).unwrap();
    assert_eq!(nodes[2].faults().release_late(), 0);
    assert!(mastered(&nodes[2]).iter().all(|id| stored(id) == Some(6)));
}

#[test]
fn a_node_leaves_once_and_there_are_three_at_most() {
    let (simulator, _client) = start_nodes(2);
    let node = simulator.node(1);
    assert!(node.join(Join::default()).is_err());
    for _ in 0..3 {
        node.leave(Leave::default()).unwrap();
        assert!(node.leave(Leave::default()).is_err());
        assert!(!node.is_here());
        node.join(Join::default()).unwrap();
        std::net::TcpStream::connect(node.addr()).unwrap();
    }
    for nodes in [0, 4] {
        let config = SimConfig {
            nodes,
            ..SimConfig::default()
        };
        assert!(Simulator::start(config).is_err(), "{nodes} nodes");
    }
}

#[test]
fn the_program_has_nodes_and_a_control_port_for_them() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock-sim"));
    command
        .args(["--listen", "127.0.0.1:0", "--nodes", "3"])
        .stdout(Stdio::piped());
    let (_program, line) = start_program(&mut command);
    let (addr, rest) = line.split_once(" control=").unwrap();
    let (control, addrs) = rest.split_once(" nodes=").unwrap();
    let addrs: Vec<&str> = addrs.split(',').collect();
    assert_eq!((addrs.len(), addrs[0]), (3, addr));
    let control: SocketAddr = control.parse().unwrap();
    let say = |command: &str| control_command(control, command).unwrap();

    let client = Client::new(&policy(), &addrs[2]).unwrap();
    assert_eq!(write_all(&client, 1, LONG_MS), all());
    assert_eq!(
        say("nodes"),
        format!(
            "A1={} here partitions=1366; B2={} here partitions=1365; C3={} here partitions=1365",
            addrs[0], addrs[1], addrs[2]
        )
    );
    assert_eq!(say("at B2 stall"), "ok");
    let written = write_all(&client, 2, PATIENT_MS);
    assert!(!written.is_empty() && written.len() < ROWS as usize);
    assert_eq!(say("at B2 clear"), "ok");
    wait_for_all_written(&client, 3);

    let at_b2 = say("at B2 stats");
    assert!(
        at_b2.contains(" unowned=0 proxied=0 ") && at_b2 != say("stats"),
        "{at_b2}"
    );
    assert_eq!(say("unowned 11"), "ok");
    assert_eq!(say("unowned proxy"), "ok");
    assert_eq!(say("leave B2 lossy silent 600s"), "ok");
    assert!(say("nodes").contains(&format!("B2={} away partitions=1365", addrs[1])));
    assert_eq!(say("settle B2"), "ok");
    assert!(say("nodes").contains(&format!("B2={} away partitions=0", addrs[1])));
    assert!(say("count test s").parse::<i64>().unwrap() < ROWS);
    wait_for_nodes(&client, &["A1", "C3"]);
    wait_for_all_written(&client, 4);
    assert_eq!(say("join B2 600s"), "ok");
    assert!(say("nodes").contains(&format!("B2={} here partitions=0", addrs[1])));
    assert_eq!(say("settle B2"), "ok");
    wait_for_nodes(&client, &["A1", "B2", "C3"]);
    assert_eq!(say("leave C3"), "ok");
    assert_eq!(say("join C3 elsewhere"), "ok");
    assert!(!say("nodes").contains(addrs[2]));
    for wrong in [
        "leave Z9",
        "leave C3 slowly",
        "at Z9 stall",
        "at B2 leave",
        "at B2 nonsense",
        "join C3",
    ] {
        assert!(say(wrong).starts_with("error: "), "{wrong}");
    }
}
