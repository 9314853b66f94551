//! The frames against those of the client itself, byte by byte.

mod client;
mod rows;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::config::operations;
use crate::output::row::{Op, Target};
use crate::output::value::Value;
use client::{REPEAT, RESPOND_ALL_OPS, Recorder, Request, TIMEOUT};
use rows::{Action, Spec, Step};

/// A recorded conversation of the client with a real server.
const TRANSCRIPT: &str = include_str!("../../../../crates/penstock-sim/tests/data/aerospike-transcript.txt");

fn frame_of(rows: &[OutgoingRow<'_>], timeout: Duration) -> Vec<u8> {
    let mut frame = Frame::default();
    frame.begin(timeout);
    for (index, row) in (0..).zip(rows) {
        frame.row(index, row).unwrap();
    }
    frame.finish().to_vec()
}

/// Checks that the rows' frame is the client's, but for what it leaves out.
#[track_caller]
fn check(recorder: &Recorder, specs: &[Spec]) {
    let rows: Vec<OutgoingRow<'_>> = specs.iter().map(Spec::outgoing).collect();
    let ours = frame_of(&rows, TIMEOUT);
    let theirs = Request::of_client(&recorder.frame(&rows));
    if ours == theirs {
        return;
    }
    // The first row that differs is easier to read than both frames.
    let (ours, theirs) = (Request::of(&ours), Request::of(&theirs));
    assert_eq!(ours.head, theirs.head);
    for ((spec, ours), theirs) in specs.iter().zip(&ours.rows).zip(&theirs.rows) {
        let same = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
        let rest = |bytes: &[u8]| format!("{:02x?}", bytes[same..].iter().take(16).collect::<Vec<_>>());
        assert!(
            ours == theirs,
            "{spec:?}\nafter {same} bytes: ours {}, theirs {}",
            rest(ours),
            rest(theirs)
        );
    }
    panic!("the frames differ, and no row of them");
}

#[test]
fn every_operation_with_every_value_is_what_the_client_sends() {
    let recorder = Recorder::start();
    let mut ops: Vec<Op<'static>> = rows::values().iter().flat_map(rows::ops_with).collect();
    ops.extend(rows::ops_with_numbers());
    // A new operation must be added above.
    let seen: BTreeSet<&str> = ops.iter().filter_map(Op::descriptor).map(|of| of.word).collect();
    assert_eq!(seen, operations::ALL.iter().map(|of| of.word).collect());

    let specs: Vec<Spec> = ops.into_iter().map(Spec::op).collect();
    check(&recorder, &specs);
}

#[test]
fn values_with_lengths_of_four_bytes_are_what_the_client_sends() {
    let recorder = Recorder::start();
    for value in rows::LONG.map(rows::of_length).concat() {
        let specs: Vec<Spec> = rows::ops_with(&value).map(Spec::op).into();
        check(&recorder, &specs);
    }
}

#[test]
fn every_mode_life_key_and_condition_is_what_the_client_sends() {
    check(&Recorder::start(), &rows::policies());
}

#[test]
fn what_a_replay_does_with_its_ledger_is_what_the_client_sends() {
    check(&Recorder::start(), &rows::ledgers());
}

#[test]
fn random_rows_are_what_the_client_sends() {
    let recorder = Recorder::start();
    for seed in 0..100 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let specs: Vec<Spec> = (0..20).map(|_| rows::random(&mut rng)).collect();
        check(&recorder, &specs);
    }
}

