//! Rules in code: whatever a processor returns or does, the service keeps running and reports what is wrong.

use std::borrow::Cow;
use std::sync::Arc;

use crate::support::{Kafka, Records as _, Service, Setup, sent, simulator};
use penstock::message::{Message, Rejection};
use penstock::output::publication::Publication;
use penstock::output::row::{Number, Op, RecordKey, RowAction, RowRules, RowTtl, Target};
use penstock::output::value::Value;
use penstock::output::{Output, RowParts, Verdict};
use penstock::processor::Processor;
use penstock::rules::code::Processors;
use penstock::util::exit::Exit;

/// Does what the payload says, and describes itself as it was told.
struct Code {
    target: Arc<Target>,
    elsewhere: Arc<Target>,
    counts: RowRules,
    rows_per_message: usize,
    is_guarded: bool,
    namespaces: Vec<&'static str>,
    produced: Vec<String>,
}

impl Code {
    fn new() -> Code {
        Code {
            target: Arc::new(Target::new("test", "all")),
            elsewhere: Arc::new(Target::new("elsewhere", "all")),
            counts: RowRules::guarded(),
            rows_per_message: 1,
            is_guarded: true,
            namespaces: vec!["test"],
            produced: Vec::new(),
        }
    }

    fn for_topic(self, topic: &str) -> Option<Processors> {
        let processor: Arc<dyn Processor> = Arc::new(self);
        Some(Processors::same_for(&[topic.to_owned()], &processor))
    }
}

impl Processor for Code {
    fn process<'m>(&'m self, message: &Message<'m>, _: i64, output: &mut Output<'m>) -> Result<Verdict, Rejection> {
        let text = std::str::from_utf8(message.payload.unwrap_or_default()).unwrap();
        let (mut rules, mut target) = (&RowRules::UPDATE, &self.target);
        let mut ttl = RowTtl::NamespaceDefault;
        let (mut bin, mut value) = ("n", Value::Int(message.offset));
        let mut verdict = Verdict::Kept;
        let mut ops = Vec::new();
        match text {
            "panic" => panic!("as a test asks for"),
            "index" => value = Value::Int([1_i64][text.len()]),
            "namespace" => target = &self.elsewhere,
            "long bin" => bin = "a_name_of_over_15_bytes",
            "guard's bin" => bin = "~GovjZ0RuTKcRts",
            "nan" => value = Value::Float(f64::NAN),
            "deep" => value = (0..100_000).fold(Value::Null, |inner, _| Value::List(vec![inner])),
            "ttl" => ttl = RowTtl::Seconds(u32::MAX),
            "filtered" => verdict = Verdict::Filtered,
            "twice" => ops.push(Op::Add {
                bin: "count",
                by: Number::Int(1),
            }),
            "counted" => {
                rules = &self.counts;
                ops.push(Op::Add {
                    bin: "count",
                    by: Number::Int(1),
                });
            }
            "publish" => output.publish(Publication {
                message: 0,
                topic: "nobody.named.it",
                key: None,
                payload: None,
                headers: Vec::new(),
                timestamp_ms: None,
            }),
            "rows" => {
                for number in 0..100_000 {
                    let parts = RowParts {
                        target,
                        key: RecordKey::Integer(number),
                        action: RowAction::Delete,
                        ttl,
                        newer: None,
                    };
                    // It ignores the error.
                    let _ = output.write(rules, parts);
                }
            }
            _ => {}
        }
        if text != "no operations" {
            ops.push(Op::Put {
                bin: Cow::Borrowed(bin),
                value,
            });
        }
        let parts = RowParts {
            target,
            key: RecordKey::String(Cow::Owned(format!("{}", message.offset))),
            action: RowAction::Write(ops),
            ttl,
            newer: None,
        };
        let _ = output.write(rules, parts);
        Ok(verdict)
    }

    fn rows_per_message(&self) -> usize {
        self.rows_per_message
    }

    fn is_guarded(&self) -> bool {
        self.is_guarded
    }

    fn namespaces(&self) -> Vec<String> {
        self.namespaces.iter().map(|name| (*name).to_owned()).collect()
    }

    fn produced_topics(&self) -> Vec<String> {
        self.produced.clone()
    }
}

