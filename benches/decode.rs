//! Compares the cost of decoding with serde_json, sonic-rs and simd-json, in one run: `cargo bench --bench decode`.
//!
//! The events are realistic, nested, of several types and some 560 bytes; 10 fields are asked for. Each round runs
//! every contestant over the same few messages, one after the other. The results are medians of many rounds. A turn is
//! shorter than a time slice, so even on a busy machine most turns are not interrupted, and the medians are reliable.
//! The exit code is 1 if decode and the access to its fields cost more than `LIMIT_PERCENT` of a `serde_json::Value`
//! (whose fields are not even read), or more than the best of the others that reads the same fields and checks as much.
//!
//! `PENSTOCK_BENCH_ROUNDS` changes the number of rounds.

// It prints its results, and panics only if its own events are not JSON.
#![allow(clippy::print_stdout, clippy::expect_used)]

mod events;
mod others;

use std::cell::RefCell;
use std::hint::black_box;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use events::{event, median};
use others::{Asked, Checks};
use penstock::config::model::Segment;
use penstock::output::value::Value;
use penstock::rules::decode::{PathTree, PathTreeBuilder, SlotId, decode_in};
use serde::de::IgnoredAny;

const LIMIT_PERCENT: f64 = 20.0;
/// The contestants that read the fields, without decode: their places in the table.
const OTHERS: Range<usize> = 2..8;
const MESSAGES: usize = 4_000;
/// Messages per turn. A turn takes less than a millisecond.
const TURN: usize = 200;

/// The fields that are asked for. Not every type of event has every field.
const PATHS: [&[&str]; 10] = [
    &["type"],
    &["ts"],
    &["user", "id"],
    &["user", "country"],
    &["session", "id"],
    &["amount"],
    &["currency"],
    &["device", "os"],
    &["device", "geo", "lat"],
    &["flags", "test"],
];

