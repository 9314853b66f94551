//! Whole configurations: what is written from samples of every kind passes `penstock check`, with each setting that is
//! off turned on as well, and takes the samples.

use std::collections::BTreeMap;

use clap::Parser;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answers::Asking;
use super::options::Init;
use super::sampling::Samples;
use super::shape::Shape;
use super::target::Target;
use super::trial::{Tried, tried};
use super::*;
use crate::cli::message::OwnedMessage;
use crate::config::{self, Outside};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    init: Init,
}

fn options(words: &[&str]) -> Init {
    Line::parse_from([&["init"], words].concat()).init
}

/// The environment and the files of references.
struct Everything;

impl Outside for Everything {
    fn env(&self, _: &str) -> Result<String, String> {
        Ok("x".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("x".to_owned())
    }
}

/// A message of the topic, and its number.
fn message(offset: usize, key: Option<Vec<u8>>, payload: Option<Vec<u8>>) -> OwnedMessage {
    OwnedMessage {
        topic: "events".to_owned(),
        partition: 0,
        offset: i64::try_from(offset).unwrap(),
        timestamp_ms: Some(1_767_225_600_000),
        key,
        payload,
        headers: Vec::new(),
    }
}

/// Keys, where there are some, and payloads.
fn samples(messages: &[(Option<Value>, Value)]) -> Samples {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone().into_bytes(),
        value => value.to_string().into_bytes(),
    };
    let messages = messages.iter().enumerate().map(|(offset, (key, payload))| {
        let payload = (!payload.is_null()).then(|| payload.to_string().into_bytes());
        message(offset, key.as_ref().map(text), payload)
    });
    of(messages.collect())
}

fn of(messages: Vec<OwnedMessage>) -> Samples {
    Samples {
        messages,
        origin: "of a test".to_owned(),
        left_out: Vec::new(),
        are_bare: false,
    }
}

/// What is written from these samples, and what it makes of them.
fn made(words: &[&str], samples: &Samples) -> (String, Tried) {
    let mut words = words.to_vec();
    if !words.contains(&"--topic") {
        words.extend(["--topic", "events"]);
    }
    let init = options(&words);
    let shape = Shape::of(samples, init.show_values);
    let mut asking = Asking::new(&init, None);
    for what in What::ALL {
        let set = proposal::set("events", Some(&shape));
        let default = match what {
            What::Brokers => "127.0.0.1:9092",
            What::Group => "penstock-events",
            What::Hosts => "127.0.0.1:3000",
            What::Namespace => "test",
            What::Set => &set,
            What::Reject => "dead_letter",
            What::DeadLetterTopic => "events.dead",
            What::Topic | What::Key => "",
        };
        asking.ask(what, Some(default)).unwrap();
    }
    let answers = asking.answers();
    let proposal = proposal::Proposal::of(&answers, Some(&shape), key::proposed(Some(&shape)));
    let text = text::text(
        &answers,
        &proposal,
        Some(samples),
        Some(&shape),
        &Target::of(None, false).unwrap(),
    );
    let config = config::parse_with(&text, "written", &Everything).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let tried = tried(&config, samples, &proposal.key, 1_767_225_600_000).unwrap_or_else(|_| panic!("{text}"));
    (text, tried)
}

/// The name of a setting that is off.
fn off(line: &str) -> Option<&str> {
    let setting = line.trim_start().strip_prefix('#')?;
    if setting.is_empty() || setting.starts_with([' ', '#']) {
        return None;
    }
    Some(setting.split([' ', '=']).next().unwrap_or(setting))
}

fn is_header(line: &str) -> bool {
    line.trim_start().trim_start_matches('#').starts_with('[')
}

