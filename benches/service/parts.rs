//! The parts alone, with the code of the service: reading without doing anything, decoding up to the plan of a batch, and
//! writing plans that are ready. Their CPU, with that of broker and database, says what rate is possible at most.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use penstock::aerospike::{Store, StoreOptions};
use penstock::config;
use penstock::config::model::Config;
use penstock::delivery::guard::{Guard, GuardIdentity, sequence};
use penstock::delivery::plan::Plan;
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Calls, Limits, WriteEnd, write};
use penstock::kafka::admin::newest::whole;
use penstock::kafka::admin::reading_rate::reading_rate;
use penstock::message::Message;
use penstock::observe::counters::Counters;
use penstock::output::Output;
use penstock::processor::Processor as _;
use penstock::rules::mapping::{Mapping, TopicMapping};
use penstock::util::stop::Stop;

use crate::common::cpu;
use crate::common::database::Database;
use crate::common::messages::Keyed;
use crate::common::workload::Maker;
use crate::program::{Place, spent_by, spent_by_broker};
use crate::whole::{Figures, Work};

/// As the worker of a partition fills a batch (`partition::batch`).
const BATCHES_IN_HAND: usize = 5;
const WEIGHT: usize = 4;
const FINISH_MAX: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A time of day for the rules.
const NOW_MS: i64 = 1_790_000_000_000;

/// Measures each part once. `messages`: how many are decoded and written. `lasts`: how long to read.
pub fn measure(
    place: &Place,
    work: &Work,
    messages: u64,
    lasts: Duration,
    figures: &mut Figures,
) -> Result<(), Box<dyn Error>> {
    let database = Database::start(place.hosts.as_deref())?;
    let group = format!("{}-parts", place.name);
    let text = place.configuration(&work.topic, &group, database.hosts())
        + &work
            .workload
            .rules(&format!("{group}-published"), &format!("{group}-dead"));
    let config = config::parse(&text, "parts.toml").map_err(|faults| faults.to_string())?;
    let mapping = Mapping::compile(&config).map_err(|faults| faults.to_string())?;
    let rules = mapping.topic(&work.topic).ok_or("no route takes the topic")?;
    let mut add = |name, figure| figures.entry(name).or_default().push(figure);

    let read = read(&config, &work.topic, lasts)?;
    add("consume_messages_per_s", read.rate);
    add("consume_cpu_us", read.cpu_us);
    add("consume_broker_cpu_us", read.other_cpu_us);

    let mut made: Vec<Vec<Keyed>> = Vec::new();
    made.resize_with(usize::try_from(work.partitions)?, Vec::new);
    for message in Maker::new(work.workload.messages_of(), work.partitions).messages(messages) {
        made[usize::try_from(message.partition)?].push(message);
    }
    let views: Vec<Vec<Message<'_>>> = made.iter().map(|messages| view(&work.topic, messages)).collect();
    let before = own_us();
    for messages in &views {
        plans(rules, messages, &config, drop);
    }
    let decode_us = (own_us() - before) / messages as f64;
    add("decode_cpu_us", decode_us);

    let written = write_all(&config, rules, &views, &database, messages)?;
    add("write_messages_per_s", written.rate);
    add("write_cpu_us", written.cpu_us);
    add("write_database_cpu_us", written.other_cpu_us);
    let sum = read.cpu_us + read.other_cpu_us + decode_us + written.cpu_us + written.other_cpu_us;
    add("parts_cpu_us", sum);
    Ok(())
}

/// One part.
struct Part {
    /// Messages per second.
    rate: f64,
    /// CPU per message: of this process, and of the other side.
    cpu_us: f64,
    other_cpu_us: f64,
}

fn own_us() -> f64 {
    cpu::spent_us(std::process::id()).unwrap_or(f64::NAN)
}

fn read(config: &Config, topic: &str, lasts: Duration) -> Result<Part, Box<dyn Error>> {
    let spans = whole(&config.kafka, topic)?;
    let (broker, own) = (spent_by_broker(), own_us());
    let topics = [(topic.to_owned(), spans)];
    let read = reading_rate(&config.kafka, &topics, lasts, u64::MAX, &Stop::new())?;
    let read = read.ok_or("too few messages to read")?;
    let broker_us = spent_by_broker().zip(broker).map(|(now, then)| now - then);
    // It reads the topic again and again, and does not say how often.
    let messages = (own_us() - own) / read.cpu_us_per_message;
    Ok(Part {
        rate: read.messages_per_s,
        cpu_us: read.cpu_us_per_message,
        other_cpu_us: broker_us.map_or(f64::NAN, |us| us / messages),
    })
}