fn main() -> ExitCode {
    // `cargo test --benches` also runs this, unoptimised. Then it only shows that it works.
    let testing = std::env::args().any(|arg| arg == "--test") || cfg!(debug_assertions);
    let rounds = std::env::var("PENSTOCK_BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let rounds: usize = if testing { 1 } else { rounds.unwrap_or(2_001) };

    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|number| event(number).into_bytes()).collect();
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let (tree, slots) = tree(&PATHS);
    let memory = RefCell::new(Vec::new());
    let mut builder = PathTreeBuilder::new();
    let whole_slot = [builder.slot(&[])];
    let whole_tree = builder.build();
    let (empty_tree, no_slots) = tree_of_nothing();

    let pointers = others::pointer_tree();
    let copy = RefCell::new((Vec::new(), simd_json::Buffers::default()));

    type Read<'a> = Box<dyn Fn(&'a [u8]) -> u64 + 'a>;
    let contestants: [(&str, Checks, Read<'_>); 11] = [
        (
            "serde_json::Value",
            Checks::All,
            Box::new(|payload| {
                let value: serde_json::Value = serde_json::from_slice(payload).expect("valid JSON");
                u64::from(black_box(&value).is_object())
            }),
        ),
        (
            "decode, 10 fields, and their access",
            Checks::All,
            Box::new(|payload| read(&tree, &slots, &memory, payload)),
        ),
        (
            "serde_json, 10 fields",
            Checks::All,
            Box::new(|payload| {
                let text = std::str::from_utf8(payload).expect("UTF-8");
                let asked: Asked<'_> = serde_json::from_str(text).expect("valid JSON");
                asked.weight()
            }),
        ),
        (
            "sonic-rs, 10 fields with serde",
            Checks::All,
            Box::new(|payload| {
                let asked: Asked<'_> = sonic_rs::from_slice(payload).expect("valid JSON");
                asked.weight()
            }),
        ),
        (
            "simd-json tape, 10 fields",
            Checks::All,
            Box::new(|payload| {
                let (copy, buffers) = &mut *copy.borrow_mut();
                others::tape_weight(payload, copy, buffers).expect("valid JSON")
            }),
        ),
        (
            "sonic_rs::Value, 10 fields",
            Checks::All,
            Box::new(|payload| {
                let value: sonic_rs::Value = sonic_rs::from_slice(payload).expect("valid JSON");
                others::value_weight(&value)
            }),
        ),
        (
            // It ends at the last field that is asked for, and checks nothing behind it.
            "sonic-rs get_many",
            Checks::Less,
            Box::new(|payload| {
                let found = sonic_rs::get_many(payload, &pointers).expect("valid JSON");
                others::lazy_weight(&found)
            }),
        ),
        (
            // Neither grammar nor UTF-8 of what it skips.
            "sonic-rs get_many_unchecked",
            Checks::Less,
            Box::new(|payload| {
                // SAFETY: the events are valid JSON.
                let found = unsafe { sonic_rs::get_many_unchecked(payload, &pointers) };
                others::lazy_weight(&found.expect("valid JSON"))
            }),
        ),
        (
            // Neither UTF-8 nor depth of what it skips.
            "serde_json IgnoredAny",
            Checks::Less,
            Box::new(|payload| {
                let ignored: IgnoredAny = serde_json::from_slice(payload).expect("valid JSON");
                black_box(&ignored);
                1
            }),
        ),
        (
            "decode, nothing asked for",
            Checks::All,
            Box::new(|payload| read(&empty_tree, &no_slots, &memory, payload)),
        ),
        (
            "decode, the whole value asked for",
            Checks::All,
            Box::new(|payload| read(&whole_tree, &whole_slot, &memory, payload)),
        ),
    ];
    // Each of those that read the fields finds the same.
    for payload in &messages {
        for (name, _, other) in &contestants[OTHERS] {
            assert_eq!(other(payload), read(&tree, &slots, &memory, payload), "{name}");
        }
    }

    let mut nanos: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); contestants.len()];
    for round in 0..rounds {
        let turn = round % (MESSAGES / TURN) * TURN;
        let messages = &messages[turn..turn + TURN];
        for (contestant, nanos) in contestants.iter().zip(&mut nanos) {
            let start = Instant::now();
            let sum: u64 = messages.iter().map(|payload| (contestant.2)(black_box(payload))).sum();
            let elapsed = start.elapsed();
            black_box(sum);
            nanos.push(elapsed.as_nanos() as f64 / TURN as f64);
        }
    }

    let mean_bytes = bytes as f64 / MESSAGES as f64;
    println!("{MESSAGES} events of {mean_bytes:.0} bytes on average, medians of {rounds} interleaved rounds of {TURN}");
    let medians: Vec<f64> = nanos.iter_mut().map(|nanos| median(nanos)).collect();
    for ((name, checks, _), median) in contestants.iter().zip(&medians) {
        let less = if *checks == Checks::Less { ", checks less" } else { "" };
        println!(
            "{name:<38} {median:>7.0} ns a message  {:>6.0} MB/s{less}",
            mean_bytes * 1000.0 / median
        );
    }
    let percent = 100.0 * medians[1] / medians[0];
    println!("decode plus field access: {percent:.1} % of serde_json::Value (limit {LIMIT_PERCENT:.0} %)");
    let same_checks = OTHERS.filter(|place| contestants[*place].1 == Checks::All);
    let best = same_checks.min_by(|left, right| medians[*left].total_cmp(&medians[*right]));
    let best = best.expect("some check as much as decode");
    let of_best = 100.0 * medians[1] / medians[best];
    println!(
        "decode plus field access: {of_best:.1} % of {} (limit 100 %)",
        contestants[best].0
    );
    if !testing && (percent > LIMIT_PERCENT || of_best > 100.0) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn tree(paths: &[&[&str]]) -> (PathTree, Vec<SlotId>) {
    let mut builder = PathTreeBuilder::new();
    let slots = paths.iter().map(|path| {
        let path: Vec<Segment> = path.iter().map(|name| Segment::Name((*name).to_owned())).collect();
        builder.slot(&path)
    });
    let slots = slots.collect();
    (builder.build(), slots)
}

fn tree_of_nothing() -> (PathTree, Vec<SlotId>) {
    tree(&[])
}

/// The memory of the fields. The worker has it for the messages of a batch.
type Memory<'m> = RefCell<Vec<Option<Value<'m>>>>;

/// Decodes a payload and reads every field, as mapping does.
fn read<'m>(tree: &PathTree, slots: &[SlotId], memory: &Memory<'m>, payload: &'m [u8]) -> u64 {
    let fields = decode_in(tree, payload, memory.take()).expect("valid JSON");
    let mut sum = 0;
    for slot in slots {
        sum += match fields.get(*slot) {
            None | Some(Value::Null) => 0,
            Some(Value::Str(string)) => string.len() as u64,
            Some(Value::Int(int)) => *int as u64 & 0xff,
            Some(Value::Float(float)) => float.to_bits() & 0xff,
            Some(Value::Bool(flag)) => u64::from(*flag),
            Some(_) => 1,
        };
    }
    black_box(&fields);
    memory.replace(fields.into_memory());
    sum
}