/// The text with each setting turned on that is off: one by one, but tables and logins as a whole.
fn turned_on(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut all = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(name) = off(lines[at]) else {
            at += 1;
            continue;
        };
        let is_table = name.starts_with('[');
        let end = match name {
            _ if is_table => {
                let more = lines[at + 1..].iter().take_while(|line| {
                    line.trim_start().starts_with('#') && !is_header(line) && !line.trim().is_empty()
                });
                at + 1 + more.count()
            }
            "user" if off(lines.get(at + 1).unwrap_or(&"")) == Some("password") => at + 2,
            _ => at + 1,
        };
        let on = |line: &str| match off(line) {
            Some(_) => line.replacen('#', "", 1),
            None => line.to_owned(),
        };
        // Where another line of the table has the name, it is off now.
        let begin = lines[..at]
            .iter()
            .rposition(|line| is_header(line) && off(line).is_none())
            .unwrap_or(0);
        let stop = lines[at..]
            .iter()
            .position(|line| is_header(line))
            .map_or(lines.len(), |stop| at + stop);
        let changed: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| match number {
                _ if (at..end).contains(&number) => on(line),
                _ if !is_table
                    && (begin..stop).contains(&number)
                    && line.trim_start().starts_with(&format!("{name} =")) =>
                {
                    String::new()
                }
                _ => (*line).to_owned(),
            })
            .collect();
        all.push(changed.join("\n"));
        at = end;
    }
    all
}

/// # Panics
/// Unless each setting that is off is right when it is on.
fn assert_all_are_right(text: &str) {
    let all = turned_on(text);
    assert!(all.len() > 4, "{text}");
    for changed in all {
        if let Err(faults) = config::parse_with(&changed, "turned on", &Everything) {
            panic!("{faults}\n{changed}");
        }
    }
}

/// The messages of the fixtures of the examples, by example.
fn fixtures() -> BTreeMap<String, Samples> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = name.strip_suffix(".fixtures.json") else {
            continue;
        };
        let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let messages = cases.iter().map(|case| {
            let message = &case["message"];
            let key = message.get("key").filter(|key| !key.is_null()).cloned();
            (key, message.get("payload").cloned().unwrap_or_default())
        });
        all.insert(name.to_owned(), samples(&messages.collect::<Vec<_>>()));
    }
    all
}

#[test]
fn samples_of_every_example_make_a_configuration_that_takes_them() {
    let all = fixtures();
    assert!(all.len() > 6, "{:?}", all.keys());
    for (name, samples) in all {
        let (text, tried) = made(&[], &samples);
        assert_all_are_right(&text);
        assert!(tried.kept > 0, "{name}: {tried:?}\n{text}");
        assert_eq!(tried.rejected, 0, "{name}: {tried:?}\n{text}");
    }
}

fn events(count: usize) -> Vec<(Option<Value>, Value)> {
    let event = |at: usize| {
        let user = format!("u{}", at % 7);
        let payload = json!({
            "id": format!("00000000-0000-0000-0000-{at:012}"),
            "type": if at.is_multiple_of(2) { "visit" } else { "login" },
            "ts": "2026-01-01T10:00:00Z",
            "user": {"id": user, "country_of_residence": "de"},
            "tags": ["a"],
            "items": [{"sku": "s", "qty": at}],
            "weight": if at.is_multiple_of(2) { json!(1) } else { json!(1.5) },
            "version": at,
            "price": 1.5,
            "paid": true,
            "nothing": null,
            "expires_at": 1_767_225_600 + at,
        });
        (Some(json!(user)), payload)
    };
    (0..count).map(event).collect()
}

/// # Panics
/// Unless a line of the text begins with the first part and has the others.
fn assert_line(text: &str, parts: &[&str]) {
    let found = text.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with(parts[0]) && parts.iter().all(|part| line.contains(part))
    });
    assert!(found, "no line {parts:?} in:\n{text}");
}

#[test]
fn fields_types_and_a_key_are_proposed() {
    let (text, tried) = made(&[], &samples(&events(40)));
    for parts in [
        ["key = \"@key\""].as_slice(),
        &["# It always equals the field user.id."],
        &["#key = \"id\"", "# Always there, 40 different in 40 samples."],
        &["#when = \"msg.type == 'VALUE'\"", "2 different values"],
        &["type = \"type\""],
        &["ts = { path = \"ts\", as = \"epoch_ms\" }"],
        &["weight = { path = \"weight\", as = \"float\" }"],
        &["price = \"price\""],
        &["paid = \"paid\""],
        &["country_of_resi = \"user.country_of_residence\"", "# shortened"],
        &["#tags = \"tags\"", "array"],
        &["#user = \"user\"", "map"],
        &["#nothing = \"nothing\"", "always null"],
        &["#newer = { path = \"version\", bin = \"_version\" }"],
        &["#ttl = { path = \"expires_at\", as = \"epoch_s\" }"],
        &["#[[route.write]]"],
        &["#each = \"items\""],
        &["#   id ", "string of 36; UUID; all different"],
        &["#   items[].qty ", "integer"],
        &["# Kafka keys: in 40 of 40, 7 different."],
        &["#\"sasl.password\" = \"${file:"],
        &["#listen = "],
        &["#heartbeat_file = "],
    ] {
        assert_line(&text, parts);
    }
    // Records are told apart by their keys.
    assert_eq!((tried.kept, tried.records), (40, 7));
    assert_all_are_right(&text);
}

