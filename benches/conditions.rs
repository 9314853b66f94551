//! Measures the cost of conditions, in one run: `cargo bench --bench conditions`.
//!
//! The events are those of `benches/decode.rs`. They are decoded and mapped by rules that differ only in their
//! conditions. Each round runs every contestant over the same few messages, one after the other. The results are
//! medians of many rounds. The exit code is 1 if a condition with three comparisons adds more than `LIMIT_PERCENT` to
//! the cost of decoding and mapping a message without it.
//!
//! `PENSTOCK_BENCH_ROUNDS` changes the number of rounds.

// It prints its results, and panics only if its own rules or events are wrong.
#![allow(clippy::print_stdout, clippy::expect_used)]

mod events;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use events::{event, median};
use penstock::config;
use penstock::message::Message;
use penstock::output::Output;
use penstock::processor::Processor;
use penstock::rules::mapping::Mapping;

const LIMIT_PERCENT: f64 = 60.0;
const MESSAGES: usize = 4_000;
/// Messages per turn. A turn takes less than a millisecond.
const TURN: usize = 200;

const THREE: &str = "when = \"type != 'heartbeat' && schema >= 3 && user.country != 'XX'\"";

/// Name, lines of the route, lines of its write.
const RULES: [(&str, &str, &str); 8] = [
    ("no condition", "", ""),
    ("1 comparison", "when = \"type != 'heartbeat'\"", ""),
    ("3 comparisons", THREE, ""),
    (
        "3 comparisons, filtered by the last",
        "when = \"type != 'heartbeat' && schema >= 3 && user.country == 'XX'\"",
        "",
    ),
    (
        "membership of 4",
        "when = \"type in ['view', 'click', 'purchase', 'search']\"",
        "",
    ),
    (
        "has(), require",
        "require = [\"!has(msg.amount) || msg.amount >= 0.0\"]",
        "",
    ),
    ("pattern", "when = \"source.matches('^web-[0-9]+$')\"", ""),
    ("a computed value", "", "once = { x = { expr = \"schema * 2.5\" } }"),
];

fn mapping(route: &str, write: &str) -> Mapping {
    let text = format!(
        "[kafka]\nbrokers = \"b:9092\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"h:3000\"\nnamespace = \"test\"\n[[route]]\n{route}\n\
         [[route.write]]\nset = \"s\"\nkey = \"user.id\"\n\
         bins = {{ type = \"type\", ts = \"ts\", country = \"user.country\", session = \"session.id\", os = \"device.os\", lat = \"device.geo.lat\", id = \"id\" }}\n{write}\n"
    );
    let config = config::parse(&text, "bench.toml").expect("rules of our own");
    Mapping::compile(&config).expect("rules of our own")
}

fn main() -> ExitCode {
    // `cargo test --benches` also runs this, unoptimised. Then it only shows that it works.
    let testing = std::env::args().any(|arg| arg == "--test") || cfg!(debug_assertions);
    let rounds = std::env::var("PENSTOCK_BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let rounds: usize = if testing { 1 } else { rounds.unwrap_or(1_001) };

    let payloads: Vec<Vec<u8>> = (0..MESSAGES).map(|number| event(number).into_bytes()).collect();
    let messages: Vec<Message<'_>> = payloads
        .iter()
        .map(|payload| Message {
            topic: "t",
            partition: 0,
            offset: 1,
            timestamp_ms: Some(1_760_000_000_000),
            key: None,
            payload: Some(payload),
            headers: Vec::new(),
        })
        .collect();
    let mappings: Vec<Mapping> = RULES.iter().map(|(_, route, write)| mapping(route, write)).collect();
    let mut nanos: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); RULES.len()];
    for round in 0..rounds {
        let turn = round % (MESSAGES / TURN) * TURN;
        let messages = &messages[turn..turn + TURN];
        for (mapping, nanos) in mappings.iter().zip(&mut nanos) {
            let rules = mapping.topic("t").expect("the topic of the rules");
            let start = Instant::now();
            for message in messages {
                let mut output = Output::default();
                let verdict = rules.process(black_box(message), 0, &mut output);
                black_box((verdict.expect("events of our own"), output.rows.len()));
            }
            nanos.push(start.elapsed().as_nanos() as f64 / TURN as f64);
        }
    }

    println!("{MESSAGES} events decoded and mapped to 7 bins, medians of {rounds} interleaved rounds of {TURN}");
    let medians: Vec<f64> = nanos.iter_mut().map(|nanos| median(nanos)).collect();
    let base = medians[0];
    for ((name, _, _), median) in RULES.iter().zip(&medians) {
        let more = median - base;
        println!(
            "{name:<38} {median:>7.0} ns a message  {more:>+6.0} ns  {:>+5.0} %",
            100.0 * more / base
        );
    }
    let percent = 100.0 * (medians[2] - base) / base;
    println!("three comparisons add {percent:.0} % to a message (limit {LIMIT_PERCENT:.0} %)");
    if percent > LIMIT_PERCENT && !testing {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
