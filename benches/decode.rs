//! What decoding costs, against serde_json, in one run: `cargo bench --bench decode`.
//!
//! Realistic nested events of some 560 bytes, of several types, with 10 fields asked for. Each round runs every
//! contestant over the same messages, one after the other, so that a busy machine hits all alike; the figures
//! are medians of the rounds. Ends with exit code 1 if decode and the access to its fields cost more than
//! `LIMIT_PERCENT` of a `serde_json::Value` (whose fields are not even looked at).
//!
//! `PENSTOCK_BENCH_ROUNDS` changes the number of rounds.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use penstock::config::model::Segment;
use penstock::pipeline::decode::{PathTree, PathTreeBuilder, SlotId, decode};
use penstock::pipeline::value::Value;
use serde::de::IgnoredAny;

const LIMIT_PERCENT: f64 = 40.0;
const MESSAGES: usize = 4_000;

/// What is asked of each event; not every type has every field.
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
    // `cargo test --benches` runs this too, unoptimised: then it only shows that it works.
    let testing = std::env::args().any(|arg| arg == "--test") || cfg!(debug_assertions);
    let rounds = std::env::var("PENSTOCK_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds: usize = if testing { 1 } else { rounds.unwrap_or(101) };

    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|number| event(number).into_bytes()).collect();
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let (tree, slots) = tree(&PATHS);
    let mut builder = PathTreeBuilder::new();
    let whole_slot = [builder.slot(&[])];
    let whole_tree = builder.build();
    let (empty_tree, no_slots) = tree_of_nothing();

    type Contestant<'a> = (&'a str, Box<dyn Fn(&[u8]) -> u64 + 'a>);
    let contestants: [Contestant; 5] = [
        (
            "serde_json::Value",
            Box::new(|payload| {
                let value: serde_json::Value = serde_json::from_slice(payload).expect("valid JSON");
                u64::from(black_box(&value).is_object())
            }),
        ),
        (
            "serde_json IgnoredAny",
            Box::new(|payload| {
                let ignored: IgnoredAny = serde_json::from_slice(payload).expect("valid JSON");
                black_box(&ignored);
                1
            }),
        ),
        ("decode, 10 fields, and their access", Box::new(|payload| read(&tree, &slots, payload))),
        ("decode, nothing asked for", Box::new(|payload| read(&empty_tree, &no_slots, payload))),
        ("decode, the whole value asked for", Box::new(|payload| read(&whole_tree, &whole_slot, payload))),
    ];

    let mut nanos: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); contestants.len()];
    for _ in 0..rounds {
        for (contestant, nanos) in contestants.iter().zip(&mut nanos) {
            let start = Instant::now();
            let sum: u64 = messages.iter().map(|payload| (contestant.1)(black_box(payload))).sum();
            let elapsed = start.elapsed();
            black_box(sum);
            nanos.push(elapsed.as_nanos() as f64 / MESSAGES as f64);
        }
    }

    let mean_bytes = bytes as f64 / MESSAGES as f64;
    println!("{MESSAGES} events of {mean_bytes:.0} bytes on average, medians of {rounds} interleaved rounds");
    let medians: Vec<f64> = nanos.iter_mut().map(|nanos| median(nanos)).collect();
    for ((name, _), median) in contestants.iter().zip(&medians) {
        println!("{name:<38} {median:>7.0} ns a message  {:>6.0} MB/s", mean_bytes * 1000.0 / median);
    }
    let percent = 100.0 * medians[2] / medians[0];
    println!("decode plus field access: {percent:.0} % of serde_json::Value (limit {LIMIT_PERCENT:.0} %)");
    if percent > LIMIT_PERCENT && !testing {
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

/// Decodes a payload and looks at every field, as mapping does.
fn read(tree: &PathTree, slots: &[SlotId], payload: &[u8]) -> u64 {
    let fields = decode(tree, payload).expect("valid JSON");
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
    sum
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A cheap stream of numbers, the same in every run.
fn mixed(number: usize) -> u64 {
    let mut x = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 31;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 29)
}

/// One event: view, click, purchase or search, with what such events carry.
fn event(number: usize) -> String {
    let x = mixed(number);
    let country = ["DE", "FR", "US", "BR", "JP"][(x % 5) as usize];
    let os = ["android", "ios", "windows", "linux"][(x >> 8) as usize % 4];
    let (lat, lon) = ((x % 180_000) as f64 / 1000.0 - 90.0, (x % 360_000) as f64 / 1000.0 - 180.0);
    let ts = 1_760_000_000_000 + number as u64 * 7;
    let user = x % 1_000_000;
    let head = format!(
        r#"{{"id":"{x:016x}-{number:08x}","ts":{ts},"source":"web-{}","schema":3,"#,
        x % 32
    );
    let user = format!(
        r#""user":{{"id":"u{user:07}","name":"Anna Müller-{}","country":"{country}","premium":{},"tags":["a{}","beta"]}},"#,
        user % 97,
        x % 3 == 0,
        x % 9
    );
    let session = format!(
        r#""session":{{"id":"s-{:012x}","started":{},"page":{}}},"#,
        x >> 16,
        ts - 60_000,
        x % 40
    );
    let device = format!(
        r#""device":{{"os":"{os}","version":"{}.{}","screen":[1920,1080],"geo":{{"lat":{lat:.4},"lon":{lon:.4}}}}},"#,
        x % 15,
        x % 7
    );
    let body = match x % 4 {
        0 => format!(
            r#""type":"purchase","amount":{}.{:02},"currency":"EUR","items":[{{"sku":"sku-{:05}","qty":{},"price":{}.5}},{{"sku":"sku-{:05}","qty":1,"price":19.99}}],"#,
            x % 500,
            x % 100,
            x % 99_999,
            1 + x % 4,
            x % 80,
            (x >> 7) % 99_999
        ),
        1 => format!(
            r#""type":"view","url":"https://shop.example.com/catalog/{}/product-{}?ref=home&pos={}","referrer":null,"ms":{},"#,
            x % 60,
            x % 50_000,
            x % 12,
            x % 9_000
        ),
        2 => format!(
            r#""type":"click","target":{{"id":"btn-{}","text":"Add \"{}\" to cart","x":{},"y":{}}},"amount":0,"currency":"USD","#,
            x % 300,
            x % 77,
            x % 1920,
            x % 1080
        ),
        _ => format!(
            r#""type":"search","query":"red shoes size {}","results":{},"filters":{{"brand":["acme","zeta"],"price":{{"min":10,"max":{}}}}},"#,
            36 + x % 12,
            x % 2_000,
            50 + x % 400
        ),
    };
    let tail = format!(
        r#""flags":{{"test":false,"consent":true}},"trace":"{:032x}","ab":{{"checkout":"b","ranking":"v{}"}}}}"#,
        u128::from(x) << 40,
        x % 5
    );
    [head, body, user, session, device, tail].concat()
}