/// Rows whose only difference is the record. The client sends the second as a repetition of the first.
#[test]
fn a_row_is_written_whole_even_if_it_is_the_same_as_the_one_before_it() {
    let put = Spec::op(Op::Put {
        bin: "a".into(),
        value: Value::Int(1),
    });
    let other = Spec {
        digest: [7; 20],
        ..put.clone()
    };
    let specs = [put, other];
    let rows: Vec<OutgoingRow<'_>> = specs.iter().map(Spec::outgoing).collect();
    let theirs = Request::of(&Recorder::start().frame(&rows));
    assert_eq!(theirs.rows[1][24], REPEAT, "otherwise this test shows nothing");

    let ours = Request::of(&frame_of(&rows, TIMEOUT));
    assert_eq!(ours.rows[0][24], ROW_FLAGS);
    assert_eq!(ours.rows[0][24..], ours.rows[1][24..]);
}

#[test]
fn no_row_asks_for_an_answer_to_each_operation_or_for_compression() {
    let specs = rows::policies();
    let rows: Vec<OutgoingRow<'_>> = specs.iter().map(Spec::outgoing).collect();
    let ours = Request::of(&frame_of(&rows, TIMEOUT));
    assert_eq!(ours.head[9], INFO1_BATCH);
    for row in &ours.rows {
        assert_eq!((row[25], row[26] & RESPOND_ALL_OPS), (0, 0));
    }
}

#[test]
fn the_head_has_the_flags_of_the_client_and_the_time_that_is_left() {
    let transaction_ttl = |timeout| {
        let spec = Spec::new(Action::Delete);
        let frame = frame_of(&[spec.outgoing()], timeout);
        // Answer all rows, and say in which row an error was. Not: run it inline on a namespace with a device.
        assert_eq!(frame[HEAD_BYTES - 1], 0x0d);
        u32::from_be_bytes(frame[22..26].try_into().unwrap())
    };
    assert_eq!(transaction_ttl(Duration::from_millis(1500)), 1500);
    assert_eq!(transaction_ttl(Duration::MAX), u32::MAX);
    // With 0, the server would take a time of its own.
    assert_eq!(transaction_ttl(Duration::from_micros(999)), 1);
    assert_eq!(transaction_ttl(Duration::ZERO), 1);
}

/// The batch requests of the recording that do not depend on an older form of conditions.
#[test]
fn a_recorded_conversation_with_a_real_server_has_the_same_frames() {
    let put = |bin: &'static str, value| Step::Op(Op::Put { bin: bin.into(), value });
    let x = || Spec::new(Action::Write(vec![put("x", Value::Int(1))]));
    let check = |call: &str, specs: &mut [Spec]| {
        let lines: Vec<&str> = TRANSCRIPT.lines().collect();
        let end = lines.iter().position(|line| line.starts_with(call)).unwrap();
        let hex = lines[..end].iter().rev().find_map(|line| {
            let frame = line.split_once("-> type=3 v2 ")?.1;
            Some(frame.split_once(' ')?.1)
        });
        let body: Vec<u8> = hex
            .unwrap()
            .as_bytes()
            .chunks(2)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 16).unwrap())
            .collect();
        let mut recorded = vec![2, 3];
        recorded.extend_from_slice(&(body.len() as u64).to_be_bytes()[2..]);
        recorded.extend(body);
        for (spec, row) in specs.iter_mut().zip(Request::of(&recorded).rows) {
            spec.target = Target::new("test", "f");
            spec.digest = row[4..24].try_into().unwrap();
        }
        let rows: Vec<OutgoingRow<'_>> = specs.iter().map(Spec::outgoing).collect();
        let ours = frame_of(&rows, Duration::from_secs(1));
        assert_eq!(ours, Request::of_client(&recorded), "{call}");
    };
    let two = vec![put("x", Value::Str("two".into())), put("y", Value::Int(2))];
    check(
        "== batch: write, write 2 bins, delete, delete missing",
        &mut [
            x(),
            Spec::new(Action::Write(two)),
            Spec::new(Action::Delete),
            Spec::new(Action::Delete),
        ],
    );
    check("== batch of 4 refused whole", &mut [x(), x(), x(), x()]);
}

