//! The result for each row: modes, lives, names, codes that block a record or a namespace, and counters.

use std::thread;

use log::Level;
use penstock::delivery::plan::digest;
use penstock::delivery::write::{Answer, Refusal, Tally, WriteEnd};
use penstock::message::Reason;
use penstock::output::row::RecordKey;
use penstock::util::stop::Stop;
use penstock_sim::{Share, SimConfig, Value};

use super::bench::{Bench, Make, OWNER, Sent, Spy, StopOnDrop, all, at, tombstone};
use crate::support::lines::Lines;
use crate::support::wait_until;

// ---- merging

/// Each write has its own key field: a message names the writes that are for it.
const EVERYTHING: &str = r#"
[[route.write]]
set = "s"
key = { path = "put", missing = "skip" }
bins = ["v", "w"]
ttl = "1000s"
[[route.write]]
set = "s"
key = { path = "keep", missing = "skip" }
bins = ["v", "w"]
ttl = "keep"
[[route.write]]
set = "s"
key = { path = "replace", missing = "skip" }
bins = ["v", "w"]
mode = "replace"
[[route.write]]
set = "s"
key = { path = "create", missing = "skip" }
bins = ["v"]
mode = "create"
on_conflict = "ignore"
[[route.write]]
set = "s"
key = { path = "first", missing = "skip" }
bins = ["v"]
ttl = "300s"
ttl_on = "create"
[[route.write]]
set = "s"
key = { path = "touch", missing = "skip" }
touch = true
ttl = "500s"
[[route.write]]
set = "s"
key = { path = "delete", missing = "skip" }
delete = true
[[route.write]]
set = "s"
key = { path = "count", missing = "skip" }
add = { n = { path = "by", as = "integer" } }
once = { first = "by" }
guard = false
"#;

#[test]
fn what_travels_together_ends_as_one_after_another() {
    let cases: [&[&str]; 14] = [
        // A write behind a deletion must not keep the life of the old record.
        &["put v", "delete", "keep w"],
        &["put v", "delete", "first v", "first w"],
        // A touch or a deletion of a record that the same batch creates.
        &["put v", "touch"],
        &["touch", "put v"],
        &["put v", "delete"],
        &["delete", "delete"],
        &["put v", "delete", "put w", "delete", "put v"],
        // With `replace`, the server accepts only puts.
        &["put v", "replace w", "replace v", "put w"],
        &["count", "replace v", "count", "count"],
        &["create v", "create v", "delete", "create v", "touch"],
        // A null: if the record does not exist, there is nothing to remove.
        &["null"],
        &["put v", "null", "keep w"],
        &["first v", "null", "first w"],
        &["count", "count", "touch", "count"],
    ];
    for case in cases {
        let message = |(offset, words): (i64, &&str)| {
            let (what, bin) = words.split_once(' ').unwrap_or((*words, "v"));
            let (what, value) = match what {
                "null" => ("put", "null".to_owned()),
                what => (what, offset.to_string()),
            };
            at(
                offset,
                format!(r#"{{"{what}":"a","{bin}":{value},"by":{}}}"#, i64::MAX / 2),
            )
        };
        let messages: Vec<Sent> = (0..).zip(case).map(message).collect();
        let (together, apart) = (Bench::new(EVERYTHING), Bench::new(EVERYTHING));
        let done = together.write(&messages);
        assert!(done.refused.is_empty(), "{case:?}: {done:?}");
        assert_eq!((done.end, done.open.len()), (WriteEnd::Finished, 0), "{case:?}");
        for message in &messages {
            let done = apart.write(std::slice::from_ref(message));
            assert!(done.refused.is_empty(), "{case:?}: {done:?}");
        }
        let (found, wanted) = (together.record("a"), apart.record("a"));
        assert_eq!(
            found.as_ref().map(|record| &record.bins),
            wanted.as_ref().map(|record| &record.bins),
            "{case:?}"
        );
        let ttl = |record: Option<penstock_sim::RecordView>| record.and_then(|record| record.ttl);
        let (found, wanted) = (ttl(found), ttl(wanted));
        // A second may have passed meanwhile.
        let near = found.unwrap_or(0).abs_diff(wanted.unwrap_or(0)) <= 30;
        assert!(
            near && found.is_some() == wanted.is_some(),
            "{case:?}: {found:?}, not {wanted:?}"
        );
        assert_eq!(together.sim.stats().duplicate_rows, 0, "{case:?}");
    }
}

#[test]
fn a_call_holds_a_record_once_whatever_is_asked_of_it() {
    let bench = Bench::new(EVERYTHING);
    let words = ["put", "delete", "count", "touch", "replace", "create", "first", "keep"];
    let message = |offset: i64| {
        let (one, other) = (words[offset as usize % 8], words[offset as usize / 8 % 8]);
        let key = offset % 3;
        at(
            offset,
            format!(r#"{{"{one}":"k{key}","{other}":"k{key}","v":1,"w":2,"by":1}}"#),
        )
    };
    let messages: Vec<Sent> = (0..192).map(message).collect();
    let done = bench.write(&messages);
    assert_eq!(
        (done.end.clone(), done.refused.len(), done.open.len()),
        (WriteEnd::Finished, 0, 0),
        "{done:?}"
    );
    for call in &done.calls {
        let mut keys = call.keys.clone();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), call.keys.len(), "{call:?}");
    }
    assert_eq!(bench.sim.stats().duplicate_rows, 0);
}

