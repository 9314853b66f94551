//! The guard, one promise after another: its name, its value, what it refuses, and what it cannot do.

use penstock::delivery::guard::{Guard, GuardIdentity, mark};
use penstock::delivery::write::Refusal;
use penstock_sim::{Share, Value};

use super::bench::{Bench, OWNER, Sent, all, at, tombstone};

const COUNT: &str = "set = \"s\"\nkey = \"id\"\nadd = { n = 1 }";
const A: &str = r#"{"id":"a"}"#;

fn guard_bin() -> String {
    Guard::new(&OWNER).bin().to_owned()
}

// ---- its name and its value

#[test]
fn a_guard_is_of_its_group_topic_partition_and_epoch_alone() {
    let bench = Bench::new(COUNT);
    let owners = [
        OWNER,
        GuardIdentity { group: "h", ..OWNER },
        GuardIdentity { topic: "u", ..OWNER },
        GuardIdentity {
            topic_id: [1; 16],
            ..OWNER
        },
        GuardIdentity {
            topic_id: [2; 16],
            ..OWNER
        },
        GuardIdentity { partition: 1, ..OWNER },
        GuardIdentity { epoch: 1, ..OWNER },
    ];
    // The same offsets from each owner: none refuses another owner's messages, each refuses its own.
    for (others, owner) in (1..).zip(&owners) {
        let done = bench.write_as(owner, &all(3..6, A));
        assert_eq!(done.assert_all_done().tally.written, 3, "{owner:?}: {done:?}");
        assert_eq!(bench.int("a", "n"), Some(3 * others));
    }
    for owner in &owners {
        let done = bench.write_as(owner, &all(3..6, A));
        assert_eq!(done.assert_all_done().tally.guard_refused, 3, "{owner:?}: {done:?}");
        assert_eq!(bench.int("a", Guard::new(owner).bin()), sequence(5, 0));
    }
    assert_eq!(bench.int("a", "n"), Some(3 * owners.len() as i64));
    assert_eq!(bench.bins("a").len(), 1 + owners.len());
}

#[test]
fn a_replay_and_an_older_message_are_refused_and_a_newer_one_is_taken() {
    let bench = Bench::new(COUNT);
    for (offset, count) in [(5, 1), (5, 1), (3, 1), (4, 1), (7, 2), (6, 2), (7, 2), (8, 3)] {
        bench.write(&all([offset], A)).assert_all_done();
        assert_eq!(bench.int("a", "n"), Some(count), "after {offset}");
    }
    assert_eq!(bench.int("a", &guard_bin()), sequence(8, 0));
}

#[test]
fn two_rows_of_one_message_on_one_record_are_both_taken_and_both_refused_when_it_comes_again() {
    // Once as one row; and once as two, because their ttl starts differently.
    let merged = "[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }\n\
                  [[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 10 }";
    let apart = &format!("{merged}\nttl = \"1d\"\nttl_on = \"create\"");
    // From one write.
    let each =
        "each = \"items\"\nset = \"s\"\nkey = \"@item.id\"\nadd = { n = { path = \"@item.by\", as = \"integer\" } }";
    let items = r#"{"items":[{"id":"a","by":1},{"id":"a","by":10}]}"#;
    for (rules, payload, calls) in [(merged, A, 1), (apart, A, 2), (each, items, 1)] {
        let bench = Bench::new(rules);
        let done = bench.write(&[at(0, payload)]);
        assert_eq!(done.assert_all_done().tally.written, 2, "{done:?}");
        assert_eq!(done.calls.len(), calls, "{done:?}");
        assert_eq!(bench.int("a", "n"), Some(11), "{rules}");
        assert_eq!(bench.int("a", &guard_bin()), sequence(0, 1));
        let done = bench.write(&[at(0, payload)]);
        assert_eq!(done.assert_all_done().tally.guard_refused, 2, "{done:?}");
        assert_eq!(bench.int("a", "n"), Some(11), "{rules}");
    }
}

