//! Faults of messages, batches and records as the client sees them: what is lost, late, slow, cut short or refused.

use super::*;
use penstock_sim::{EarlyEnd, RecordKey};
use std::io::{Read as _, Write as _};

fn put(client: &Client, timeout_ms: u32, id: i64, value: i64) -> aerospike::Result<()> {
    client.put(&write_policy(timeout_ms), &key(id), &[as_bin!("v", value)])
}

fn value(simulator: &Simulator, id: i64) -> Option<i64> {
    simulator.get("test", "s", id).and_then(|record| record.int("v"))
}

#[test]
fn a_share_of_messages_is_applied_and_never_answered_and_another_share_is_lost() {
    // Long enough for a busy machine to send each message: one that was never sent is not applied.
    const PATIENT_MS: u32 = 400;
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    faults.silence(Share::Fraction(0.5));
    let answered = (0..20).filter(|id| put(&client, PATIENT_MS, *id, 1).is_ok()).count();
    assert!((1..20).contains(&answered), "{answered} of 20 answered");
    assert_eq!(simulator.records("test", "s").len(), 20);

    faults.clear();
    faults.lose(Share::Fraction(0.5));
    let answered = (20..40).filter(|id| put(&client, PATIENT_MS, *id, 1).is_ok()).count();
    assert!((1..20).contains(&answered), "{answered} of 20 answered");
    assert_eq!(simulator.records("test", "s").len(), 20 + answered);
}

#[test]
fn a_late_message_lands_after_its_retry_and_after_newer_writes() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    faults.late_next(1);
    put(&client, SHORT_MS, 1, 1).unwrap_err();
    assert_eq!((faults.held_late(), value(&simulator, 1)), (1, None));
    put(&client, LONG_MS, 1, 1).unwrap();
    put(&client, LONG_MS, 1, 2).unwrap();
    assert_eq!(value(&simulator, 1), Some(2));
    assert_eq!(faults.release_late(), 1);
    assert_eq!(value(&simulator, 1), Some(1), "the original came last");
    assert_eq!((faults.held_late(), faults.release_late()), (0, 0));

    // In the order they arrived, rows of a batch too.
    faults.late(Share::Fraction(1.0));
    put(&client, SHORT_MS, 1, 3).unwrap_err();
    let mut rows = vec![put_row(1, 4), put_row(2, 4)];
    let _ = client.batch(&batch_policy(SHORT_MS), &mut rows);
    assert_eq!(count(&codes(&rows), ResultCode::Ok), 0);
    faults.late(Share::Next(0));
    put(&client, LONG_MS, 1, 5).unwrap();
    assert_eq!(faults.release_late(), 2);
    assert_eq!((value(&simulator, 1), value(&simulator, 2)), (Some(4), Some(4)));

    // A clear forgets what is held.
    faults.late_next(1);
    put(&client, SHORT_MS, 1, 6).unwrap_err();
    faults.clear();
    assert_eq!((faults.release_late(), value(&simulator, 1)), (0, Some(4)));
}

#[test]
fn a_message_takes_effect_so_much_later_whether_or_not_its_client_waits() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    faults.late_after(Share::Next(1), Duration::from_millis(600));
    put(&client, SHORT_MS, 1, 1).unwrap_err();
    put(&client, LONG_MS, 1, 2).unwrap();
    assert_eq!(value(&simulator, 1), Some(2));
    wait_for("the late write", || value(&simulator, 1) == Some(1));

    faults.late_after(Share::Next(1), Duration::from_secs(600));
    put(&client, SHORT_MS, 1, 3).unwrap_err();
    faults.clear();
    put(&client, LONG_MS, 1, 4).unwrap();
    assert_eq!(value(&simulator, 1), Some(4));
}