#[test]
fn fewer_rows_are_sent_than_operations_asked_for() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }\nbins = [\"v\"]");
    let message = |offset: i64| at(offset, format!(r#"{{"id":"k{}","v":{offset}}}"#, offset % 5));
    let done = bench.write(&(0..500).map(message).collect::<Vec<_>>());
    done.assert_all_done();
    assert_eq!(
        (done.rows, bench.counters.rows_sent.get(), done.messages),
        (500, 5, 1),
        "{done:?}"
    );
    assert_eq!((done.tally.written, done.tally.merged), (500, 495));
    for n in 0..5 {
        assert_eq!(bench.int(&format!("k{n}"), "n"), Some(100));
    }
}

#[test]
fn a_sum_wraps_as_one_by_one_and_a_float_on_an_integer_is_rejected_alone() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = { path = \"by\", as = \"integer\" } }");
    let max = i64::MAX;
    let message = |offset, by: i64| at(offset, format!(r#"{{"id":"a","by":{by}}}"#));
    bench
        .write(&[message(0, max), message(1, 1), message(2, max)])
        .assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(max.wrapping_add(1).wrapping_add(max)));
    let float =
        bench.beside("set = \"s\"\nkey = \"id\"\nadd = { n = { path = \"by\", as = \"float\" } }\nguard = false");
    float
        .write(&[message(0, 1), at(1, r#"{"id":"b","by":1}"#)])
        .assert_refused(&[(0, Refusal::Code(12))], &[]);
    assert_eq!(bench.record("b").unwrap().bin("n"), Some(&Value::Float(1.0)));
}

// ---- modes, tombstones, names

#[test]
fn a_conflict_is_rejected_or_ignored_and_counted_as_the_write_says() {
    let there = |bench: &Bench| bench.sim.put("test", "s", "a", &[("v", Value::Int(9))]).unwrap();
    let message = [at(0, r#"{"id":"a","v":1}"#), at(1, r#"{"id":"b","v":1}"#)];
    for (mode, code, conflicts, other) in [("create", 5, 0, 1), ("update_only", 2, 1, 0)] {
        for guard in ["", "guard = false", "guard = true"] {
            let rules = format!("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nmode = \"{mode}\"\n{guard}");
            let bench = Bench::new(&rules);
            there(&bench);
            let done = bench.write(&message);
            done.assert_refused(&[(conflicts, Refusal::Conflict(code))], &[]);
            assert_eq!(done.tally.written, 1, "{rules}: {done:?}");

            let bench = Bench::new(&format!("{rules}\non_conflict = \"ignore\""));
            there(&bench);
            let done = bench.write(&message);
            assert_eq!(
                (done.assert_all_done().tally.ignored, done.tally.written),
                (1, 1),
                "{rules}: {done:?}"
            );
            let written = ["a", "b"][other as usize];
            assert_eq!(bench.int(written, "v"), Some(1), "{rules}");
        }
    }
}

#[test]
fn a_tombstone_does_what_the_write_says() {
    let rules = |tombstone: &str| format!("set = \"s\"\nkey = \"@key\"\nbins = [\"v\"]\n{tombstone}");
    for (words, there) in [
        ("", true),
        ("tombstone = \"ignore\"", true),
        ("tombstone = \"delete\"", false),
    ] {
        let bench = Bench::new(&rules(words));
        bench.sim.put("test", "s", "a", &[("v", Value::Int(9))]).unwrap();
        match words {
            "" => {
                let rejection = bench.rejection(&tombstone(0, "a")).unwrap();
                assert_eq!(rejection.reason, Reason::Tombstone);
            }
            _ => {
                bench
                    .write(&[tombstone(0, "a"), tombstone(1, "not there")])
                    .assert_all_done();
            }
        }
        assert_eq!(bench.record("a").is_some(), there, "{words}");
        assert_eq!(bench.record("not there"), None);
    }
}

/// The server never frees the name of a set.
#[test]
fn a_set_from_the_message_is_one_of_those_that_are_allowed() {
    let bench = Bench::new("set = \"{kind}\"\nsets_allowed = [\"s\", \"t\"]\nkey = \"id\"\nbins = [\"v\"]");
    let of = |offset, kind: &str| at(offset, format!(r#"{{"id":"a","kind":"{kind}","v":1}}"#));
    bench.write(&[of(0, "s"), of(1, "t")]).assert_all_done();
    for kind in ["u", "", "S", "s "] {
        let rejection = bench.rejection(&of(2, kind)).unwrap();
        assert_eq!(rejection.reason, Reason::NameNotAllowed, "{kind:?}");
    }
    assert!(bench.sim.get("test", "t", "a").is_some() && bench.record("a").is_some());
}

#[test]
fn the_key_is_stored_where_it_is_asked_for() {
    let bench = Bench::new(
        "[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nsend_key = true\n\
         [[route.write]]\nset = \"s\"\nkey = { path = \"n\", as = \"integer\" }\nbins = [\"v\"]\nsend_key = true\n\
         [[route.write]]\nset = \"t\"\nkey = \"id\"\nbins = [\"v\"]",
    );
    bench.write(&[at(0, r#"{"id":"a","n":7,"v":1}"#)]).assert_all_done();
    assert_eq!(bench.record("a").unwrap().key, Some(Value::from("a")));
    assert_eq!(bench.sim.get("test", "s", 7).unwrap().key, Some(Value::Int(7)));
    assert_eq!(bench.sim.get("test", "t", "a").unwrap().key, None);
}

// ---- lives

#[test]
fn a_life_that_counts_at_the_creation_is_set_once() {
    for guard in ["guard = false", "guard = true"] {
        let bench = Bench::new(&format!(
            "set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nttl = \"1000s\"\nttl_on = \"create\"\n{guard}"
        ));
        let message = |offset: i64| at(offset, format!(r#"{{"id":"a","v":{offset}}}"#));
        bench.write(&[message(0), message(1)]).assert_all_done();
        assert!(bench.record("a").unwrap().ttl.is_some_and(|ttl| ttl > 900));
        bench.sim.advance_clock(500);
        bench.write(&[message(2), message(3)]).assert_all_done();
        let record = bench.record("a").unwrap();
        assert!(record.ttl.is_some_and(|ttl| ttl <= 500), "{guard}: {record:?}");
        assert_eq!(record.int("v"), Some(3));
        // After its end, a new life begins.
        bench.sim.advance_clock(501);
        bench.write(&[message(4)]).assert_all_done();
        assert!(bench.record("a").unwrap().ttl.is_some_and(|ttl| ttl > 900));
    }
}

/// The client treats 0 seconds as the namespace's default, and the server refuses more than 10 years.
#[test]
fn a_life_from_the_message_is_one_that_the_server_knows() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nttl = { path = \"ttl\", as = \"integer\" }");
    for ttl in ["0", "-1", "-2", "315360001", "4294967295", "4294967296"] {
        let sent = at(0, format!(r#"{{"id":"a","v":1,"ttl":{ttl}}}"#));
        assert_eq!(bench.rejection(&sent).unwrap().reason, Reason::TtlRange, "{ttl}");
    }
    bench
        .write(&[at(0, r#"{"id":"a","v":1,"ttl":315360000}"#)])
        .assert_all_done();
}

// ---- codes that block

#[test]
fn busy_records_delay_their_own_rows_only() {
    const RECORDS: i64 = 30;
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }\nguard = false");
    let key = |n: i64| format!("k{n}");
    let is_busy = |n: i64| {
        let key = RecordKey::String(key(n).into());
        bench.sim.faults().refuses_record(&digest("s", &key))
    };
    bench.sim.faults().refuse_records(14, 0.3, 4);
    let busy: Vec<i64> = (0..RECORDS).filter(|n| is_busy(*n)).collect();
    let last_free = (0..RECORDS).filter(|n| !is_busy(*n)).max().unwrap();
    assert!(busy[0] < last_free, "no row waits behind a busy one");
    let messages: Vec<Sent> = (0..RECORDS)
        .map(|n| at(n, format!(r#"{{"id":"{}"}}"#, key(n))))
        .collect();
    let (spy, stop) = (Spy::new(&bench.store), Stop::new());
    thread::scope(|scope| {
        let _end = StopOnDrop(&stop);
        // One row per call: if the busy ones were always retried first, the others would never be sent.
        let writing = scope.spawn(|| bench.write_with(&OWNER, &messages, 1, &stop, &spy));
        let free = RECORDS as usize - busy.len();
        wait_until(
            "all others to be written",
            || bench.sim.records("test", "s").len(),
            |written| *written == free,
        );
        bench.sim.faults().clear();
        let done = writing.join().unwrap();
        done.assert_all_done();
        let sent = |n: i64| done.calls.iter().filter(|call| call.keys == [key(n)]).count();
        for n in 0..RECORDS {
            assert_eq!(sent(n) > 1, busy.contains(&n), "record {n}: {done:?}");
        }
    });
    for n in 0..RECORDS {
        assert_eq!(bench.int(&key(n), "n"), Some(1), "record {n}");
    }
}

/// An ERROR line for each names the namespace. The other namespace continues.
#[test]
fn a_closed_namespace_holds_its_own_rows_and_probes_until_it_opens() {
    for (code, name) in [(8, "full-8"), (22, "refused-22")] {
        let make = Make::namespaces(&[name]);
        let bench = make.bench(&format!(
            "[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = {{ n = 1 }}\n\
             [[route.write]]\nnamespace = \"{name}\"\nset = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nttl = \"1h\""
        ));
        let close = |closed: bool| {
            bench
                .sim
                .configure(name, |namespace| match code {
                    8 => namespace.stop_writes = closed,
                    // A ttl in a namespace where nothing expires.
                    _ => namespace.nsup_period = if closed { 0 } else { 120 },
                })
                .unwrap();
        };
        close(true);
        let message = |offset: i64| at(offset, format!(r#"{{"id":"k{offset}","v":1}}"#));
        let messages: Vec<Sent> = (0..30).map(message).collect();
        let (spy, stop) = (Spy::new(&bench.store), Stop::new());
        thread::scope(|scope| {
            let _end = StopOnDrop(&stop);
            let writing = scope.spawn(|| bench.write_with(&OWNER, &messages, 10, &stop, &spy));
            wait_until(
                "the open namespace to be written",
                || bench.sim.records("test", "s").len(),
                |n| *n == 30,
            );
            let before = bench.sim.stats().result(code);
            wait_until("probes", || bench.sim.stats().result(code), |n| *n >= before + 2);
            assert!(bench.sim.records(name, "s").is_empty());
            close(false);
            let done = writing.join().unwrap();
            done.assert_all_done();
            // The call that found it closed was the last with several of its rows. Then one row at a time probes it.
            let refused = done.calls.iter().map(|call| {
                let of_code = call.answers.iter().filter(|answer| **answer == Answer::Code(code));
                of_code.count()
            });
            let refused: Vec<usize> = refused.filter(|refused| *refused > 0).collect();
            assert!(
                refused[0] > 1 && refused[1..].iter().all(|refused| *refused == 1),
                "{refused:?}"
            );
        });
        assert_eq!(bench.sim.records(name, "s").len(), 30);
        for n in 0..30 {
            assert_eq!(bench.int(&format!("k{n}"), "n"), Some(1));
        }
        let said = Lines::with(Level::Error, &[&format!("namespace={name}"), &format!("code={code}")]);
        assert!(!said.is_empty() && said.len() < 5, "{said:?}");
    }
}

#[test]
fn what_is_not_known_holds_its_record_and_is_told() {
    let make = Make {
        sim: SimConfig {
            namespaces: vec!["test".into(), "unknown-99".into()],
            ..SimConfig::default()
        },
        ..Make::default()
    };
    let bench = make.bench("namespace = \"unknown-99\"\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }");
    bench.sim.faults().fail_rows(99, Share::Next(1));
    bench
        .write(&[at(0, r#"{"id":"a"}"#), at(1, r#"{"id":"b"}"#), at(2, r#"{"id":"a"}"#)])
        .assert_all_done();
    let n = |key| bench.sim.get("unknown-99", "s", key).unwrap().int("n");
    assert_eq!((n("a"), n("b")), (Some(2), Some(1)));
    assert_eq!(Lines::with(Level::Error, &["namespace=unknown-99", "code=99"]).len(), 1);
}

// ---- counting

#[test]
fn every_row_is_counted_for_what_became_of_it() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }");
    assert_eq!(
        bench.write(&all(0..3, r#"{"id":"a"}"#)).tally,
        Tally {
            written: 3,
            merged: 2,
            ..Tally::default()
        }
    );
    assert_eq!(
        bench.write(&all(1..5, r#"{"id":"a"}"#)).tally,
        Tally {
            written: 2,
            merged: 1,
            guard_refused: 2,
            ..Tally::default()
        }
    );
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nnewer = { path = \"v\", bin = \"at\" }");
    let versions = |versions: &[i64]| {
        let message = |(offset, v): (i64, &i64)| at(offset, format!(r#"{{"id":"a","v":{v}}}"#));
        bench.write(&(0..).zip(versions).map(message).collect::<Vec<_>>()).tally
    };
    assert_eq!(
        versions(&[5, 3, 5, 7]),
        Tally {
            written: 2,
            merged: 1,
            stale: 2,
            ..Tally::default()
        }
    );
    assert_eq!(
        versions(&[7]),
        Tally {
            stale: 1,
            ..Tally::default()
        }
    );
    assert_eq!(
        versions(&[6, 8]),
        Tally {
            written: 1,
            stale: 1,
            ..Tally::default()
        }
    );
    assert_eq!(bench.int("a", "v"), Some(8));
}