#[test]
fn a_key_says_how_sure_it_is_and_what_is_wrong_with_the_order() {
    let payload = |at: usize| json!({"order_id": at, "customer": {"id": at % 3}});
    let keyless: Vec<_> = (0..30).map(|at| (None, payload(at))).collect();
    let (text, tried) = made(&[], &samples(&keyless));
    assert_line(&text, &["key = \"order_id\""]);
    assert_line(&text, &["# Always there, 30 different in 30 samples."]);
    assert_line(&text, &["# WARNING: no sample has a Kafka key."]);
    assert_line(&text, &["#key = \"customer.id\"", "3 different in 30 samples"]);
    assert_line(&text, &["#order_id = \"order_id\"", "it is the record's key"]);
    assert_eq!(tried.rejected, 0);

    let some: Vec<_> = (0..30).map(|at| ((at > 3).then(|| json!("k")), payload(at))).collect();
    assert_line(
        &made(&[], &samples(&some)).0,
        &["# WARNING: 4 of 30 samples have no Kafka key"],
    );

    // In JSON's quotes, as many serializers write it.
    let quoted: Vec<_> = (0..30)
        .map(|at| (Some(json!(format!("\"{at}\""))), json!({"order_id": at.to_string()})))
        .collect();
    let (text, tried) = made(&[], &samples(&quoted));
    assert_line(&text, &["key = \"order_id\""]);
    assert_line(&text, &["# It is always order_id in JSON's quotes"]);
    assert_eq!(tried.rejected, 0);

    // A key that is JSON, with one field and with two.
    let one: Vec<_> = (0..3).map(|at| (Some(json!({"id": at})), payload(at))).collect();
    assert_line(
        &made(&[], &samples(&one)).0,
        &["key = { path = \"@key.id\", as = \"integer\" }"],
    );
    let two: Vec<_> = (0..3)
        .map(|at| (Some(json!({"a": at, "b": "x"})), payload(at)))
        .collect();
    assert_line(&made(&[], &samples(&two)).0, &["key = \"{@key.a}:{@key.b}\""]);

    // Bytes.
    let bytes = (0..3).map(|at| message(at, Some(vec![0xff]), Some(payload(at).to_string().into_bytes())));
    let (text, tried) = made(&[], &of(bytes.collect()));
    assert_line(&text, &["key = \"order_id\""]);
    assert_line(&text, &["# WARNING: the Kafka keys are bytes"]);
    assert_eq!(tried.rejected, 0);

    // Nothing that could be one.
    let (text, tried) = made(&[], &samples(&[(None, json!({"a": 1.5})), (None, json!({"a": 2.5}))]));
    assert_line(&text, &["key = \"{@topic}:{@partition}:{@offset}\""]);
    assert_eq!((tried.rejected, tried.records), (0, 2));
}

/// 60 orders, one message that is something else, and, if it is asked for, one that is no JSON.
fn orders_and_an_odd_one(key: impl Fn(usize) -> Option<Value>, has_text: bool) -> Samples {
    let order = |at: usize| {
        json!({
            "order_id": format!("o-{at:03}"),
            "customer": {"id": at % 5},
            "status": "paid",
            "zip": format!("{:05}", 7061 + at),
            "plz": format!("{}", 80331 + at),
            "pieces": format!("{at}"),
            "total": format!("{at}.50"),
            "updated_at": "2026-01-01T10:00:00Z",
        })
    };
    let mut messages: Vec<(Option<Value>, Value)> = (0..60).map(|at| (key(at), order(at))).collect();
    messages.insert(30, (key(60), json!({"status": "ping"})));
    let mut samples = samples(&messages);
    if has_text {
        let key = key(61).and_then(|key| key.as_str().map(|key| key.as_bytes().to_vec()));
        samples.messages.push(message(61, key, Some(b"hello".to_vec())));
    }
    samples
}

