//! What the service asks of Kafka and of the database for a number of messages, counted. A change that doubles the
//! requests costs speed, and no test of what is written would notice. No figure here is a time.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use penstock::aerospike::wire::frame::Frame;
use penstock::delivery::plan::OutgoingRow;
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Answer, RowWriter, Stored};
use penstock::observe::counters::Counters;
use penstock::util::exit::Exit;
use rdkafka::types::RDKafkaApiKey;

use crate::counted::batch::{self, Worker};
use crate::counted::events;
use crate::support::{Kafka, Sent, Service, Setup, simulator};

const PARTITIONS: i32 = 4;
const MESSAGES_PER_PARTITION: usize = 5_000;
const ROWS_MAX: usize = 200;
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);

/// Batch calls for 1,000 records. Full batches are five, which is what is usually seen. The first ones may be smaller.
const CALLS_PER_1000_RECORDS: f64 = 6.0;
/// Requests for messages, for 1,000 of them, of some 560 bytes. Usually 0.75: one request brings messages of all partitions.
const FETCHES_PER_1000_MESSAGES: f64 = 2.0;
/// Bytes of a row in a batch with others: a digest, the set, and five bins with their names. 148 with these events.
const BYTES_PER_ROW_MAX: usize = 150;

#[test]
fn requests_for_a_full_topic_stay_below_the_stated_numbers() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("counts", PARTITIONS);
    for partition in 0..PARTITIONS {
        let events: Vec<String> = (0..MESSAGES_PER_PARTITION)
            .map(|number| events::event(usize::try_from(partition).unwrap() * MESSAGES_PER_PARTITION + number))
            .collect();
        let messages: Vec<Sent<'_>> = events.iter().map(|event| crate::support::sent("k", event)).collect();
        topic.produce(partition, &messages);
    }
    let sim = simulator();
    // As a database on another machine: meanwhile the next batch arrives.
    sim.faults().delay(Duration::from_millis(5));
    let mut setup = Setup::new(&kafka, &topic, sim.addr())
        .run(&format!("batch_rows_max = {ROWS_MAX}"))
        .routes(
            "[[route]]\n[[route.write]]\nset = \"events\"\nkey = \"id\"\n\
             bins = { type = \"type\", ts = \"ts\", user = \"user.id\", os = \"device.os\", lat = \"device.geo.lat\" }",
        );
    setup.commit_interval = "200ms";
    let messages = u64::from(PARTITIONS.unsigned_abs()) * MESSAGES_PER_PARTITION as u64;
    let requests = |kind: RDKafkaApiKey| {
        let kinds = kafka.requests();
        kinds.iter().filter(|key| **key == kind as i16).count()
    };
    kafka.track_requests();
    let began = Instant::now();
    let service = Service::start(&setup);
    service.wait_written(messages);
    let fetches = requests(RDKafkaApiKey::Fetch);
    let ended = service.stop();
    let took = began.elapsed();
    ended.assert(Exit::Stopped);

    let stats = sim.stats();
    assert_eq!(stats.rows, messages, "each message is one row, sent once");
    let thousands = messages as f64 / 1_000.0;
    let calls = stats.batches as f64 / thousands;
    println!("calls to the database for 1,000 records: {calls:.2}");
    assert!(calls <= CALLS_PER_1000_RECORDS, "{stats:?}");
    assert_eq!(stats.writes, stats.rows, "a record is written alone: {stats:?}");

    let fetches = fetches as f64 / thousands;
    println!("fetches for 1,000 messages: {fetches:.2}");
    assert!(fetches <= FETCHES_PER_1000_MESSAGES, "{fetches}");

    // Each worker commits at most once in an interval, at the end once more, and once before it begins.
    let commits = requests(RDKafkaApiKey::OffsetCommit);
    let intervals = took.as_secs_f64() / COMMIT_INTERVAL.as_secs_f64();
    let limit = f64::from(PARTITIONS) * (intervals + 2.0);
    println!("commits in {took:?}: {commits}, at most {limit:.0}");
    assert!((commits as f64) <= limit, "{commits} commits in {took:?}");
    assert!(
        commits >= usize::try_from(PARTITIONS).unwrap(),
        "each partition is committed"
    );
}

/// Makes the request that the native writer sends, and keeps its size.
#[derive(Default)]
struct Sizes {
    rows: Mutex<usize>,
    bytes: Mutex<usize>,
}

impl RowWriter for Sizes {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let mut frame = Frame::default();
        frame.begin(Duration::from_secs(1));
        for (index, row) in (0..).zip(rows) {
            frame.row(index, row).unwrap();
        }
        *self.rows.lock().unwrap() += rows.len();
        *self.bytes.lock().unwrap() += frame.finish().len();
        vec![Answer::Code(0); rows.len()]
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

#[test]
fn a_row_takes_the_stated_bytes_on_the_wire() {
    let (rules, pressure) = (batch::rules(""), Pressure::new(10_000, None, Counters::new().into()));
    let events: Vec<String> = (0..1_000).map(events::event).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let sizes = Sizes::default();
    Worker::new().batch(rules.topic("t").unwrap(), &pressure, &events, &sizes);
    let (rows, bytes) = (*sizes.rows.lock().unwrap(), *sizes.bytes.lock().unwrap());
    println!("bytes on the wire for a row of five bins: {}", bytes / rows);
    assert!(bytes <= BYTES_PER_ROW_MAX * rows, "{bytes} bytes for {rows} rows");
}