#[test]
fn a_guarded_row_survives_its_own_late_original() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    let send = |offset: i64, timeout_ms: u32| {
        let mut policy = write_policy(timeout_ms);
        policy.base_policy.filter_expression = Some(guard("~g", offset));
        let ops = [
            operations::add(&as_bin!("n", 1)),
            operations::put(&as_bin!("~g", offset)),
        ];
        client.operate(&policy, &key(1), &ops).map(|_| ())
    };
    faults.late_next(1);
    send(5, SHORT_MS).unwrap_err();
    send(5, LONG_MS).unwrap();
    send(6, LONG_MS).unwrap();
    assert_eq!(faults.release_late(), 1);
    let record = simulator.get("test", "s", 1).unwrap();
    assert_eq!((record.int("n"), record.int("~g")), (Some(2), Some(6)));
    let stats = simulator.stats();
    assert_eq!((stats.result(27), stats.writes, stats.filtered), (1, 3, 3));
}

#[test]
fn slow_answers_come_after_the_write_was_applied() {
    let (simulator, client) = start(SimConfig::default());
    simulator
        .faults()
        .slow_answers(Share::Fraction(1.0), Duration::from_secs(600));
    let left = put(&client, SHORT_MS, 1, 1);
    left.unwrap_err();
    assert_eq!(value(&simulator, 1), Some(1));
    simulator.faults().clear();
    simulator
        .faults()
        .slow_answers(Share::Fraction(0.5), Duration::from_millis(20));
    (0..20).for_each(|id| put(&client, LONG_MS, id, 2).unwrap());
}

#[test]
fn a_batch_that_ends_early_leaves_rows_without_a_code_of_which_some_were_applied() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    let end = EarlyEnd {
        rows_answered: 3,
        applied: 0.5,
        code: 4,
    };
    faults.end_batches(Share::Next(1), end);
    let mut rows: Vec<BatchOperation> = (0..40).map(|id| put_row(id, 1)).collect();
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    let found = codes(&rows);
    // The closing header has no row's number, and the client gives its code to row 0, which was written and answered.
    assert_eq!(found[0], Some(ResultCode::ParameterError));
    assert_eq!(found[1..3], [Some(ResultCode::Ok), Some(ResultCode::Ok)]);
    assert_eq!(found[3..], [None; 37]);
    assert!(rows.iter().all(|row| !row.in_doubt()), "and says it is not in doubt");
    let applied = (3..40).filter(|id| value(&simulator, *id).is_some()).count();
    assert!((5..32).contains(&applied), "{applied} of 37");
    assert!((0..3).all(|id| value(&simulator, id).is_some()));

    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    let whole = EarlyEnd {
        applied: 0.0,
        rows_answered: 0,
        code: 0,
    };
    faults.end_batches(Share::Next(1), whole);
    let mut rows: Vec<BatchOperation> = (100..110).map(|id| put_row(id, 1)).collect();
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    assert_eq!(
        codes(&rows),
        [None; 10],
        "a batch may end well and say nothing of its rows"
    );
    assert!((100..110).all(|id| value(&simulator, id).is_none()));
}

#[test]
fn a_batch_that_breaks_off_at_an_unknown_namespace_applied_what_stood_before_it_and_says_nothing() {
    let simulator = Simulator::start(SimConfig::default()).unwrap();
    // The client asks its partition map first, so the message is made by hand: three rows, the last one elsewhere.
    let row = |index: u8, namespace: &str| {
        let field = [&[0, 0, 0, namespace.len() as u8 + 1, 0], namespace.as_bytes()].concat();
        let operation = [0, 0, 0, 13, 2, 1, 0, 1, b'v', 0, 0, 0, 0, 0, 0, 0, 1];
        let head = [
            &[0, 0, 0, index][..],
            &[index; 20],
            &[0x0e, 0, 1, 0, 0, 0],
            &[0; 4],
            &[0, 1, 0, 1],
        ]
        .concat();
        [head, field, operation.to_vec()].concat()
    };
    let rows = [row(0, "test"), row(1, "test"), row(2, "nowhere")].concat();
    let mut body = [&[22, 8][..], &[0; 16], &[0, 1, 0, 0]].concat();
    body.extend_from_slice(&(rows.len() as u32 + 6).to_be_bytes());
    body.extend_from_slice(&[41, 0, 0, 0, 3, 0x0d]);
    body.extend_from_slice(&rows);
    let mut stream = std::net::TcpStream::connect(simulator.addr()).unwrap();
    let header = (2u64 << 56) | (3 << 48) | body.len() as u64;
    stream
        .write_all(&[&header.to_be_bytes(), body.as_slice()].concat())
        .unwrap();
    let mut answer = [0; 30];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!((answer[11], answer[13]), (1, 4), "one header, the last: {answer:?}");
    let digests: Vec<[u8; 20]> = simulator.records("test", "").into_keys().collect();
    assert_eq!(digests, [[0; 20], [1; 20]]);
}

