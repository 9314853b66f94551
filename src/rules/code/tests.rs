//! What processors declare about themselves, and what their code can reach.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::output::publication::Publication;
use crate::output::row::{RecordKey, Row, RowAction, RowRules, RowTtl, Target};

/// Declares what the test gives it.
struct Says {
    rows: usize,
    namespaces: Vec<&'static str>,
    produced: Vec<&'static str>,
    /// How often it was asked.
    asked: AtomicUsize,
    target: Arc<Target>,
}

impl Says {
    fn all_well() -> Says {
        Says {
            rows: 1,
            namespaces: vec!["test"],
            produced: vec!["out"],
            asked: AtomicUsize::new(0),
            target: Arc::new(Target::new("test", "users")),
        }
    }

    fn checked(self) -> Result<Checked, String> {
        let processor: Arc<dyn Processor> = Arc::new(self);
        let topics = ["in".to_owned(), "in2".to_owned()];
        Processors::same_for(&topics, &processor)
            .check(&topics)
            .map_err(|refused| refused.to_string())
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Processor for Says {
    /// Does what the message's key says.
    fn process<'m>(&'m self, message: &Message<'m>, _: i64, output: &mut Output<'m>) -> Result<Verdict, Rejection> {
        match message.key {
            Some(b"panic") => panic!("the payload is secret"),
            Some(b"reject") => return Err(Rejection::new(Reason::Processor("no_user"), "none")),
            // Rows that claim to belong to other messages, at other places.
            Some(b"elsewhere") => {
                output.begin(900);
                output.rows.push(Row {
                    message: 700,
                    number: 9,
                    rules: &RowRules::UPDATE,
                    target: &self.target,
                    key: RecordKey::Integer(1),
                    action: RowAction::Delete,
                    ttl: RowTtl::NamespaceDefault,
                    newer: None,
                });
                output.publications.push(Publication {
                    message: 800,
                    topic: "out",
                    key: None,
                    payload: None,
                    headers: Vec::new(),
                    timestamp_ms: None,
                });
            }
            Some(b"count") => {
                output.ttl_past_skipped += 3;
                output.condition_errors_ignored = u64::MAX;
            }
            Some(b"count and reject") => {
                output.ttl_past_skipped += 3;
                output.ttl_past_deleted += 3;
                output.condition_errors_ignored += 3;
                return Err(Rejection::new(Reason::Processor("no_user"), "none"));
            }
            Some(b"clear") => {
                output.rows.clear();
                output.publications.clear();
                output.take_back();
            }
            _ => {}
        }
        Ok(Verdict::Kept)
    }

    fn rows_per_message(&self) -> usize {
        // Answers differently each time.
        self.rows + self.asked.fetch_add(1, Relaxed)
    }

    fn namespaces(&self) -> Vec<String> {
        owned(&self.namespaces)
    }

    fn produced_topics(&self) -> Vec<String> {
        owned(&self.produced)
    }
}

fn message(key: &[u8]) -> Message<'_> {
    Message {
        topic: "in",
        partition: 0,
        offset: 5,
        timestamp_ms: None,
        key: Some(key),
        payload: None,
        headers: Vec::new(),
    }
}

#[test]
fn what_a_processor_says_of_itself_is_checked_at_the_start() {
    let says = Says::all_well;
    for (processor, said) in [
        (
            Says { rows: 0, ..says() },
            "rows_per_message() is 0: answer how many rows a plain message makes, from 1 to 65536",
        ),
        (Says { rows: 65_537, ..says() }, "rows_per_message() is 65537"),
        (
            Says {
                rows: usize::MAX - 1,
                ..says()
            },
            "rows_per_message() is 18446744073709551614",
        ),
        (
            Says {
                namespaces: vec![""],
                ..says()
            },
            "namespaces() names \"\": a namespace name is empty",
        ),
        (
            Says {
                namespaces: vec!["a;b"],
                ..says()
            },
            "`;` is not allowed in a namespace name",
        ),
        (
            Says {
                produced: vec!["in2"],
                ..says()
            },
            "produced_topics() names \"in2\", which is among kafka.topics",
        ),
        (
            Says {
                produced: vec!["^out.*"],
                ..says()
            },
            "a pattern of topics is not known",
        ),
        (
            Says {
                produced: vec![""],
                ..says()
            },
            "a topic name is empty",
        ),
    ] {
        let told = processor.checked().unwrap_err();
        assert!(
            told.starts_with("the processor in code: ") && told.contains(said),
            "{said:?}: {told:?}"
        );
        assert_eq!(told.matches(said).count(), 1, "told once for each topic: {told}");
    }
}

