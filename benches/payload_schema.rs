//! Measures the cost of `payload_schema`, in one run: `cargo bench --bench payload_schema`.
//!
//! The events are those of `benches/decode.rs`. They are decoded and mapped by rules that differ only in the schema of
//! their payloads. Each round runs every contestant over the same few messages, one after the other. The results are
//! medians of many rounds. The last line is the ratio of a message with the schema of all fields to one without.
//!
//! `PENSTOCK_BENCH_ROUNDS` changes the number of rounds.

// It prints its results, and panics only if its own rules or events are wrong.
#![allow(clippy::print_stdout, clippy::expect_used)]

mod events;

use std::hint::black_box;
use std::time::Instant;

use events::{event, median};
use penstock::config::{self, Outside};
use penstock::message::Message;
use penstock::output::Output;
use penstock::processor::Processor;
use penstock::rules::mapping::Mapping;
use serde_json::{Value, json};

const MESSAGES: usize = 4_000;
/// Messages per turn. A turn takes about a millisecond.
const TURN: usize = 200;

/// Name, and the lines of the route.
const RULES: [(&str, &str); 6] = [
    ("no schema", ""),
    ("no schema, 3 conditions", CONDITIONS),
    ("a schema that another route has", ""),
    ("a schema of 4 fields", "payload_schema = \"small\""),
    ("a schema of all fields", "payload_schema = \"whole\""),
    (
        "the same, with formats",
        "payload_schema = \"whole\"\npayload_schema_formats = \"check\"",
    ),
];
const WITHOUT: usize = 0;
const OF_ANOTHER_ROUTE: usize = 2;
const WHOLE: usize = 4;

const CONDITIONS: &str = "require = [\"type != 'heartbeat'\", \"schema >= 3\", \"user.country != 'XX'\"]";

/// Gives the schemas in place of files.
struct Schemas;

impl Outside for Schemas {
    fn env(&self, _: &str) -> Result<String, String> {
        Err("is not set".to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        match path {
            "small" => Ok(small().to_string()),
            _ => Ok(whole().to_string()),
        }
    }
}

fn small() -> Value {
    json!({
        "type": "object",
        "required": ["id", "type", "ts", "user"],
        "properties": {
            "id": {"type": "string", "minLength": 1},
            "type": {"enum": ["view", "click", "purchase", "search"]},
            "ts": {"type": "integer", "minimum": 0},
            "user": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
        },
    })
}

fn whole() -> Value {
    let text = json!({"type": "string", "minLength": 1, "maxLength": 200});
    json!({
        "$defs": {"text": text, "count": {"type": "integer", "minimum": 0}, "price": {"type": "number", "minimum": 0}},
        "type": "object",
        "required": ["id", "type", "ts", "source", "schema", "user", "session", "device", "flags", "trace"],
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9a-f]{16}-[0-9a-f]{8}$"},
            "type": {"enum": ["view", "click", "purchase", "search"]},
            "ts": {"$ref": "#/$defs/count"},
            "source": {"type": "string", "pattern": "^web-[0-9]+$"},
            "schema": {"const": 3},
            "user": {
                "type": "object",
                "required": ["id", "country"],
                "properties": {
                    "id": {"$ref": "#/$defs/text"},
                    "name": {"$ref": "#/$defs/text"},
                    "country": {"type": "string", "minLength": 2, "maxLength": 2},
                    "premium": {"type": "boolean"},
                    "tags": {"type": "array", "maxItems": 50, "items": {"$ref": "#/$defs/text"}},
                },
                "additionalProperties": false,
            },
            "session": {
                "type": "object",
                "properties": {
                    "id": {"$ref": "#/$defs/text"},
                    "started": {"$ref": "#/$defs/count"},
                    "page": {"$ref": "#/$defs/count"},
                },
                "additionalProperties": false,
            },
            "device": {
                "type": "object",
                "properties": {
                    "os": {"enum": ["android", "ios", "windows", "linux"]},
                    "version": {"$ref": "#/$defs/text"},
                    "screen": {"type": "array", "prefixItems": [{"$ref": "#/$defs/count"}, {"$ref": "#/$defs/count"}]},
                    "geo": {
                        "type": "object",
                        "properties": {
                            "lat": {"type": "number", "minimum": -90, "maximum": 90},
                            "lon": {"type": "number", "minimum": -180, "maximum": 180},
                        },
                    },
                },
            },
            "amount": {"$ref": "#/$defs/price"},
            "currency": {"type": "string", "minLength": 3, "maxLength": 3},
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["sku", "qty", "price"],
                    "properties": {
                        "sku": {"$ref": "#/$defs/text"},
                        "qty": {"$ref": "#/$defs/count"},
                        "price": {"$ref": "#/$defs/price"},
                    },
                },
            },
            "url": {"$ref": "#/$defs/text", "format": "uri"},
            "referrer": {"type": ["string", "null"]},
            "ms": {"$ref": "#/$defs/count"},
            "target": {"type": "object", "required": ["id"]},
            "query": {"$ref": "#/$defs/text"},
            "results": {"$ref": "#/$defs/count"},
            "filters": {"type": "object"},
            "flags": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "trace": {"type": "string", "minLength": 16, "maxLength": 16},
            "ab": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": false,
        "if": {"properties": {"type": {"const": "purchase"}}},
        "then": {"required": ["amount", "currency", "items"]},
    })
}