#[test]
fn one_odd_message_does_not_take_the_key_away() {
    for are_bare in [false, true] {
        let samples = Samples {
            are_bare,
            ..orders_and_an_odd_one(|_| None, true)
        };
        let (text, tried) = made(&[], &samples);
        assert_line(&text, &["key = \"order_id\""]);
        assert_line(&text, &["# In 60 of 61 (60 different); the others would be rejected."]);
        assert_line(&text, &["#order_id = \"order_id\"", "it is the record's key"]);
        assert_eq!((tried.kept, tried.rejected), (60, 2), "{text}");
        assert_all_are_right(&text);
    }
    // Null, empty, or something else: these are no keys, either.
    for odd in [
        json!({"order_id": null}),
        json!({"order_id": ""}),
        json!({"order_id": []}),
    ] {
        let messages = (0..20).map(|at| (None, json!({"order_id": format!("o{at}")})));
        let (text, tried) = made(&[], &samples(&messages.chain([(None, odd)]).collect::<Vec<_>>()));
        assert_line(&text, &["key = \"order_id\""]);
        assert_line(&text, &["# In 20 of 21 (20 different); the others would be rejected."]);
        assert_eq!((tried.kept, tried.rejected), (20, 1), "{text}");
    }
    // The name is less clear: it is offered.
    let code = |at: usize| {
        (
            None,
            if at == 7 {
                json!({"a": 1.5})
            } else {
                json!({"code": format!("c{at}"), "a": 1.5})
            },
        )
    };
    let (text, tried) = made(&[], &samples(&(0..40).map(code).collect::<Vec<_>>()));
    assert_line(&text, &["key = \"{@topic}:{@partition}:{@offset}\""]);
    assert_line(
        &text,
        &[
            "#key = \"code\"",
            "# In 39 of 40 (39 different); the others would be rejected.",
        ],
    );
    assert_line(&text, &["# WARNING: the message's place"]);
    assert_eq!(tried.rejected, 0);
    assert_all_are_right(&text);
}

#[test]
fn kafka_keys_that_nearly_always_equal_a_field_are_told() {
    let key = |at: usize| Some(json!(format!("o-{at:03}")));
    let (text, tried) = made(&[], &orders_and_an_odd_one(key, true));
    assert_line(&text, &["key = \"@key\""]);
    assert_line(&text, &["# It equals the field order_id in 60 of 62 samples;"]);
    assert_eq!((tried.kept, tried.rejected), (61, 1));
    // The odd ones have no key.
    let (text, tried) = made(&[], &orders_and_an_odd_one(|at| key(at).filter(|_| at < 60), true));
    assert_line(&text, &["key = \"order_id\""]);
    assert_line(&text, &["# It equals the Kafka key in 60 of 62 samples."]);
    assert_eq!(tried.rejected, 2);
    // And there is no field.
    let messages = |at: usize| ((at > 0).then(|| json!(format!("k{at}"))), json!({"a": 1.5}));
    let (text, tried) = made(&[], &samples(&(0..20).map(messages).collect::<Vec<_>>()));
    assert_line(&text, &["key = \"@key\""]);
    assert_line(
        &text,
        &["# Kafka keys: in 19 of 20 samples. A message without key is rejected."],
    );
    assert_eq!(tried.rejected, 1);
}