#[test]
fn refused_records_stay_refused_until_cleared_and_the_others_are_written() {
    let (simulator, client) = start(SimConfig::default());
    let faults = simulator.faults();
    faults.refuse_records(22, 0.25, 7);
    let mut refused_at_first: Option<Vec<bool>> = None;
    for round in 0..3 {
        let mut rows: Vec<BatchOperation> = (0..200).map(|id| put_row(id, round)).collect();
        client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
        let refused: Vec<bool> = codes(&rows)
            .iter()
            .map(|code| *code == Some(ResultCode::FailForbidden))
            .collect();
        let struck = refused.iter().filter(|refused| **refused).count();
        assert!((25..75).contains(&struck), "{struck} of 200");
        for (id, refused) in (0..).zip(&refused) {
            assert_eq!(value(&simulator, id).is_none(), *refused, "record {id}");
            assert_eq!(faults.refuses_record(&key(id).digest()), *refused);
        }
        assert_eq!(refused_at_first.get_or_insert_with(|| refused.clone()), &refused);
    }
    let refused_at_first = refused_at_first.unwrap();
    let struck = refused_at_first.iter().position(|refused| *refused).unwrap() as i64;
    assert_eq!(
        refused(put(&client, LONG_MS, struck, 1)),
        Some(ResultCode::FailForbidden)
    );
    assert!(
        client.delete(&write_policy(LONG_MS), &key(struck)).is_err(),
        "deletes write, too"
    );
    faults.clear();
    put(&client, LONG_MS, struck, 1).unwrap();
    assert!(
        simulator
            .get("test", "s", RecordKey::Digest(key(struck).digest()))
            .is_some()
    );
}

#[test]
fn a_busy_share_strikes_rows_of_any_call() {
    let (simulator, client) = start(SimConfig::default());
    simulator.faults().busy(Share::Fraction(0.3));
    let (mut busy, mut written) = (0, 0);
    for _ in 0..20 {
        // One key a batch: it is other calls that hold the record.
        let mut rows: Vec<BatchOperation> = (0..10).map(|id| put_row(id, 1)).collect();
        client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
        busy += count(&codes(&rows), ResultCode::KeyBusy);
        written += count(&codes(&rows), ResultCode::Ok);
    }
    assert_eq!(busy + written, 200);
    assert!((30..90).contains(&busy), "{busy} of 200");
}

#[test]
fn every_fault_has_a_control_command() {
    let (simulator, client) = start(SimConfig {
        control: Some("127.0.0.1:0".parse().unwrap()),
        ..SimConfig::default()
    });
    let control = simulator.control_addr().unwrap();
    let ctl = |command: &str| control_command(control, command).unwrap();
    for command in [
        "silence 20%",
        "silence 0",
        "lose 20%",
        "lose 0",
        "late 20%",
        "late 0",
        "late 20% 500ms",
        "late 0 1s",
        "slow 20% 5ms",
        "slow 0 5ms",
        "end 4 20% 3",
        "end 4 0 3 50%",
        "busy 20%",
        "records 22 20%",
        "records 22 20% 9",
        "clear",
    ] {
        assert_eq!(ctl(command), "ok", "{command}");
    }
    for command in ["late 120%", "late 1 5", "records 22 3", "end 4 1", "slow 20%"] {
        assert!(ctl(command).starts_with("error: "), "{command}");
    }
    assert_eq!(ctl("late"), "ok");
    put(&client, SHORT_MS, 1, 1).unwrap_err();
    assert_eq!(ctl("release-late"), "1");
    assert_eq!(value(&simulator, 1), Some(1));
    assert_eq!(ctl("end 22 1 1 100%"), "ok");
    let mut rows: Vec<BatchOperation> = (0..4).map(|id| put_row(id, 2)).collect();
    client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
    assert_eq!(codes(&rows)[1..], [None; 3]);
    assert!((0..4).all(|id| value(&simulator, id) == Some(2)));
}