#[test]
fn what_code_asks_for_and_cannot_be_done_is_a_dead_letter_with_its_reason_and_the_others_are_written() {
    const CASES: [(&str, &str, &str); 14] = [
        ("panic", "processor_panic", "the processor panicked over it"),
        ("index", "processor_panic", "the processor panicked over it"),
        (
            "namespace",
            "processor_output",
            "row 0: its namespace is not among those that namespaces() names",
        ),
        (
            "long bin",
            "processor_output",
            "bin name is 23 bytes, Aerospike allows 15",
        ),
        ("guard's bin", "processor_output", "the name of a guard"),
        ("nan", "processor_output", "not finite"),
        (
            "deep",
            "processor_output",
            "more than 128 lists and maps inside one another",
        ),
        ("ttl", "processor_output", "a ttl of 4294967295 seconds"),
        ("filtered", "processor_output", "the verdict is Filtered"),
        (
            "twice",
            "processor_output",
            "Add of bin \"count\": its rules say repeatable",
        ),
        ("counted", "processor_output", "is_guarded() says false"),
        (
            "publish",
            "processor_output",
            "publication 0: the topic \"nobody.named.it\" is not among",
        ),
        ("rows", "too_many_rows", "65536 rows"),
        ("no operations", "processor_output", "row 0: it has no operations"),
    ];
    let kafka = Kafka::mock();
    let (topic, dead) = (kafka.topic("code", 1), kafka.topic("dead", 1));
    let sim = simulator();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.routes += &format!(
        "[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\npercent_max = 0\n",
        dead.name
    );
    let messages: Vec<_> = CASES
        .iter()
        .flat_map(|(payload, ..)| [sent("good", "good"), sent(payload, payload)])
        .collect();
    topic.produce(0, &messages);
    let code = Code {
        is_guarded: false,
        ..Code::new()
    };
    let service = Service::start_with(&setup, code.for_topic(&topic.name));
    topic.wait_committed(&setup.group, &topic.ends());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    let letters = dead.read(CASES.len());
    for ((payload, reason, detail), letter) in CASES.iter().zip(&letters) {
        assert_eq!(letter.text(), *payload);
        assert_eq!(letter.header("penstock.reason"), Some(*reason), "{payload}");
        let told = letter.header("penstock.detail").unwrap();
        assert!(told.contains(detail), "{payload}: {told}");
        assert_eq!(letter.header("penstock.rows_not_done"), Some("all"), "{payload}");
    }
    assert_eq!(sim.count("all"), CASES.len() as u64, "one for each good message");
    assert_eq!(ended.counters.messages_written.get(), CASES.len() as u64);
}

#[test]
fn what_code_says_of_itself_and_cannot_be_ends_the_start() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("code", 1);
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr());
    for code in [
        Code {
            rows_per_message: 0,
            ..Code::new()
        },
        Code {
            rows_per_message: usize::MAX,
            ..Code::new()
        },
        Code {
            produced: vec![topic.name.clone()],
            ..Code::new()
        },
        Code {
            produced: vec!["no such name".to_owned()],
            ..Code::new()
        },
        Code {
            namespaces: vec!["a:b"],
            ..Code::new()
        },
        // A valid name that the cluster does not have.
        Code {
            namespaces: vec!["elsewhere"],
            ..Code::new()
        },
    ] {
        let ended = Service::start_with(&setup, code.for_topic(&topic.name)).end();
        ended.assert(Exit::Configuration);
    }
    let ended = Service::start_with(&setup, Code::new().for_topic("another")).end();
    ended.assert(Exit::Configuration);
    assert_eq!(topic.committed(&setup.group), [None]);
}

/// A processor that does not say whether it uses guards is treated as if it did.
#[test]
fn code_that_says_nothing_of_guards_is_stopped_where_they_would_refuse_what_is_new() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("code", 1);
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr());
    topic.produce(0, &[sent("k", "counted")]);
    topic.commit(&setup.group, 0, 1000);
    let ended = Service::start_with(&setup, Code::new().for_topic(&topic.name)).end();
    ended.assert(Exit::Rejected);
    // It promises that nothing is guarded, so reading continues.
    let code = Code {
        is_guarded: false,
        ..Code::new()
    };
    let service = Service::start_with(&setup, code.for_topic(&topic.name));
    topic.wait_committed(&setup.group, &[Some(1)]);
    service.stop().assert(Exit::Stopped);
}