#[test]
fn comments_on_versions_and_numbers_are_true_and_do_no_harm() {
    let (text, _) = made(&[], &orders_and_an_odd_one(|_| None, false));
    assert_line(
        &text,
        &["#newer = { path = \"updated_at\", bin = \"_version\", as = \"epoch_ms\" }"],
    );
    assert_line(&text, &["#newer = { path = \"@timestamp\", bin = \"_version\" }"]);
    let unwrapped = text.replace("\n  # ", " ");
    assert!(unwrapped.contains("`updated_at` is in 60 of 61;"), "{text}");
    assert!(!unwrapped.contains("no version"), "{text}");
    // A zero in front would be lost, also where these samples have none.
    for name in ["zip", "plz"] {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{name} = ")))
            .unwrap();
        assert!(!line.contains("as ="), "{line}");
    }
    for told in [
        "integer in a string: as = \"integer\" makes a number of it: pieces = \"pieces\"",
        "decimal in a string: kept as it is, since a float would round it: total = \"total\"",
    ] {
        let one_line = unwrapped.replace("\n  ", " ");
        assert!(one_line.contains(told), "{told}\n{text}");
    }
    // Not the order's id.
    assert_line(&text, &["customer_id = \"customer.id\""]);
    let plain = [(None, json!({"id": 1, "name": "n"}))];
    assert!(
        made(&[], &samples(&plain))
            .0
            .replace("\n  # ", " ")
            .contains("no version was found in the samples")
    );
}

/// A name that cron, systemd and a shell's child all have, if somebody sets it.
#[test]
fn the_name_of_an_instance_is_a_variable_that_is_set() {
    let (text, _) = made(&[], &samples(&events(3)));
    assert_line(&text, &["#\"group.instance.id\" = \"${env:PENSTOCK_INSTANCE}\""]);
    assert_line(
        &text,
        &[
            "# ",
            "penstock-cron",
            "set PENSTOCK_INSTANCE. Elsewhere set it yourself.",
        ],
    );
    assert!(!text.contains("HOSTNAME"), "{text}");
}

#[test]
fn the_given_key_is_taken() {
    let (text, tried) = made(&["--key", "{user.id}:{type}"], &samples(&events(5)));
    assert_line(&text, &["key = \"{user.id}:{type}\""]);
    assert_eq!(tried.rejected, 0);
    let (text, _) = made(&["--key", "user.id", "--reject", "hold"], &samples(&events(5)));
    assert_line(&text, &["#user_id = \"user.id\"", "it is the record's key"]);
    assert_line(&text, &["action = \"hold\""]);
}

#[test]
fn a_message_without_payload_deletes_where_its_key_tells_the_record() {
    let mut keyed = events(5);
    keyed.push((Some(json!("u1")), Value::Null));
    let (text, tried) = made(&[], &samples(&keyed));
    assert_line(&text, &["tombstone = \"delete\""]);
    assert_eq!((tried.kept, tried.rejected), (6, 0));
    let (text, tried) = made(&["--key", "id"], &samples(&keyed));
    assert_line(&text, &["#tombstone = \"ignore\""]);
    assert_eq!(tried.reasons.keys().collect::<Vec<_>>(), [&"tombstone"]);
    assert_all_are_right(&text);
}

#[test]
fn changes_of_debezium_are_recognised_with_and_without_a_schema() {
    let change = |at: i64| {
        json!({"before": null, "after": {"id": at, "name": "n", "a_long_name_of_a_column": 1},
               "source": {"lsn": at + 100}, "op": "c", "ts_ms": 1})
    };
    let key = |at: i64| json!({"id": at});
    let with_schema = |value: Value| json!({"schema": {"type": "struct"}, "payload": value});
    for (root, schema) in [("", false), ("payload.", true)] {
        let mut messages: Vec<(Option<Value>, Value)> = (0..5)
            .map(|at| match schema {
                true => (Some(with_schema(key(at))), with_schema(change(at))),
                false => (Some(key(at)), change(at)),
            })
            .collect();
        messages.push((messages[0].0.clone(), Value::Null));
        let (text, tried) = made(&[], &samples(&messages));
        assert_eq!(text.contains("\nroot = \"payload\""), schema, "{text}");
        for parts in [
            format!("key = {{ path = \"@key.{root}id\", as = \"integer\" }}"),
            "bins = { path = \"after.*\", except = [\"id\"], rename = { a_long_name_of_a_column = \"a_long_name_of_\" }".to_owned(),
            "newer = { path = \"source.lsn\", bin = \"_lsn\" }".to_owned(),
            "when = \"op == 'd'\"".to_owned(),
            "tombstone = \"delete\"".to_owned(),
        ] {
            assert_line(&text, &[&parts]);
        }
        assert_eq!((tried.kept, tried.records, tried.rejected), (6, 5, 0), "{text}");
        assert_all_are_right(&text);
    }
    // MySQL has no position that only grows.
    let mut no_lsn = change(1);
    no_lsn["source"] = json!({"file": "binlog.1", "pos": 4});
    let (text, _) = made(&[], &samples(&[(Some(key(1)), no_lsn)]));
    assert!(!text.contains("newer ="), "{text}");
}

