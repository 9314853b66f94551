//! What the result of a call says about its rows, and what it does not say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::AdminPolicy;
use penstock::delivery::row_outcomes::CallFailure;
use penstock::delivery::write::{Answer, Fatal, Refusal, WriteEnd};
use penstock::util::stop::{Stop, StopKind};
use penstock_sim::{Digest, EarlyEnd, Join, Leave, Share, SimConfig, Simulator, Value};

use super::bench::{Bench, Call, IMPATIENT, Make, OWNER, PATIENT, Sent, Spy, StopOnDrop, at};
use crate::support::{is_native, wait_until};

/// It cannot be repeated, and it says what to do with an unknown result. So a test sees which rows were treated as
/// unknown.
const COUNT: &str = "set = \"s\"\nkey = \"id\"\nadd = { n = 1 }\nguard = false\nin_doubt = \"reject\"";

/// One message for each of `records` records.
fn one_each(records: i64) -> Vec<Sent> {
    (0..records)
        .map(|n| at(n, format!(r#"{{"id":"k{n}","v":{n}}}"#)))
        .collect()
}

fn on_nodes(nodes: usize, timeout: Duration) -> Bench {
    let sim = SimConfig {
        nodes,
        ..SimConfig::default()
    };
    Make {
        sim,
        timeout,
        ..Make::default()
    }
    .bench(COUNT)
}

fn digest(key: &str) -> Digest {
    aerospike::Key::new("test", "s", key.into()).unwrap().digest()
}

#[track_caller]
fn assert_counted_once(bench: &Bench, records: i64) {
    for n in 0..records {
        assert_eq!(bench.int(&format!("k{n}"), "n"), Some(1), "record {n}");
    }
}

fn is_code(answer: &Answer) -> bool {
    matches!(answer, Answer::Code(_))
}

#[test]
fn of_a_batch_that_is_refused_whole_no_row_is_taken_for_written_nor_for_doubtful() {
    for code in [150, 151, 152, 80, 66] {
        let bench = Bench::new(COUNT);
        bench.sim.faults().fail_batches(code, Share::Next(1));
        let done = bench.write(&one_each(20));
        let first = &done.calls[0].answers;
        assert_eq!(first.len(), 20);
        assert_eq!(first[0], Answer::Code(code), "stamped with it: {first:?}");
        let others = match is_native() {
            true => Answer::Code(code),
            false => Answer::Failed {
                failure: CallFailure::Unanswered,
                in_doubt: false,
            },
        };
        assert!(first[1..].iter().all(|answer| *answer == others), "{code}: {first:?}");
        done.assert_all_done();
        assert_counted_once(&bench, 20);
    }
}

#[test]
fn a_batch_that_the_server_finds_too_big_goes_out_in_halves() {
    let make = Make::default();
    let bench = Make {
        sim: SimConfig {
            batch_rows_max: 6,
            ..make.sim.clone()
        },
        ..make
    }
    .bench(COUNT);
    let done = bench.write(&one_each(20));
    done.assert_all_done();
    assert_counted_once(&bench, 20);
    let sizes: Vec<usize> = done.calls.iter().map(|call| call.keys.len()).collect();
    let batches = bench.sim.stats().batches;
    if is_native() {
        // Within a call, each node gets as many batches as it needs: 20 (refused), 10 (refused), 5 and 5, and 5 and 5.
        assert_eq!((sizes, batches), (vec![20, 20, 10], 6));
    } else {
        assert_eq!(sizes, [20, 10, 5, 5, 5, 5]);
    }
    // The limit is remembered: the next batch begins with a size that the server accepts.
    bench.write(&one_each(10)).assert_all_done();
    assert_eq!(bench.sim.stats().batches, batches + 2);
}

/// For these codes the client itself may retry a row that is alone in its call, but not one of several rows.
#[test]
fn the_client_sends_nothing_again_by_itself() {
    for rows in [1, 3] {
        for code in [9, 14, 18] {
            let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }\nguard = false");
            bench.sim.faults().fail_rows(code, Share::Next(2));
            let done = bench.write(&one_each(rows));
            done.assert_all_done();
            assert!(done.calls[0].answers.contains(&Answer::Code(code)), "{done:?}");
            assert_eq!(
                done.messages,
                done.calls.len() as u64,
                "of {rows} rows, {code}: {done:?}"
            );
            assert_counted_once(&bench, rows);
        }
        let bench = Bench::new("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]");
        bench.sim.faults().reset_next(2);
        let done = bench.write(&one_each(rows));
        done.assert_all_done();
        assert_eq!((done.messages, done.calls.len()), (3, 3), "of {rows} rows: {done:?}");
    }
}

#[test]
fn only_the_rows_without_success_are_sent_again() {
    let bench = Bench::new(COUNT);
    bench.sim.faults().seed(5);
    bench.sim.faults().fail_rows(18, Share::Fraction(0.3));
    let done = bench.write(&one_each(40));
    done.assert_all_done();
    assert_counted_once(&bench, 40);
    assert!(done.calls.len() > 1, "nothing failed");
    for pair in done.calls.windows(2) {
        let [before, after] = pair else { panic!() };
        let open = before.keys.iter().zip(&before.answers);
        let open: Vec<&String> = open
            .filter(|(_, answer)| **answer != Answer::Code(0))
            .map(|(key, _)| key)
            .collect();
        assert_eq!(after.keys.iter().collect::<Vec<_>>(), open);
    }
}

/// The client's circuit breaker would refuse to send after a hundred errors in a second, and it counts busy records.
#[test]
fn many_failing_rows_do_not_shut_a_node_out() {
    let bench = Bench::new(COUNT);
    bench.sim.faults().busy(Share::Next(600));
    // One row per call: for calls with several rows, the client counts nothing.
    let done = bench.write_until(&OWNER, &one_each(400), 1, &Stop::new());
    done.assert_all_done();
    assert_eq!(bench.sim.stats().result(14), 600);
    assert_eq!(
        done.messages,
        done.calls.len() as u64,
        "calls that were not sent: {done:?}"
    );
    assert!(done.calls.iter().flat_map(|call| &call.answers).all(is_code));
    assert_counted_once(&bench, 400);
}

/// With more workers than the client has connections by default (256), all waiting for the database at the same time.
#[test]
fn every_worker_has_a_connection() {
    const WORKERS: usize = 300;
    let bench = Make {
        workers: WORKERS,
        // Independent of the machine's load: the wait for all of them has its own deadline.
        timeout: Duration::from_secs(600),
        ..Make::default()
    }
    .bench(COUNT);
    let messages = one_each(WORKERS as i64);
    // They are answered when the fault is cleared.
    bench
        .sim
        .faults()
        .slow_answers(Share::Fraction(1.0), Duration::from_secs(1_000_000));
    let before = bench.sim.stats().messages;
    thread::scope(|scope| {
        let writing: Vec<_> = messages.chunks(1).map(|one| scope.spawn(|| bench.write(one))).collect();
        wait_until(
            "every worker to be in a call",
            || bench.sim.stats().messages - before,
            |messages| *messages >= WORKERS as u64 || bench.counters.rows_retried.get() > 0,
        );
        bench.sim.faults().clear();
        for writing in writing {
            let done = writing.join().unwrap();
            done.assert_all_done();
            assert!(done.calls[0].answers.iter().all(is_code), "{done:?}");
        }
    });
    assert_counted_once(&bench, WORKERS as i64);
}

#[test]
fn a_call_under_way_is_waited_for_and_believed_also_after_a_stop() {
    let bench = Bench::new(COUNT);
    bench
        .sim
        .faults()
        .slow_answers(Share::Fraction(1.0), Duration::from_secs(1_000_000));
    let stop = Stop::new();
    let messages = one_each(3);
    thread::scope(|scope| {
        let _end = StopOnDrop(&stop);
        let writing = scope.spawn(|| bench.write_until(&OWNER, &messages, 100, &stop));
        wait_until("the rows to be applied", || bench.record("k2"), Option::is_some);
        stop.request(StopKind::Abandon);
        bench.sim.faults().clear();
        let done = writing.join().unwrap();
        done.assert_all_done();
        assert_eq!(done.calls.len(), 1, "{done:?}");
    });
    assert_counted_once(&bench, 3);
}

/// A store whose cluster is gone: three nodes, of which the client knew one when it was created.
fn lost() -> (Arc<Simulator>, Bench) {
    let sim = Simulator::start(SimConfig {
        nodes: 3,
        ..SimConfig::default()
    })
    .unwrap();
    for number in [1, 2] {
        sim.node(number)
            .leave(Leave {
                unnoticed: Duration::ZERO,
                ..Leave::default()
            })
            .unwrap();
    }
    let sim = Arc::new(sim);
    let bench = Bench::on(sim.clone(), COUNT, IMPATIENT, 1);
    for number in [1, 2] {
        sim.node(number).join(Join::default()).unwrap();
        sim.node(number).settle();
    }
    let client = bench.store.client();
    wait_until("three nodes", || client.nodes().len(), |nodes| *nodes == 3);
    // The store looks for the nodes at intervals.
    let mut offset = 0;
    wait_until(
        "the nodes to be remembered",
        || {
            offset += 1;
            bench.write(&[at(offset, r#"{"id":"before"}"#)]).assert_all_done();
            bench.store.remembers()
        },
        |nodes| *nodes == 3,
    );
    for number in 0..3 {
        sim.node(number).leave(Leave::default()).unwrap();
        sim.node(number).settle();
    }
    wait_until("no node", || client.nodes().len(), |nodes| *nodes == 0);
    (sim, bench)
}

/// A client that has lost all nodes searches only for those that it knew when it was created.
#[test]
fn a_cluster_that_comes_back_without_the_node_that_was_asked_first_is_found_again() {
    let (sim, bench) = lost();
    let client = bench.store.client();
    let stop = Stop::new();
    let messages = [at(1000, r#"{"id":"after"}"#)];
    thread::scope(|scope| {
        let _end = StopOnDrop(&stop);
        let writing = scope.spawn(|| bench.write_until(&OWNER, &messages, 100, &stop));
        for number in [1, 2] {
            sim.node(number).join(Join::default()).unwrap();
            sim.node(number).settle();
        }
        wait_until("the row", || bench.record("after"), Option::is_some);
        writing.join().unwrap().assert_all_done();
    });
    assert_eq!(
        client.nodes().len(),
        0,
        "the client finds them itself: this workaround can go"
    );
}

/// The same while nobody writes: the lookout that checks whether the database is back triggers the search.
#[test]
fn a_cluster_that_comes_back_without_the_node_that_was_asked_first_is_found_while_nobody_writes() {
    let (sim, bench) = lost();
    bench.store.health().failed(Instant::now(), 1, 1, "gone");
    for number in [1, 2] {
        sim.node(number).join(Join::default()).unwrap();
        sim.node(number).settle();
    }
    let failing = || {
        bench.store.look_out(&bench.pressure);
        bench.store.health().failing_for()
    };
    wait_until("the outage to be over", failing, Option::is_none);
}

/// Without a node the client at once returns placeholders in place of its rows, without an error.
#[test]
fn a_cluster_that_is_away_loses_no_row_and_is_not_asked_in_a_hot_loop() {
    const CALLS: usize = 8;
    let bench = Bench::new(COUNT);
    bench.write(&[at(0, r#"{"id":"before"}"#)]).assert_all_done();
    bench.sim.faults().refuse(true);
    wait_until(
        "the client and the native writer to have no node",
        || {
            let map = bench.store.partition_map();
            (
                bench.store.client().nodes().len(),
                map.map_or(0, |map| map.nodes().len()),
            )
        },
        |nodes| *nodes == (0, 0),
    );
    let messages = one_each(5);
    let spy = Spy::new(&bench.store);
    let stop = Stop::new();
    thread::scope(|scope| {
        let _end = StopOnDrop(&stop);
        let began = Instant::now();
        let writing = scope.spawn(|| bench.write_with(&OWNER, &messages, 100, &stop, &spy));
        wait_until("calls that fail", || spy.calls.lock().len(), |calls| *calls >= CALLS);
        // The pauses are at least a tenth of 50 ms, 100 ms, …
        let least = Duration::from_millis(5 * ((1 << (CALLS - 1)) - 1));
        assert!(began.elapsed() >= least, "{CALLS} calls in {:?}", began.elapsed());
        bench.sim.faults().refuse(false);
        let done = writing.join().unwrap();
        for answer in &done.calls[0].answers {
            let Answer::Failed { failure, in_doubt } = answer else {
                panic!("{done:?}")
            };
            assert!(
                !in_doubt && matches!(failure, CallFailure::NoNode | CallFailure::NoNamespace),
                "{done:?}"
            );
        }
        done.assert_all_done();
    });
    assert_counted_once(&bench, 5);
}

#[test]
fn a_namespace_that_a_reachable_node_lacks_is_the_end() {
    let bench = Bench::new("namespace = \"nowhere\"\nset = \"s\"\nkey = \"id\"\nbins = [\"v\"]");
    for rows in [1, 3] {
        let done = bench.write(&one_each(rows));
        assert_eq!(
            done.end,
            WriteEnd::Fatal(Fatal::NoNamespace("nowhere".into())),
            "{done:?}"
        );
        assert_eq!(done.open.len() as i64, rows, "{done:?}");
    }
}

#[test]
fn a_node_that_answers_20_and_has_the_namespace_is_asked_again() {
    for rows in [1, 3] {
        let bench = Bench::new(COUNT);
        bench.sim.faults().fail_rows(20, Share::Next(2));
        bench.write(&one_each(rows)).assert_all_done();
        assert_counted_once(&bench, rows);
    }
}

#[test]
fn what_failed_is_told_by_its_cause() {
    let rules = "set = \"s\"\nkey = \"id\"\nbins = [\"v\"]";
    for rows in [1, 3] {
        let first = |bench: &Bench| bench.write(&one_each(rows)).calls[0].answers[0];
        let failed = |failure| Answer::Failed {
            failure,
            in_doubt: true,
        };
        let bench = Make::impatient().bench(rules);
        bench.sim.faults().lose(Share::Next(1));
        assert_eq!(first(&bench), failed(CallFailure::TimedOut));
        let bench = Bench::new(rules);
        bench.sim.faults().reset_next(1);
        assert_eq!(first(&bench), failed(CallFailure::Connection));
    }
}

#[test]
fn rows_of_a_batch_that_ended_early_are_in_doubt() {
    for code in [9, 4, 18, 20, 1] {
        let end = EarlyEnd {
            rows_answered: 2,
            applied: 1.0,
            code,
        };
        let bench = Bench::new(COUNT);
        bench.sim.faults().end_batches(Share::Next(1), end);
        let done = bench.write(&one_each(5));
        assert_eq!(done.end, WriteEnd::Finished, "{code}: {done:?}");
        // The client puts the code for the end on the first row, although that row was applied.
        let doubtful: &[i64] = if is_native() { &[2, 3, 4] } else { &[0, 2, 3, 4] };
        let doubtful: Vec<(i64, Refusal)> = doubtful.iter().map(|offset| (*offset, Refusal::InDoubt)).collect();
        assert_eq!(done.refused, doubtful, "{code}: {done:?}");
        assert_counted_once(&bench, 5);

        // Rows that can be repeated are repeated.
        let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }");
        bench.sim.faults().end_batches(Share::Next(1), end);
        bench.write(&one_each(5)).assert_all_done();
        assert_counted_once(&bench, 5);
    }
}

#[test]
fn an_error_of_the_whole_call_rejects_no_row() {
    for code in [4, 12, 13, 19, 21, 26] {
        let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }");
        bench.sim.faults().fail_batches(code, Share::Next(1));
        bench.write(&one_each(5)).assert_all_done();
        assert_counted_once(&bench, 5);
    }
}

#[test]
fn a_row_that_is_refused_for_itself_spoils_no_other() {
    let bench = Bench::new(COUNT);
    bench.sim.put("test", "s", "k2", &[("n", Value::from("text"))]).unwrap();
    let done = bench.write(&one_each(5));
    done.assert_refused(&[(2, Refusal::Code(12))], &[]);
    for key in ["k0", "k1", "k3", "k4"] {
        assert_eq!(bench.int(key, "n"), Some(1), "{key}");
    }
}

/// If one row has no operation, the client refuses the whole batch.
#[test]
fn a_message_that_says_nothing_of_its_record_spoils_no_other() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]");
    let done = bench.write(&[
        at(0, r#"{"id":"a","v":1}"#),
        at(1, r#"{"id":"b"}"#),
        at(2, r#"{"id":"c","v":3}"#),
    ]);
    done.assert_all_done();
    assert_eq!((done.rows, done.calls.len()), (2, 1), "{done:?}");
    assert_eq!((bench.int("a", "v"), bench.int("c", "v")), (Some(1), Some(3)));
    assert_eq!(bench.record("b"), None);
}

#[test]
fn a_batch_is_one_message_to_each_node() {
    for nodes in [1, 3] {
        let bench = on_nodes(nodes, PATIENT);
        let singles = bench.sim.stats().singles;
        let done = bench.write_until(&OWNER, &one_each(400), 200, &Stop::new());
        done.assert_all_done();
        assert_eq!((done.calls.len(), done.messages), (2, 2 * nodes as u64), "{done:?}");
        assert_eq!(bench.sim.stats().singles, singles, "all went as batches");
        assert_counted_once(&bench, 400);
    }
}

/// The rows of the other nodes are done with the first call. Those of the missing node are neither lost, nor rejected,
/// nor taken for written, however often they are retried.
#[test]
fn a_node_that_is_gone_holds_up_its_own_rows_until_the_others_have_them() {
    const CALLS: usize = 3;
    let bench = on_nodes(3, Duration::from_secs(2));
    let node = bench.sim.node(1);
    let messages = one_each(60);
    let its_rows = |call: &Call| call.keys.iter().all(|key| node.masters(&digest(key)));
    node.leave(Leave {
        unnoticed: Duration::from_secs(3600),
        ..Leave::default()
    })
    .unwrap();
    let spy = Spy::new(&bench.store);
    let stop = Stop::new();
    thread::scope(|scope| {
        let _end = StopOnDrop(&stop);
        let writing = scope.spawn(|| bench.write_with(&OWNER, &messages, 100, &stop, &spy));
        wait_until("calls that fail", || spy.calls.lock().len(), |calls| *calls >= CALLS);
        let gone: Vec<bool> = spy.calls.lock().iter().map(its_rows).collect();
        assert!(!gone[0] && gone[1..].iter().all(|gone| *gone), "{gone:?}");
        node.settle();
        let done = writing.join().unwrap();
        done.assert_all_done();
        for (key, answer) in done.calls[0].keys.iter().zip(&done.calls[0].answers) {
            let Answer::Failed { in_doubt, .. } = answer else {
                assert!(
                    !node.masters(&digest(key)) && *answer == Answer::Code(0),
                    "{key}: {answer:?}"
                );
                continue;
            };
            assert!(!in_doubt, "a connection that is refused carried nothing: {key}");
        }
    });
    assert_eq!(node.stats().rows, 0);
    assert_counted_once(&bench, 60);
}

/// The client's `info` asks any node. So it may only be asked what all nodes answer in the same way.
#[test]
fn nothing_is_asked_of_a_node_by_chance_that_another_would_answer_otherwise() {
    let bench = on_nodes(3, PATIENT);
    let ask = |question: &str| {
        let ask = |_| bench.store.client().info(&AdminPolicy::default(), &[question]).unwrap();
        (0..20)
            .map(ask)
            .map(|answer| answer[question].clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(ask("node").len(), 3, "it asks any node");
    assert_eq!(ask("namespaces").len(), 1);
    for source in [
        include_str!("../../../src/aerospike/mod.rs"),
        include_str!("../../../src/aerospike/writer.rs"),
    ] {
        assert!(source.contains(".info(&"), "asked elsewhere now");
        for question in source.split(".info(&").skip(1) {
            let asked = question.split_once("&[").unwrap().1.split_once(']').unwrap().0;
            assert_eq!(asked, "\"namespaces\"");
        }
    }
}