fn view<'m>(topic: &'m str, messages: &'m [Keyed]) -> Vec<Message<'m>> {
    let views = messages.iter().zip(0..).map(|(message, offset)| Message {
        topic,
        partition: message.partition,
        offset,
        timestamp_ms: Some(NOW_MS),
        key: Some(message.key.as_bytes()),
        payload: message.payload.as_deref(),
        headers: Vec::new(),
    });
    views.collect()
}

/// Makes batches of a partition's messages, as its worker does.
fn plans<'m>(rules: &'m TopicMapping, messages: &'m [Message<'m>], config: &Config, mut take: impl FnMut(Plan<'m>)) {
    let rows_max = config.run.batch_rows_max;
    let bytes_max = WEIGHT * config.run.batch_bytes_max;
    let mut output = Output::default();
    let (mut plan, mut count) = (Plan::with_capacity(rows_max), 0);
    for message in messages {
        let is_full = plan.records() >= rows_max
            || plan.rows() >= BATCHES_IN_HAND * rows_max
            || plan.bytes() >= bytes_max
            || count == BATCHES_IN_HAND * rows_max;
        if is_full {
            take(std::mem::replace(&mut plan, Plan::with_capacity(rows_max)));
            count = 0;
        }
        output.begin(count);
        if rules.process(message, NOW_MS, &mut output).is_err() {
            output.take_back();
        }
        output.publications.clear();
        for row in output.rows.drain(..) {
            let sequence = sequence(message.offset, row.number).unwrap_or_default();
            plan.push(row, sequence);
        }
        count += 1;
    }
    take(plan);
}

/// Writes the plans of all partitions, a thread for each, as the service does.
fn write_all(
    config: &Config,
    rules: &TopicMapping,
    views: &[Vec<Message<'_>>],
    database: &Database,
    messages: u64,
) -> Result<Part, Box<dyn Error>> {
    let ready = views.iter().map(|messages| {
        let mut ready = Vec::new();
        plans(rules, messages, config, |plan| ready.push(plan));
        ready
    });
    let ready: Vec<Vec<Plan<'_>>> = ready.collect();
    let counters = Arc::new(Counters::new());
    let options = StoreOptions {
        write_timeout: config.run.write_timeout,
        workers: ready.len(),
        start_timeout: Some(CONNECT_TIMEOUT),
        namespaces: vec!["test".to_owned()],
        whole: true,
    };
    let stop = Stop::new();
    let store = Store::connect(&config.aerospike, &options, counters.clone(), &stop)?;
    let pressure = Pressure::new(config.run.rows_in_flight_max, None, counters);
    let limits = Limits {
        rows: config.run.batch_rows_max,
        bytes: WEIGHT * config.run.batch_bytes_max,
        finish_max: FINISH_MAX,
    };
    let calls = || Calls {
        writer: &store,
        pressure: &pressure,
        stop: &stop,
        meanwhile: &|| {},
    };
    let (before, database_before, began) = (own_us(), spent_by(database), Instant::now());
    let is_written = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (plans, partition) in ready.iter().zip(0..) {
            threads.push(scope.spawn(move || {
                let guard = Guard::new(&GuardIdentity {
                    group: "bench",
                    topic_id: [0; 16],
                    topic: "bench",
                    partition,
                    epoch: fastrand::u32(..),
                });
                plans.iter().all(|plan| {
                    let written = write(plan, &limits, &guard, &calls());
                    matches!(written.end, WriteEnd::Finished) && written.refused.is_empty()
                })
            }));
        }
        threads.into_iter().all(|thread| thread.join().unwrap_or(false))
    });
    let (took, spent) = (began.elapsed(), own_us() - before);
    if !is_written {
        return Err("writing alone: rows are refused".into());
    }
    let database_us = spent_by(database).zip(database_before);
    Ok(Part {
        rate: messages as f64 / took.as_secs_f64(),
        cpu_us: spent / messages as f64,
        other_cpu_us: database_us.map_or(f64::NAN, |(now, then)| (now - then) / messages as f64),
    })
}