fn mapping(route: &str, other_route: &str) -> Mapping {
    let text = format!(
        "[kafka]\nbrokers = \"b:9092\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"h:3000\"\nnamespace = \"test\"\n\
         [[route]]\n{route}\n[[route.write]]\nset = \"s\"\nkey = \"user.id\"\n\
         bins = {{ type = \"type\", ts = \"ts\", country = \"user.country\", session = \"session.id\", \
         os = \"device.os\", lat = \"device.geo.lat\", id = \"id\" }}\n\
         [[route]]\nwhen = \"type == 'no such type'\"\n{other_route}\n[[route.write]]\nset = \"n\"\nkey = \"id\"\n\
         bins = [\"ts\"]\n"
    );
    let config = config::parse_with(&text, "bench.toml", &Schemas).expect("rules of our own");
    Mapping::compile(&config).expect("rules of our own")
}

fn main() {
    // `cargo test --benches` also runs this, unoptimised. Then it only shows that it works.
    let testing = std::env::args().any(|arg| arg == "--test") || cfg!(debug_assertions);
    let rounds = std::env::var("PENSTOCK_BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let rounds: usize = if testing { 1 } else { rounds.unwrap_or(1_001) };

    let payloads: Vec<Vec<u8>> = (0..MESSAGES).map(|number| event(number).into_bytes()).collect();
    let bytes: usize = payloads.iter().map(Vec::len).sum();
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
    let mappings: Vec<Mapping> = RULES
        .iter()
        .enumerate()
        .map(|(number, (_, route))| match number {
            OF_ANOTHER_ROUTE => mapping(route, RULES[WHOLE].1),
            _ => mapping(route, ""),
        })
        .collect();
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

    let mean_bytes = bytes as f64 / MESSAGES as f64;
    println!(
        "{MESSAGES} events of {mean_bytes:.0} bytes on average, decoded and mapped to 7 bins, medians of {rounds} \
         interleaved rounds of {TURN}"
    );
    let medians: Vec<f64> = nanos.iter_mut().map(|nanos| median(nanos)).collect();
    let base = medians[WITHOUT];
    for ((name, _), median) in RULES.iter().zip(&medians) {
        let more = median - base;
        println!(
            "{name:<38} {median:>7.0} ns a message  {more:>+6.0} ns  {:>5.2} x",
            median / base
        );
    }
    let ratio = medians[WHOLE] / base;
    println!("a message with a schema of all fields takes {ratio:.2} times the CPU of one without");
}