#[test]
fn what_is_no_json_is_told() {
    for (payload, looks) in [
        (b"\x1f\x8b\x08\x00".as_slice(), "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (
            b"\0\0\0\0\x01\x02\xff",
            "Avro or Protobuf behind the 5 bytes of a schema registry",
        ),
        (b"Obj\x01", "an Avro container file"),
        (b"hello", "text, not JSON"),
        (b"10:00 gr\xc3\xbc\xc3\x9fe\tstarted\n", "text, not JSON"),
        (b"", "an empty payload"),
        (b"\x01\x02\x03", "bytes of an unknown form"),
    ] {
        let messages = (0..3).map(|at| message(at, Some(b"k".to_vec()), Some(payload.to_vec())));
        let (text, tried) = made(&[], &of(messages.collect()));
        let unwrapped = text.replace("\n# ", " ");
        assert!(
            unwrapped.contains(&format!("WARNING: no JSON: 3 of 3. It looks like {looks}.")),
            "{text}"
        );
        assert_eq!((tried.kept, tried.rejected), (0, 3));
        assert!(
            text.starts_with("# WARNING: Penstock cannot use these messages."),
            "{text}"
        );
    }
    let messages = (0..3).map(|at| message(at, Some(b"k".to_vec()), Some(b"\0\0\0\0\x01{\"a\": 1}".to_vec())));
    let (text, tried) = made(&[], &of(messages.collect()));
    assert_line(&text, &["format = \"json_sr\""]);
    assert_line(&text, &["a = \"a\""]);
    assert_eq!((tried.kept, tried.rejected), (3, 0));
    let other = [(Some(json!("k")), json!([1])), (Some(json!("k")), json!(5))];
    let (text, _) = made(&[], &samples(&other));
    assert_line(&text, &["# Other JSON, of the type array: 1 of 2."]);
}

/// Passwords, addresses and the like are in messages. Types are shown, they are not.
#[test]
fn no_value_of_a_message_is_in_the_file() {
    let secret = |at: usize| format!("secret{at:04}");
    let message = |at: usize| {
        let names: serde_json::Map<String, Value> = (0..3)
            .map(|n| (format!("secret-name-{}", at * 3 + n), json!(1)))
            .collect();
        let payload = json!({
            "id": secret(at), "type": format!("secret-{}", at % 2), "number": 777_000 + at % 2,
            "nested": {"text": secret(at), "by_name": names}, "list": [secret(at)], "items": [{"x": secret(at)}],
        });
        (Some(json!(secret(at))), payload)
    };
    let messages: Vec<_> = (0..50).map(message).collect();
    let (text, _) = made(&[], &samples(&messages));
    assert!(!text.contains("secret") && !text.contains("777"), "{text}");
    assert!(text.contains("whose names differ from message to message"), "{text}");
    // The same, and the values of fields that have only a few.
    let (text, _) = made(&["--show-values"], &samples(&messages));
    assert_line(&text, &["#   type ", "values: \"secret-0\", \"secret-1\""]);
    assert_line(&text, &["#when = \"msg.type == 'secret-0'\""]);
    assert!(!text.contains("secret0001"), "{text}");
    assert_all_are_right(&text);
}

