//! How often Rust code allocates for a message on its way through decode, conditions, mapping and plan, until it is
//! handed to the writer. The numbers are stated in `docs/architecture/decisions-memory-and-speed.md`.
//!
//! This program's allocator counts for each thread, so other tests do not disturb the count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use penstock::delivery::plan::{OutgoingAction, OutgoingRow};
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Answer, RowWriter, Stored};
use penstock::observe::counters::Counters;
use penstock::rules::mapping::TopicMapping;

use crate::counted::batch::{self, Worker, rules};
use crate::counted::events;

/// Allocations for a message that is filtered, and for one that is written: the list of its row's operations.
const FILTERED: u64 = 0;
const WRITTEN: u64 = 1;
/// More of them if the event stands in a string: its text, the five strings that are kept of it, and for a message that
/// is written the four that go into its row.
const FILTERED_IN_A_STRING: u64 = FILTERED + 1 + 5;
const WRITTEN_IN_A_STRING: u64 = WRITTEN + 1 + 5 + 4;
/// Allocations for a batch and its one call, whatever the number of messages: the plan (4), the slots of the fields,
/// the rows of a message, and what `write` keeps (lanes, unfinished lanes, the call, its rows).
const BATCH: u64 = 10;

/// The system's allocator, which counts.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on unchanged. Counting neither allocates nor unwinds: the counter needs no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// A writer that writes nothing and allocates nothing but its answers.
struct Accepts;

impl RowWriter for Accepts {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let before = ALLOCATIONS.get();
        let five = |row: &OutgoingRow<'_>| matches!(&row.action, OutgoingAction::Write(ops) if ops.len() == 5);
        assert!(rows.iter().all(five), "each row has five bins");
        let answers = vec![Answer::Code(0); rows.len()];
        ALLOCATIONS.set(before);
        answers
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        vec![None; rows.len()]
    }

    fn rows_max(&self) -> usize {
        usize::MAX
    }

    fn lacks_namespace(&self, _: &str) -> bool {
        false
    }
}

struct Counted {
    allocations: u64,
    filtered: u64,
    written: u64,
}

/// Takes these messages through one batch, as a worker does, and counts its allocations.
fn batch(topic: &TopicMapping, pressure: &Pressure, messages: &[&str]) -> Counted {
    let worker = Worker::new();
    let before = ALLOCATIONS.get();
    let done = worker.batch(topic, pressure, messages, &Accepts);
    Counted {
        allocations: ALLOCATIONS.get() - before,
        filtered: done.filtered,
        written: done.written,
    }
}

#[test]
fn a_filtered_message_allocates_nothing_and_a_written_one_the_stated_number() {
    let (rules, pressure) = (rules(""), Pressure::new(10_000, None, Arc::new(Counters::new())));
    let topic = rules.topic("t").unwrap();
    let events: Vec<String> = (0..4000).map(events::event).collect();
    let (filtered, written): (Vec<&str>, Vec<&str>) = events
        .iter()
        .map(String::as_str)
        .partition(|event| batch::is_filtered(event));
    let count = |messages: &[&str]| batch(topic, &pressure, messages);
    count(&events.iter().map(String::as_str).collect::<Vec<_>>()); // what is made once for a thread or process

    let (few, many) = (count(&filtered[..100]), count(&filtered[..600]));
    assert_eq!((many.filtered, many.written), (600, 0));
    assert_eq!(many.allocations - few.allocations, 500 * FILTERED);

    let (few, many) = (count(&written[..100]), count(&written[..600]));
    assert_eq!((many.filtered, many.written), (0, 600));
    assert_eq!(many.allocations - few.allocations, 500 * WRITTEN);

    let mixed = count(&events[..1000].iter().map(String::as_str).collect::<Vec<_>>());
    assert!((150..250).contains(&mixed.filtered), "one in five: {}", mixed.filtered);
    assert_eq!(
        mixed.allocations,
        BATCH + mixed.filtered * FILTERED + mixed.written * WRITTEN
    );
}

#[test]
fn an_event_in_a_string_costs_its_text_and_what_is_kept_of_it() {
    let rules = rules("root = { path = \"doc\", as = \"json\" }");
    let pressure = Pressure::new(10_000, None, Arc::new(Counters::new()));
    let topic = rules.topic("t").unwrap();
    let wrapped = |event: String| serde_json::json!({ "doc": event, "beside": "\u{1}" }).to_string();
    let events: Vec<String> = (0..4000).map(|number| wrapped(events::event(number))).collect();
    let is_filtered = |event: &&str| event.contains(r#"\"country\":\"BR\""#);
    let (filtered, written): (Vec<&str>, Vec<&str>) = events.iter().map(String::as_str).partition(is_filtered);
    let count = |messages: &[&str]| batch(topic, &pressure, messages);
    count(&events.iter().map(String::as_str).collect::<Vec<_>>()); // what is made once for a thread or process

    let (few, many) = (count(&filtered[..100]), count(&filtered[..600]));
    assert_eq!((many.filtered, many.written), (600, 0));
    assert_eq!(many.allocations - few.allocations, 500 * FILTERED_IN_A_STRING);

    let (few, many) = (count(&written[..100]), count(&written[..600]));
    assert_eq!((many.filtered, many.written), (0, 600));
    assert_eq!(many.allocations - few.allocations, 500 * WRITTEN_IN_A_STRING);
}
