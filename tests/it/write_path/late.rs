//! Unknown results, and requests that take effect late: after their retry, and after newer writes.

use penstock::delivery::guard::{Guard, mark};
use penstock::delivery::write::Refusal;
use penstock_sim::Share;

use super::bench::{Bench, IMPATIENT, Make, OWNER, all, at};

const A: &str = r#"{"id":"a"}"#;
const COUNT: &str = "set = \"s\"\nkey = \"id\"\nadd = { n = 1 }";

#[test]
fn what_is_guarded_is_applied_once_however_its_answer_is_lost() {
    let rules =
        "set = \"s\"\nkey = \"id\"\nadd = { n = 1 }\nappend = { t = { value = \"x\" } }\nlist_append = { l = 1 }";
    // All in one batch, so that rows are merged; and one by one.
    for size in [6, 1] {
        let bench = Make::impatient().bench(rules);
        for batch in all(0..6, A).chunks(size) {
            bench.sim.faults().silence_next(1);
            bench.write(batch).assert_all_done();
            bench.sim.faults().reset_next(2);
            bench.write(batch).assert_all_done();
        }
        let record = bench.record("a").unwrap();
        assert_eq!((record.int("n"), record.str("t")), (Some(6), Some("xxxxxx")));
    }
}

#[test]
fn an_unknown_outcome_of_what_cannot_be_repeated_is_the_configurations_to_judge() {
    let rules = |in_doubt| format!("{COUNT}\nguard = false\nin_doubt = \"{in_doubt}\"");
    // As documented: sent again, and counted twice.
    let bench = Bench::new(&rules("retry"));
    bench.sim.faults().reset_next(1);
    bench.write(&all([0], A)).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(2));
    for in_doubt in ["reject", "hold"] {
        let bench = Bench::new(&rules(in_doubt));
        // The guard promises nothing for these rows, but an answer is an answer.
        bench.sim.faults().fail_rows(18, Share::Next(2));
        bench.write(&all([0], A)).assert_all_done();
        bench.sim.faults().reset_next(1);
        let done = bench.write(&[at(1, A), at(2, r#"{"id":"b"}"#), at(3, A)]);
        assert_eq!(done.tally.written, 0, "{done:?}");
        let doubtful: Vec<i64> = done.refused.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(doubtful, [1, 3, 2], "by record: {done:?}");
        assert!(done.refused.iter().all(|(_, refusal)| *refusal == Refusal::InDoubt));
        assert_eq!((bench.int("a", "n"), bench.int("b", "n")), (Some(3), Some(1)));
    }
}

#[test]
fn a_guarded_counter_does_not_move_when_its_original_lands_after_its_retry_and_after_newer_writes() {
    let bench = Make::impatient().bench(COUNT);
    bench.sim.faults().late_next(1);
    bench.write(&all(0..3, A)).assert_all_done();
    bench.write(&all(3..5, A)).assert_all_done();
    assert_eq!(bench.int("a", "n"), Some(5));
    assert_eq!(bench.sim.faults().release_late(), 1);
    assert_eq!(bench.int("a", "n"), Some(5));
    assert_eq!(bench.int("a", Guard::new(&OWNER).bin()), sequence(4, 0));
}

#[test]
fn a_guarded_create_and_delete_do_not_take_effect_late() {
    let bench = Make::impatient().bench("set = \"s\"\nkey = \"@key\"\nadd = { n = 1 }\ntombstone = \"delete\"");
    let counted = |offset| super::bench::Sent {
        key: Some("a".into()),
        ..at(offset, "{}")
    };
    bench.write(&[counted(0)]).assert_all_done();
    bench.sim.faults().late_next(1);
    bench.write(&[super::bench::tombstone(1, "a")]).assert_all_done();
    bench.write(&[counted(2)]).assert_all_done();
    assert_eq!(bench.sim.faults().release_late(), 1);
    assert_eq!(bench.int("a", "n"), Some(1), "the delete came back");
}

/// As documented: without a guard the older value stays until the record's next message.
#[test]
fn an_unguarded_put_lands_late_unless_it_has_a_version() {
    let put = "set = \"s\"\nkey = \"id\"\nbins = [\"v\"]";
    let versioned = &format!("{put}\nnewer = {{ path = \"v\", bin = \"at\" }}");
    for (rules, stands) in [(put, 1), (versioned, 2), (&format!("{put}\nguard = true"), 2)] {
        let bench = Make::impatient().bench(rules);
        bench.sim.faults().late_next(1);
        bench.write(&[at(0, r#"{"id":"a","v":1}"#)]).assert_all_done();
        bench.write(&[at(1, r#"{"id":"a","v":2}"#)]).assert_all_done();
        assert_eq!(bench.int("a", "v"), Some(2));
        assert_eq!(bench.sim.faults().release_late(), 1);
        assert_eq!(bench.int("a", "v"), Some(stands), "{rules}");
    }
}

#[test]
fn a_time_out_bounds_the_call_and_the_row_is_asked_again() {
    let bench = Make::impatient().bench(COUNT);
    let began = std::time::Instant::now();
    bench.sim.faults().lose(Share::Next(2));
    let done = bench.write(&all([0], A));
    done.assert_all_done();
    assert!(done.calls.len() >= 3, "{done:?}");
    assert!(began.elapsed() >= 2 * IMPATIENT, "a call ended before its time-out");
    assert_eq!(bench.int("a", "n"), Some(1));
}