/// Also where each of them is there often.
#[test]
fn the_names_of_a_map_are_not_in_the_file() {
    let keyed = |payload: Value| (Some(json!("k")), payload);
    let map = |names: &[String]| -> Value {
        let names: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), json!({"seen": 1}))).collect();
        names.into()
    };
    let addresses = |at: usize| map(&[format!("user{}@example.com", at % 50)]);
    let persons = |at: usize| map(&[format!("person-{}", at % 50)]);
    let few = |at: usize| map(&[format!("person-{}", at % 8), "total".to_owned()]);
    let whole: Vec<_> = (0..200).map(persons).map(keyed).collect();
    let many = |of: &dyn Fn(usize) -> Value| -> Vec<_> {
        (0..200)
            .map(|at| keyed(json!({"id": at, "by_user": of(at), "list": [of(at)]})))
            .collect()
    };
    // The names alone say what they are.
    let three: Vec<_> = (0..3)
        .map(|at| keyed(json!({"id": at, "by_user": addresses(at)})))
        .collect();
    let four: Vec<_> = (0..4)
        .map(|at| keyed(json!({"id": at, "by_user": persons(at)})))
        .collect();
    for messages in [many(&addresses), many(&persons), many(&few), whole, three, four] {
        let (text, tried) = made(&[], &samples(&messages));
        assert!(!text.contains("@example") && !text.contains("person-"), "{text}");
        assert!(text.contains("# Fields left out: "), "{text}");
        assert_eq!(tried.rejected, 0);
    }
    // The key of the messages is such an object.
    let keys: Vec<_> = (0..200).map(|at| (Some(addresses(at)), json!({"id": at}))).collect();
    let (text, _) = made(&[], &samples(&keys));
    assert!(!text.contains("@example"), "{text}");
}

/// Which looks a little like a map.
#[test]
fn the_fields_of_a_record_of_several_types_are_in_the_file() {
    let message = |at: usize| {
        let kind = at % 10;
        let mut payload = json!({"id": at, "type": format!("type_{kind}"), "at": 1});
        for n in 0..5 {
            payload[format!("field_{kind}_{n}")] = json!(1);
        }
        (Some(json!("k")), payload)
    };
    let (text, _) = made(&[], &samples(&(0..200).map(message).collect::<Vec<_>>()));
    assert_line(&text, &["#   field_9_4 "]);
    assert!(!text.contains("as in a map"), "{text}");
}

#[test]
fn a_message_with_ten_thousand_names_makes_a_file_that_can_be_read() {
    let wide: serde_json::Map<String, Value> = (0..10_000).map(|at| (format!("field_{at}"), json!(at))).collect();
    let deep = (0..120).fold(json!(1), |inner, _| json!({ "a": inner }));
    let (text, tried) = made(
        &[],
        &samples(&[(Some(json!("k")), wide.into()), (Some(json!("k")), deep)]),
    );
    assert!(text.lines().count() < 600, "{} lines", text.lines().count());
    assert!(text.contains("Fields left out: 98"), "{text}");
    assert!(text.contains("more than 6 levels deep"), "{text}");
    assert_eq!(tried.rejected, 0);
    let on = text
        .lines()
        .filter(|line| line.trim_start().starts_with("field_"))
        .count();
    assert_eq!(on, 40);
}