#[test]
fn each_topic_has_a_processor_and_each_processor_a_topic() {
    let of = |topics: &[&str]| {
        let processors: Processors = topics
            .iter()
            .map(|topic| ((*topic).to_owned(), Arc::new(Says::all_well()) as Arc<dyn Processor>))
            .collect();
        processors.check(&owned(&["a", "b"])).map(|_| ())
    };
    assert_eq!(of(&["a", "b"]), Ok(()));
    let told = of(&["a", "c"]).unwrap_err().to_string();
    assert!(told.contains("there is none for the topic b"), "{told}");
    assert!(
        told.contains("there is one for \"c\", which is not among kafka.topics"),
        "{told}"
    );
}

#[test]
fn an_answer_that_changes_later_changes_nothing() {
    let checked = Says::all_well().checked().unwrap();
    let processor = checked.topic("in").unwrap();
    let first = processor.rows_per_message();
    assert_eq!(processor.rows_per_message(), first);
    assert!(processor.is_guarded(), "guarded unless it promises otherwise");
}

#[test]
fn a_panic_rejects_its_message_and_the_next_one_is_judged() {
    let checked = Says::all_well().checked().unwrap();
    let processor = checked.topic("in").unwrap();
    let (mut output, mut scratch) = (Output::default(), Output::default());
    output.begin(0);
    let rejection = processor
        .process(&message(b"panic"), 0, &mut output, &mut scratch)
        .unwrap_err();
    assert_eq!(rejection.reason.as_str(), "processor_panic");
    assert!(!rejection.detail.contains("secret"), "{}", rejection.detail);
    assert_eq!(
        processor.process(&message(b""), 0, &mut output, &mut scratch),
        Ok(Verdict::Kept)
    );
}

#[test]
fn a_message_that_is_rejected_counts_nothing() {
    let checked = Says::all_well().checked().unwrap();
    let processor = checked.topic("in").unwrap();
    let (mut output, mut scratch) = (Output::default(), Output::default());
    let counted = |output: &Output<'_>| {
        [
            output.condition_errors_ignored,
            output.ttl_past_skipped,
            output.ttl_past_deleted,
        ]
    };
    for key in ["count and reject", "", "count and reject", ""] {
        output.begin(0);
        let _ = processor.process(&message(key.as_bytes()), 0, &mut output, &mut scratch);
        assert_eq!(counted(&output), [0, 0, 0], "{key}");
    }
    // A nonsensical count is capped, and so is the sum of such counts.
    for _ in 0..2 {
        output.begin(0);
        let _ = processor.process(&message(b"count"), 0, &mut output, &mut scratch);
    }
    assert_eq!(counted(&output), [2 << 16, 6, 0]);
}

#[test]
fn what_other_messages_of_the_batch_ask_for_is_out_of_reach() {
    let checked = Says::all_well().checked().unwrap();
    let processor = checked.topic("in").unwrap();
    let (mut output, mut scratch) = (Output::default(), Output::default());
    for (place, key) in [(0, "elsewhere"), (1, "clear"), (2, "reject"), (3, "elsewhere")] {
        output.begin(place);
        let _ = processor.process(&message(key.as_bytes()), 0, &mut output, &mut scratch);
    }
    let rows: Vec<(usize, u16)> = output.rows.iter().map(|row| (row.message, row.number)).collect();
    assert_eq!(rows, [(0, 0), (3, 0)]);
    let publications: Vec<usize> = output.publications.iter().map(|each| each.message).collect();
    assert_eq!(publications, [0, 3]);
}