/// Adds a row between two others, and checks that it is refused and leaves nothing behind.
#[track_caller]
fn refuse(spec: &Spec, body_bytes_max: usize) {
    let good = Spec::new(Action::Touch);
    let mut frame = Frame::default();
    frame.begin(TIMEOUT);
    frame.row(0, &good.outgoing()).unwrap();
    let before = frame.finish().to_vec();
    assert_eq!(frame.row_within(1, &spec.outgoing(), body_bytes_max), Err(Unsendable));
    assert_eq!(frame.finish(), before, "{:?}", spec.action);
    assert_eq!((frame.rows(), frame.bytes()), (1, before.len()));
    frame.row(1, &good.outgoing()).unwrap();
    let row = good.outgoing();
    assert_eq!(frame.finish(), frame_of(&[row, good.outgoing()], TIMEOUT));
}

#[test]
fn a_row_that_cannot_be_sent_leaves_the_frame_as_it_was() {
    let put = |bin: String| Op::Put {
        bin: bin.into(),
        value: Value::Int(1),
    };
    let step = |bin: usize| Step::Op(put("b".repeat(bin)));
    let none = usize::MAX;
    refuse(&Spec::new(Action::Write(vec![step(1), step(256)])), none);
    refuse(&Spec::new(Action::Write(vec![])), none);
    refuse(&Spec::new(Action::Write(vec![step(1); 65_536])), none);
    for namespace in ["", &"n".repeat(32)] {
        let mut spec = Spec::new(Action::Delete);
        spec.target.namespace = namespace.to_owned();
        refuse(&spec, none);
    }
    // What the server can refuse by itself, for the row alone, is sent.
    let longest = Spec {
        target: Target::new("n".repeat(31), "s".repeat(64)),
        ..Spec::new(Action::Write(vec![step(255); 65_535]))
    };
    frame_of(&[longest.outgoing()], TIMEOUT);
}

#[test]
fn a_frame_is_not_longer_than_the_server_allows() {
    let spec = Spec::op(Op::ListAppend {
        bin: "l",
        value: Value::Str(rows::text(5000).into()),
    });
    let touch = Spec::new(Action::Touch);
    let both = frame_of(&[touch.outgoing(), spec.outgoing()], TIMEOUT).len() - PROTO_BYTES;
    refuse(&spec, both - 1);
    let mut frame = Frame::default();
    frame.begin(TIMEOUT);
    frame.row(0, &touch.outgoing()).unwrap();
    assert_eq!(frame.row_within(1, &spec.outgoing(), both), Ok(()));
}

#[test]
fn a_warm_frame_is_written_into_the_same_memory() {
    let mut rng = fastrand::Rng::with_seed(1);
    let specs: Vec<Spec> = (0..50).map(|_| rows::random(&mut rng)).collect();
    let rows: Vec<OutgoingRow<'_>> = specs.iter().map(Spec::outgoing).collect();
    let mut frame = Frame::default();
    let mut fill = || {
        frame.begin(TIMEOUT);
        for (index, row) in (0..).zip(&rows) {
            frame.row(index, row).unwrap();
        }
        frame.finish();
        let memory = (frame.bytes.as_ptr(), frame.bytes.capacity());
        (memory, (frame.order.as_ptr(), frame.order.capacity()))
    };
    assert_eq!(fill(), fill());
}

#[test]
fn a_frame_tells_the_memory_that_it_keeps() {
    const LONG: usize = 100_000;
    let large = Spec::op(Op::Once {
        bin: "m",
        value: Value::Str("x".repeat(LONG).into()),
    });
    let mut frame = Frame::default();
    assert_eq!(frame.capacity(), 0);
    frame.begin(TIMEOUT);
    assert!(frame.is_empty());
    frame.row(0, &large.outgoing()).unwrap();
    assert!(!frame.is_empty() && frame.capacity() > LONG);
    frame.begin(TIMEOUT);
    assert!(frame.is_empty() && frame.capacity() > LONG);
    assert_eq!(frame.finish().len(), frame.bytes());
}