#[test]
fn every_option_is_in_the_file() {
    let words = [
        "--topic",
        "t1",
        "--brokers",
        "k1:9093,k2",
        "--group",
        "g1",
        "--hosts",
        "a1:3100",
        "--namespace",
        "ns1",
        "--set",
        "s1",
        "--dead-letter-topic",
        "t1.bad",
        "--property",
        "security.protocol=SASL_SSL",
        "--property",
        "sasl.mechanism=PLAIN",
        "--property",
        "sasl.username=u",
        "--property",
        "sasl.password=${file:kafka.pw}",
    ];
    let init = options(&words);
    let mut asking = Asking::new(&init, None);
    asking.assert_options().unwrap();
    for what in What::ALL {
        asking.ask(what, Some("other")).unwrap();
    }
    let answers = Answers {
        dead_letter_topic: Some("t1.bad".to_owned()),
        key: None,
        ..asking.answers()
    };
    let proposal = proposal::Proposal::of(&answers, None, key::proposed(None));
    let text = text::text(&answers, &proposal, None, None, &Target::of(None, false).unwrap());
    for parts in [
        "brokers = \"k1:9093,k2\"",
        "topics = [\"t1\"]",
        "group = \"g1\"",
        "hosts = \"a1:3100\"",
        "namespace = \"ns1\"",
        "set = \"s1\"",
        "key = \"@key\"",
        "topic = \"t1.bad\"",
        "\"sasl.password\" = \"${file:kafka.pw}\"",
    ] {
        assert_line(&text, &[parts]);
    }
    assert_all_are_right(&text);
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn what_does_not_pass_is_not_written() {
    assert_eq!(
        trial::checked("[kafka]\n", &Target::StandardOutput).unwrap_err(),
        Exit::Panic
    );
}

/// A person at a terminal who answers some questions and takes the rest.
#[test]
fn a_person_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (file, lines) = (folder.path().join("a.toml"), folder.path().join("lines"));
    let text: String = events(10).iter().map(|(_, payload)| format!("{payload}\n")).collect();
    std::fs::write(&lines, text).unwrap();
    let init = options(&[file.to_str().unwrap(), "--from", lines.to_str().unwrap()]);
    let target = Target::of(init.file.as_deref(), false).unwrap();
    let typed = "\nevents\n\n\n\nusers\nuser.id\nhold\n";
    let (mut input, mut output) = (typed.as_bytes(), Vec::new());
    written(&init, &target, Some((&mut input, &mut output))).unwrap();
    let shown = String::from_utf8(output).unwrap();
    assert!(
        shown.contains("Key of a record (a field's path, or @key) [id]: "),
        "{shown}"
    );
    assert!(!shown.contains("Topic of the dead letters"), "{shown}");
    let text = std::fs::read_to_string(&file).unwrap();
    for line in [
        "topics = [\"events\"]",
        "set = \"users\"",
        "key = \"user.id\"",
        "action = \"hold\"",
    ] {
        assert_line(&text, &[line]);
    }
    // The answers end: nothing is written.
    let other = Target::of(Some(&folder.path().join("b.toml")), false).unwrap();
    let (mut input, mut output) = ("\nevents\n".as_bytes(), Vec::new());
    assert_eq!(
        written(&init, &other, Some((&mut input, &mut output))),
        Err(Exit::Usage)
    );
    assert!(!folder.path().join("b.toml").exists());
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}|id|user_id|type|ts|created_at|version|amount|path|value|key|set|expires_at",
        1 => "[ -~]{0,20}",
        1 => "\\PC{0,20}",
        1 => "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{202e}\\\\\"'{}\\[\\].#=@$*~]{0,16}",
        1 => "~[a-zA-Z0-9_-]{14}",
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (1_700_000_000_i64..1_800_000_000).prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[0-9]{1,20}|-?[0-9]{1,3}\\.[0-9]{2}|[0-9a-f]{16}|\\{\\}".prop_map(Value::from),
        Just(json!("2026-01-01T10:00:00Z")),
        Just(json!("visit")),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name(), inner), 0..5).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    vec((name(), value), 0..8).prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    /// Objects of one kind, so that fields are there always, and of any kinds.
    #[test]
    fn any_objects_make_a_configuration_that_takes_them(
        (kinds, picks) in (vec((option::of(name()), object()), 1..4), vec(0..100_usize, 1..12)),
        shows_values in any::<bool>(),
    ) {
        let messages: Vec<(Option<Value>, Value)> = picks
            .iter()
            .map(|pick| kinds[pick % kinds.len()].clone())
            .map(|(key, payload)| (key.map(Value::from), payload))
            .collect();
        let samples = samples(&messages);
        let words: &[&str] = if shows_values { &["--show-values"] } else { &[] };
        let (text, tried) = made(words, &samples);
        assert_all_are_right(&text);
        // One odd message of ten, and that is told.
        let odd = if text.contains("rejected") { messages.len() / 10 } else { 0 };
        prop_assert!(tried.rejected <= odd as u64, "{:?}\n{}", tried, text);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{:?}", text);
    }

    #[test]
    fn any_bytes_make_a_configuration(messages in vec((option::of(any::<Vec<u8>>()), option::of(any::<Vec<u8>>())), 0..6)) {
        let messages = messages.into_iter().enumerate().map(|(at, (key, payload))| message(at, key, payload));
        let (text, _) = made(&[], &of(messages.collect()));
        assert_all_are_right(&text);
    }
}