#[test]
fn the_second_of_two_rows_is_taken_when_only_the_first_was() {
    let bench = Bench::new(
        "[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }\n\
         [[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 10 }",
    );
    let seen = sequence(4, 0).unwrap();
    let guard = guard_bin();
    bench
        .sim
        .put("test", "s", "a", &[("n", Value::Int(1)), (&guard, Value::Int(seen))])
        .unwrap();
    let done = bench.write(&all([4], A));
    assert_eq!((done.assert_all_done().tally.written, done.tally.guard_refused), (1, 1));
    assert_eq!(bench.int("a", "n"), Some(11));
}

#[test]
fn the_filter_holds_where_the_bin_is_absent_or_no_integer() {
    let bench = Bench::new(COUNT);
    let guard = guard_bin();
    let others = [
        ("string", Value::from("9")),
        ("float", Value::Float(1e18)),
        ("bytes", Value::Blob(vec![255; 8])),
        ("list", Value::List(vec![Value::Int(9)])),
        ("bool", Value::Bool(true)),
    ];
    for (name, value) in others {
        bench
            .sim
            .put("test", "s", name, &[("n", Value::Int(7)), (&guard, value)])
            .unwrap();
        let done = bench.write(&[at(0, format!(r#"{{"id":"{name}"}}"#))]);
        assert_eq!(done.assert_all_done().tally.written, 1, "{name}: {done:?}");
        assert_eq!(bench.int(name, "n"), Some(8), "{name}");
        assert_eq!(bench.int(name, &guard), sequence(0, 0), "{name}");
    }
    bench.sim.put("test", "s", "absent", &[("n", Value::Int(7))]).unwrap();
    bench.write(&[at(0, r#"{"id":"absent"}"#)]).assert_all_done();
    assert_eq!(bench.int("absent", "n"), Some(8));
}

// ---- rows of several messages

#[test]
fn a_merged_row_compares_with_its_first_and_stores_its_last() {
    let bench = Bench::new(COUNT);
    let done = bench.write(&all(0..4, A));
    done.assert_all_done();
    assert_eq!((done.calls.len(), done.tally.written, done.tally.merged), (1, 4, 3));
    assert_eq!(bench.int("a", &guard_bin()), sequence(3, 0));
    // If the row were compared with the mark of its last message, 2 and 3 would be counted again.
    bench.write(&all(2..6, A)).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(6));
    // If the first sequence number were stored, the last of these would be counted again.
    bench.write(&all([5], A)).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(6));
}

#[test]
fn a_merged_row_that_is_refused_reads_the_guard_once_and_sends_the_rest_as_one_row() {
    let bench = Bench::new(COUNT);
    bench.write(&all(0..4, A)).assert_all_done();
    let done = bench.write(&all(1..9, A));
    done.assert_all_done();
    assert_eq!(
        (done.calls.len(), &*done.reads, done.messages),
        (2, &[1][..], 3),
        "{done:?}"
    );
    assert_eq!((done.tally.guard_refused, done.tally.written), (3, 5), "{done:?}");
    assert_eq!(bench.int("a", "n"), Some(9));
    // All of them are covered: no row is left to send.
    let done = bench.write(&all(1..9, A));
    assert_eq!(
        (done.calls.len(), done.reads.len(), done.tally.guard_refused),
        (1, 1, 8),
        "{done:?}"
    );
}

/// A crash between the write and the commit: the messages come again in other batches.
#[test]
fn redelivery_with_other_batch_boundaries_changes_nothing() {
    let rules = "set = \"s\"\nkey = \"id\"\nadd = { n = { path = \"by\", as = \"integer\" } }\n\
                 append = { log = \"{by},\" }\nlist_append = { list = \"by\" }\nmap_add = { map = { key = \"m\" } }";
    let message = |n: i64| at(n, format!(r#"{{"id":"k{}","by":{n},"m":"m{}"}}"#, n % 3, n % 2));
    let messages: Vec<Sent> = (0..60).map(message).collect();
    let expected = Bench::new(rules);
    messages
        .iter()
        .for_each(|message| _ = expected.write(std::slice::from_ref(message)));
    for (first, second) in [(60, 60), (60, 7), (7, 60), (1, 60), (13, 8)] {
        let bench = Bench::new(rules);
        // The first part; then everything from its middle, from the beginning, and in pieces.
        for (stretch, size) in [(0..40, first), (25..60, second), (0..60, second), (17..60, 1)] {
            for batch in messages[stretch].chunks(size) {
                bench.write(batch).assert_all_done();
            }
        }
        for key in ["k0", "k1", "k2"] {
            let (found, wanted) = (bench.record(key).unwrap(), expected.record(key).unwrap());
            assert_eq!(found.bins, wanted.bins, "{key}, in batches of {first}, then {second}");
        }
    }
}

#[test]
fn several_messages_several_records_and_rows_of_which_some_are_applied() {
    let bench = Bench::new(COUNT);
    let message = |n: i64| at(n, format!(r#"{{"id":"k{}"}}"#, n % 4));
    let messages: Vec<Sent> = (0..40).map(message).collect();
    // Some records have all messages, some have none, some have a part.
    bench.write(&messages[..10]).assert_all_done();
    bench.write(&messages[4..5]).assert_all_done();
    bench.sim.faults().seed(2);
    bench.sim.faults().fail_rows(18, Share::Fraction(0.5));
    bench.sim.faults().reset_next(2);
    bench.write(&messages).assert_all_done();
    for n in 0..4 {
        assert_eq!(bench.int(&format!("k{n}"), "n"), Some(10), "record {n}");
    }
}

#[test]
fn several_writes_of_a_route_and_several_routes_share_a_record() {
    let bench = Bench::new(
        "[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }\n\
         [[route.write]]\nset = \"s\"\nkey = \"other\"\nadd = { n = 100 }\n\
         [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = { last = \"v\" }\nlist_append = { l = \"v\" }",
    );
    // Several messages write each record, with several writes each.
    let message = |n: i64| {
        at(
            n,
            format!(r#"{{"id":"k{}","other":"k{}","v":{n}}}"#, n % 2, (n + 1) % 2),
        )
    };
    let messages: Vec<Sent> = (0..10).map(message).collect();
    for batch in messages
        .chunks(3)
        .chain(messages.chunks(10))
        .chain(messages[5..].chunks(2))
    {
        bench.write(batch).assert_all_done();
    }
    for (key, last) in [("k0", 8), ("k1", 9)] {
        let record = bench.record(key).unwrap();
        assert_eq!((record.int("n"), record.int("last")), (Some(505), Some(last)));
        assert_eq!(record.bin("l").and_then(Value::as_list).map(<[_]>::len), Some(5));
    }
    assert_eq!(bench.sim.stats().duplicate_rows, 0);
}

// ---- create and update_only

#[test]
fn a_create_that_finds_its_own_record_is_done_and_one_that_finds_another_is_refused() {
    let rules = "set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nmode = \"create\"";
    let bench = Bench::new(rules);
    // Applied, but the answer is lost.
    bench.sim.faults().reset_next(1);
    let done = bench.write(&[at(3, r#"{"id":"a","v":1}"#)]);
    assert_eq!(done.assert_all_done().tally.guard_refused, 1, "{done:?}");
    assert_eq!((done.calls.len(), done.reads.len()), (2, 1), "{done:?}");
    // Delivered again.
    let done = bench.write(&[at(3, r#"{"id":"a","v":1}"#)]);
    assert_eq!(done.assert_all_done().tally.guard_refused, 1, "{done:?}");
    // A later message; the same message from another partition; a record without a guard.
    let conflict = Refusal::Conflict(5);
    bench
        .write(&[at(4, r#"{"id":"a","v":2}"#)])
        .assert_refused(&[(4, conflict)], &[]);
    let other = GuardIdentity { partition: 1, ..OWNER };
    bench
        .write_as(&other, &[at(3, r#"{"id":"a","v":2}"#)])
        .assert_refused(&[(3, conflict)], &[]);
    bench.sim.put("test", "s", "b", &[("v", Value::Int(9))]).unwrap();
    bench
        .write(&[at(5, r#"{"id":"b","v":2}"#)])
        .assert_refused(&[(5, conflict)], &[]);
    assert_eq!((bench.int("a", "v"), bench.int("b", "v")), (Some(1), Some(9)));
}

#[test]
fn an_update_only_is_refused_without_its_record_and_comes_again_in_peace() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nmode = \"update_only\"");
    let message = [at(3, r#"{"id":"a","v":1}"#)];
    bench.write(&message).assert_refused(&[(3, Refusal::Conflict(2))], &[]);
    bench.sim.put("test", "s", "a", &[("v", Value::Int(9))]).unwrap();
    bench.write(&message).assert_all_done();
    let done = bench.write(&message);
    assert_eq!(done.assert_all_done().tally.guard_refused, 1, "{done:?}");
    assert_eq!(bench.int("a", "v"), Some(1));
}

// ---- rows that are rejected

#[test]
fn a_rejected_row_holds_its_record() {
    let bench = Bench::new(
        "set = \"s\"\nkey = \"id\"\nadd = { n = { path = \"by\", as = \"float\", missing = \"skip\" }, m = { path = \"int\", as = \"integer\", missing = \"skip\" } }",
    );
    bench.sim.put("test", "s", "a", &[("n", Value::Int(1))]).unwrap();
    let message = |offset, what: &str| at(offset, format!(r#"{{"id":"a",{what}}}"#));
    let messages = [
        message(5, r#""int":1"#),
        // Adding a float to an integer: 12.
        message(6, r#""by":1.5"#),
        message(7, r#""int":10"#),
        message(8, r#""int":100"#),
        at(9, r#"{"id":"b","int":1000}"#),
    ];
    let done = bench.write(&messages);
    done.assert_refused(&[(6, Refusal::Code(12))], &[7, 8]);
    // If 7 had been written, 6 would count as applied when it comes again.
    assert_eq!(bench.int("a", "m"), Some(1));
    assert_eq!(bench.int("a", &guard_bin()), sequence(5, 0));
    assert_eq!(bench.int("b", "m"), Some(1000));
    // A person has repaired the record; all messages come again.
    let guard = guard_bin();
    let mended = [
        ("n", Value::Float(1.0)),
        ("m", Value::Int(1)),
        (&guard, Value::Int(sequence(5, 0).unwrap())),
    ];
    bench.sim.put("test", "s", "a", &mended).unwrap();
    bench.write(&messages).assert_all_done();
    let record = bench.record("a").unwrap();
    assert_eq!(
        (record.bin("n"), record.int("m")),
        (Some(&Value::Float(2.5)), Some(111))
    );
    assert_eq!(bench.int("b", "m"), Some(1000));
}

// ---- deletes, and what else removes a guard

const COUNTED_AND_DELETED: &str = "set = \"s\"\nkey = \"@key\"\nadd = { n = 1 }\ntombstone = \"delete\"";

fn counted(offset: i64) -> Sent {
    Sent {
        key: Some("a".into()),
        ..at(offset, "{}")
    }
}

#[test]
fn a_delete_in_a_guarded_set_carries_the_filter() {
    let bench = Bench::new(COUNTED_AND_DELETED);
    bench.write(&[counted(0), counted(1), counted(5)]).assert_all_done();
    // It comes again, together with messages before the last one that was written.
    let done = bench.write(&[tombstone(3, "a")]);
    assert_eq!(done.assert_all_done().tally.guard_refused, 1, "{done:?}");
    assert_eq!(bench.int("a", "n"), Some(3));
    bench.write(&[tombstone(6, "a")]).assert_all_done();
    assert_eq!(bench.record("a"), None);
    // And again, when there is nothing to delete: done.
    bench.write(&[tombstone(6, "a")]).assert_all_done();
}

/// As documented: whatever removes the record or all its bins removes the guard.
#[test]
fn what_ends_the_record_ends_its_guard() {
    let bench = Bench::new(COUNTED_AND_DELETED);
    bench.write(&[counted(0), tombstone(1, "a")]).assert_all_done();
    // Both come again: the record exists for a moment, and is then deleted as it should be.
    bench.write(&[counted(0)]).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(1), "a delete takes the guard along");
    bench.write(&[tombstone(1, "a")]).assert_all_done();
    assert_eq!(bench.record("a"), None);

    // An eviction, a truncation.
    bench.write(&[counted(2)]).assert_all_done();
    assert!(bench.sim.remove("test", "s", "a"));
    bench.write(&[counted(2)]).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(1));

    // The end of its life.
    let mortal = bench.beside("set = \"s\"\nkey = \"id\"\nadd = { n = 1 }\nttl = \"10s\"");
    mortal.write(&[at(0, r#"{"id":"m"}"#)]).assert_all_done();
    bench.sim.advance_clock(11);
    mortal.write(&[at(0, r#"{"id":"m"}"#)]).assert_all_done();
    assert_eq!(mortal.int("m", "n"), Some(1));

    // A replace by another service.
    let replacing = bench.beside("set = \"s\"\nkey = \"id\"\nbins = [\"v\"]\nmode = \"replace\"");
    let counting = bench.beside(COUNT);
    counting.write(&all(0..3, A)).assert_all_done();
    replacing.write(&[at(0, r#"{"id":"a","v":1}"#)]).assert_all_done();
    assert_eq!(bench.bins("a"), ["v"]);
    counting.write(&all(0..3, A)).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(3));
}

#[test]
fn a_row_that_only_removes_makes_no_record_and_leaves_its_guard_in_one() {
    let bench = Bench::new("set = \"s\"\nkey = \"id\"\nremove = [\"v\"]\nguard = true");
    let done = bench.write(&all([0], A));
    done.assert_all_done();
    assert_eq!(bench.record("a"), None, "a record of nothing but a guard");
    bench.sim.put("test", "s", "a", &[("v", Value::Int(1))]).unwrap();
    bench.write(&all([1], A)).assert_all_done();
    // With a guard, the record stays when its last bin is removed.
    assert_eq!(bench.bins("a"), [guard_bin()]);
    // Without a guard, it is deleted.
    let plain = bench.beside("set = \"s\"\nkey = \"id\"\nremove = [\"v\"]");
    bench.sim.put("test", "s", "b", &[("v", Value::Int(1))]).unwrap();
    plain.write(&[at(0, r#"{"id":"b"}"#)]).assert_all_done();
    assert_eq!(bench.record("b"), None);
}

// ---- which writes have a guard

#[test]
fn what_cannot_be_repeated_is_guarded_unless_told_otherwise_and_nothing_else_is() {
    let guarded = [
        "add = { n = 1 }",
        "append = { n = \"t\" }",
        "prepend = { n = \"t\" }",
        "list_append = { n = \"t\" }",
        "map_add = { n = { key = \"t\" } }",
        "bins = { n = \"t\" }\nmode = \"create\"",
        "bins = { n = \"t\" }\nmode = \"update_only\"",
        "bins = { n = \"t\" }\nguard = true",
    ];
    let plain = [
        "bins = { n = \"t\" }",
        "once = { n = \"t\" }",
        "map_put = { n = { key = \"t\", value = \"t\" } }",
        "remove = [\"x\"]",
        "bins = { n = \"t\" }\nmode = \"replace\"",
        "bins = { n = \"t\" }\nmode = \"create\"\non_conflict = \"ignore\"",
        "bins = { n = \"t\" }\nmode = \"update_only\"\non_conflict = \"ignore\"",
        "touch = true\nttl = \"1d\"",
        "add = { n = 1 }\nguard = false",
    ];
    let cases = guarded.map(|words| (words, true)).into_iter();
    for (words, guarded) in cases.chain(plain.map(|words| (words, false))) {
        let bench = Bench::new(&format!("set = \"s\"\nkey = \"id\"\n{words}"));
        if words.contains("update_only") || words.contains("remove") || words.contains("touch") {
            bench
                .sim
                .put("test", "s", "a", &[("x", Value::Int(0)), ("y", Value::Int(0))])
                .unwrap();
        }
        bench.write(&[at(0, r#"{"id":"a","t":"t"}"#)]).assert_all_done();
        assert_eq!(bench.int("a", &guard_bin()).is_some(), guarded, "{words}");
    }
}

/// An old message that comes again would undo what a newer message did.
#[test]
fn the_other_writes_of_a_guarded_set_are_guarded_with_it() {
    let bench = Bench::new(
        "[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = { last = \"v\" }\n\
         [[route.write]]\nset = \"s\"\nkey = { path = \"count\", missing = \"skip\" }\nadd = { n = 1 }",
    );
    bench
        .write(&[at(0, r#"{"id":"a","v":1}"#), at(1, r#"{"id":"a","v":2,"count":"a"}"#)])
        .assert_all_done();
    let done = bench.write(&[at(0, r#"{"id":"a","v":1}"#)]);
    assert_eq!(done.assert_all_done().tally.guard_refused, 1, "{done:?}");
    assert_eq!(bench.int("a", "last"), Some(2));
}

// ---- former owners

#[test]
fn a_former_owner_that_wakes_up_is_refused() {
    let bench = Bench::new(COUNT);
    let former = bench.beside(COUNT);
    former.write(&all(0..5, A)).assert_all_done();
    // It was frozen with 5 to 9 in hand; by now, the next owner has written them and more.
    bench.write(&all(5..15, A)).assert_all_done();
    let done = former.write(&all(5..10, A));
    assert_eq!(done.assert_all_done().tally.guard_refused, 5, "{done:?}");
    // Also where their messages overlap.
    former.write(&all(12..17, A)).assert_all_done();
    bench.write(&all(15..20, A)).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(20));
    assert_eq!(bench.int("a", &guard_bin()), sequence(19, 0));
}

#[test]
fn a_deletion_at_the_end_of_a_life_that_comes_again_deletes_nothing_newer() {
    const WRITE: &str = "set = \"s\"\nkey = \"id\"\nbins = { a = \"a\", b = \"b\" }\nttl = { path = \"exp\", as = \"epoch_ms\" }\n\
                         ttl_past = \"delete\"";
    let first = at(1, r#"{"id":"k","a":1,"exp":1800000060000,"v":1}"#);
    let second = at(2, r#"{"id":"k","b":2,"exp":1800000120000,"v":2}"#);
    for words in ["", "\nnewer = { path = \"v\", bin = \"_v\" }"] {
        let mut bench = Bench::new(&format!("{WRITE}{words}"));
        bench.now_ms = 1_800_000_001_000;
        bench.write(&[first.clone(), second.clone()]).assert_all_done();
        // A crash before the commit. When the messages come again, the first one's life is over, but the record's is
        // not.
        bench.now_ms = 1_800_000_090_000;
        let again = bench.write(std::slice::from_ref(&first));
        assert_eq!(again.assert_all_done().tally.written, 0, "{again:?}");
        assert_eq!(
            (bench.int("k", "a"), bench.int("k", "b")),
            (Some(1), Some(2)),
            "{words}"
        );
        bench.write(&[first.clone(), second.clone()]).assert_all_done();
        assert_eq!(
            (bench.int("k", "a"), bench.int("k", "b")),
            (Some(1), Some(2)),
            "{words}"
        );
        // A message that comes for the first time deletes.
        bench
            .write(&[at(3, r#"{"id":"k","a":3,"exp":1800000080000,"v":3}"#)])
            .assert_all_done();
        assert!(bench.record("k").is_none(), "{words}");
        // If there is no record, it does nothing.
        bench
            .write(&[at(4, r#"{"id":"k","a":4,"exp":1800000080000,"v":4}"#)])
            .assert_all_done();
        assert!(bench.record("k").is_none(), "{words}");
        // Writes before and behind it keep their order.
        let batch = [
            at(5, r#"{"id":"k","a":5,"exp":1800000120000,"v":5}"#),
            at(6, r#"{"id":"k","a":6,"exp":1800000080000,"v":6}"#),
            at(7, r#"{"id":"k","b":7,"exp":1800000120000,"v":7}"#),
        ];
        bench.write(&batch).assert_all_done();
        assert_eq!((bench.int("k", "a"), bench.int("k", "b")), (None, Some(7)), "{words}");
    }
}
