//! Write: the planned calls, made one after another, each until its last row is acknowledged.
//!
//! Runs on the partition's own thread and blocks it: that is the back-pressure. A row is done when its own result
//! says so, and only rows that are not are sent again, with growing back-off, for as long as it takes; the stop
//! flag ends a wait at once. What a result means is the store's to say ([`RowResult`]); this loop knows no codes.

use std::time::Duration;

use crate::pipeline::plan::{Plan, PlannedRow};
use crate::shutdown::Stop;

/// The first pause after a failure.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
/// A batch of many calls is finished for so long after a stop; what is left then is for the next owner. With the call
/// under way, a worker leaves within this and two write time-outs.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// The longest pause.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// What the database said of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowResult {
    /// Acknowledged.
    Done,
    /// Not acknowledged, and no fault of the row: send it again. It may have been applied all the same.
    Retry,
    /// The row itself is refused, with the server's result code. Believed only of a row that was alone in its call,
    /// since a whole call's error can be stamped on any of its rows.
    Refused(u8),
    /// Nothing can be written any more until a person acts.
    Fatal(Fatal),
}

/// Why the service cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fatal {
    /// The user or password is refused, or may not write here.
    Credentials(u8),
}

/// What makes batch calls: the store, or a test.
pub trait RowWriter {
    /// Makes one call with these rows, each a different record, and gives one result a row, in their order.
    /// Blocks for a bounded time.
    fn write(&self, rows: &[&PlannedRow<'_>]) -> Vec<RowResult>;
}

/// How the writing of a plan ended.
#[derive(Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// Every row is acknowledged.
    Done,
    /// Told to stop before the last row was acknowledged: the rows still open.
    Stopped { open: Vec<usize> },
    /// Rows that the database refuses for what they are, with the code; every other row is acknowledged.
    Refused(Vec<(usize, u8)>),
    /// Gave up at once: the rows still open are not known.
    Fatal(Fatal),
}

/// Makes all calls of `plan`, in their order.
///
/// A stop flag that is up lets a call be made once and not again, and calls begin only for two seconds after it: a
/// healthy database finishes the batch in hand, a sick one, or a batch of a thousand calls, does not hold up the end.
pub fn write(plan: &Plan<'_>, writer: &dyn RowWriter, stop: &Stop) -> WriteEnd {
    let mut refused = Vec::new();
    for (number, call) in plan.calls.iter().enumerate() {
        if stop.requested_at().is_some_and(|at| at.elapsed() >= FINISH_MAX) {
            let mut open: Vec<usize> = plan.calls[number..].iter().flatten().copied().collect();
            open.extend(refused.iter().map(|(row, _)| row));
            return WriteEnd::Stopped { open };
        }
        match write_call(plan, call, writer, stop, &mut refused) {
            CallEnd::Done => {}
            CallEnd::Stopped { mut open } => {
                open.extend(plan.calls[number + 1..].iter().flatten());
                open.extend(refused.iter().map(|(row, _)| row));
                return WriteEnd::Stopped { open };
            }
            CallEnd::Fatal(fatal) => return WriteEnd::Fatal(fatal),
        }
    }
    if refused.is_empty() {
        WriteEnd::Done
    } else {
        WriteEnd::Refused(refused)
    }
}

enum CallEnd {
    Done,
    Stopped { open: Vec<usize> },
    Fatal(Fatal),
}

fn write_call(
    plan: &Plan<'_>,
    call: &[usize],
    writer: &dyn RowWriter,
    stop: &Stop,
    refused: &mut Vec<(usize, u8)>,
) -> CallEnd {
    let mut open = call.to_vec();
    let mut back_off = BackOff::default();
    loop {
        let rows: Vec<&PlannedRow<'_>> = open.iter().map(|&row| &plan.rows[row]).collect();
        let results = writer.write(&rows);
        assert_eq!(results.len(), open.len(), "a writer answers for each row");
        let alone = open.len() == 1;
        let mut unresolved = Vec::new();
        let mut suspects = Vec::new();
        for (&row, result) in open.iter().zip(results) {
            match result {
                RowResult::Done => {}
                RowResult::Retry => unresolved.push(row),
                RowResult::Refused(code) if alone => refused.push((row, code)),
                RowResult::Refused(_) => suspects.push(row),
                RowResult::Fatal(fatal) => return CallEnd::Fatal(fatal),
            }
        }
        let mut give_up = false;
        for row in suspects {
            // The database has gone meanwhile, or a stop is waited for: the rest is tried again with the others.
            if give_up || stop.requested() {
                unresolved.push(row);
                continue;
            }
            match writer.write(&[&plan.rows[row]]).into_iter().next() {
                Some(RowResult::Done) => {}
                Some(RowResult::Refused(code)) => refused.push((row, code)),
                Some(RowResult::Fatal(fatal)) => return CallEnd::Fatal(fatal),
                Some(RowResult::Retry) | None => {
                    unresolved.push(row);
                    give_up = true;
                }
            }
        }
        if unresolved.is_empty() {
            return CallEnd::Done;
        }
        open = unresolved;
        if stop.wait(back_off.next()) {
            return CallEnd::Stopped { open };
        }
    }
}

/// Exponential, with full jitter: a thousand workers do not come back in one instant.
#[derive(Debug, Default)]
struct BackOff {
    attempt: u32,
}

impl BackOff {
    fn next(&mut self) -> Duration {
        let ceiling = BACK_OFF_MIN.saturating_mul(1 << self.attempt.min(16)).min(BACK_OFF_MAX);
        self.attempt += 1;
        ceiling.mul_f64(0.1 + 0.9 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::map::{RecordKey, Row, RowTtl, Target};
    use crate::pipeline::plan::plan;
    use crate::pipeline::value::Value;
    use crate::shutdown::StopKind;

    /// Answers from a script: for each record key its results in order, then `Done`. Remembers the calls.
    struct Script {
        results: RefCell<HashMap<i64, Vec<RowResult>>>,
        calls: RefCell<Vec<Vec<i64>>>,
        stop_after: Option<(usize, Stop)>,
    }

    impl Script {
        fn new(results: &[(i64, &[RowResult])]) -> Self {
            let results = results
                .iter()
                .map(|(key, r)| (*key, r.iter().rev().cloned().collect()))
                .collect();
            Script {
                results: RefCell::new(results),
                calls: RefCell::default(),
                stop_after: None,
            }
        }
    }

    impl RowWriter for Script {
        fn write(&self, rows: &[&PlannedRow<'_>]) -> Vec<RowResult> {
            let keys: Vec<i64> = rows
                .iter()
                .map(|row| match row.row.key {
                    RecordKey::Integer(n) => n,
                    _ => panic!("integer keys only"),
                })
                .collect();
            self.calls.borrow_mut().push(keys.clone());
            if let Some((after, stop)) = &self.stop_after
                && self.calls.borrow().len() >= *after
            {
                stop.request(StopKind::Drain);
            }
            let mut results = self.results.borrow_mut();
            keys.iter()
                .map(|key| results.get_mut(key).and_then(Vec::pop).unwrap_or(RowResult::Done))
                .collect()
        }
    }

    fn check(keys: &[i64], script: Script) -> (WriteEnd, Vec<Vec<i64>>) {
        let target = Arc::new(Target {
            namespace: "test".into(),
            set: "s".into(),
            send_key: false,
        });
        let rows = keys.iter().enumerate().map(|(message, key)| Row {
            message,
            target: &target,
            key: RecordKey::Integer(*key),
            bins: vec![("n".into(), Value::Int(1))],
            ttl: RowTtl::NamespaceDefault,
        });
        let plan = plan(rows.collect(), 100);
        let stop = script
            .stop_after
            .as_ref()
            .map(|(_, stop)| stop.clone())
            .unwrap_or_default();
        let end = write(&plan, &script, &stop);
        (end, script.calls.into_inner())
    }

    #[test]
    fn only_the_unresolved_rows_are_sent_again() {
        let script = Script::new(&[(2, &[RowResult::Retry, RowResult::Retry])]);
        let (end, calls) = check(&[1, 2, 3], script);
        assert_eq!(end, WriteEnd::Done);
        assert_eq!(calls, [vec![1, 2, 3], vec![2], vec![2]]);
    }

    #[test]
    fn a_records_second_row_waits_until_its_first_is_acknowledged() {
        let script = Script::new(&[(1, &[RowResult::Retry])]);
        let (end, calls) = check(&[1, 2, 1], script);
        assert_eq!(end, WriteEnd::Done);
        assert_eq!(calls, [vec![1, 2], vec![1], vec![1]]);
    }

    #[test]
    fn a_refusal_in_company_is_not_believed_before_the_row_was_alone() {
        let script = Script::new(&[
            (1, &[RowResult::Refused(4)]),
            (2, &[RowResult::Refused(13), RowResult::Refused(13)]),
        ]);
        let (end, calls) = check(&[1, 2, 3], script);
        assert_eq!(end, WriteEnd::Refused(vec![(1, 13)]));
        assert_eq!(calls, [vec![1, 2, 3], vec![1], vec![2]]);
    }

    #[test]
    fn a_stop_ends_the_retries_and_names_what_is_open() {
        let stop = Stop::new();
        let mut script = Script::new(&[(2, &[RowResult::Retry])]);
        script.stop_after = Some((1, stop));
        let (end, calls) = check(&[1, 2, 1], script);
        assert_eq!(end, WriteEnd::Stopped { open: vec![1, 2] });
        assert_eq!(calls.len(), 1);
    }

    #[test]
    fn a_stop_lets_a_healthy_database_finish_the_batch_in_hand() {
        let stop = Stop::new();
        let mut script = Script::new(&[]);
        script.stop_after = Some((1, stop));
        let (end, calls) = check(&[1, 2, 1], script);
        assert_eq!(end, WriteEnd::Done);
        assert_eq!(calls, [vec![1, 2], vec![1]]);
    }

    #[test]
    fn a_batch_of_many_calls_does_not_hold_up_the_end() {
        let mut script = Script::new(&[]);
        script.stop_after = Some((usize::MAX, Stop::requested_before(FINISH_MAX)));
        let (end, calls) = check(&[1, 2, 1], script);
        assert_eq!(end, WriteEnd::Stopped { open: vec![0, 1, 2] });
        assert!(calls.is_empty());
    }

    #[test]
    fn suspects_wait_with_the_others_when_the_database_goes_meanwhile() {
        let script = Script::new(&[
            (1, &[RowResult::Refused(4), RowResult::Retry]),
            (2, &[RowResult::Refused(4)]),
        ]);
        let (end, calls) = check(&[1, 2, 3], script);
        assert_eq!(end, WriteEnd::Done);
        assert_eq!(calls, [vec![1, 2, 3], vec![1], vec![1, 2]]);
    }

    #[test]
    fn refused_credentials_end_it_at_once() {
        let script = Script::new(&[(1, &[RowResult::Fatal(Fatal::Credentials(80))])]);
        let (end, _) = check(&[1, 2], script);
        assert_eq!(end, WriteEnd::Fatal(Fatal::Credentials(80)));
    }

    #[test]
    fn the_back_off_grows_to_its_cap_and_is_never_nothing() {
        let mut back_off = BackOff::default();
        for _ in 0..100 {
            let pause = back_off.next();
            assert!(pause >= BACK_OFF_MIN / 10 && pause <= BACK_OFF_MAX, "{pause:?}");
        }
        let mut late = BackOff { attempt: 60 };
        assert!(late.next() >= BACK_OFF_MAX / 10);
    }
}
