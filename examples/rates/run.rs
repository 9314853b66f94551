//! A topic, its messages, and the service over them once.

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use penstock::config;
use penstock::ops::counters::Counters;
use penstock::ops::exit::Exit;
use penstock::shutdown::{Stop, StopKind};
use penstock::supervisor;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::cpu::{CpuShares, CpuTimes};
use crate::database::Database;

pub const PARTITIONS: i32 = 8;
const HOT_KEYS: u64 = 100;
const TIMEOUT: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(300);

/// What one run came to.
#[derive(Debug)]
pub struct Run {
    pub messages_per_second: f64,
    /// Of this process, a message.
    pub cpu_us: f64,
    /// Of who takes it.
    pub cpu_shares: CpuShares,
    pub counters: Arc<Counters>,
}

/// Runs the service over all messages of a topic that nobody else produces to. `rest`: the configuration behind the
/// address of Kafka and the group, and of the database.
pub fn run(
    brokers: &str,
    database: &Database,
    topic: &str,
    group: &str,
    messages: u64,
    rest: &str,
) -> Result<Run, Box<dyn Error>> {
    let text = format!(
        "[kafka]\nbrokers = \"{brokers}\"\ntopics = [\"{topic}\"]\ngroup = \"{group}\"\n[aerospike]\nhosts = \"{}\"\n\
         namespace = \"test\"\n{rest}\n",
        database.hosts()
    );
    let config = config::parse(&text, "rates.toml").map_err(|faults| faults.to_string())?;
    let stop = Stop::new();
    let counters = Arc::new(Counters::new());
    let service = {
        let (stop, counters) = (stop.clone(), counters.clone());
        thread::spawn(move || supervisor::run(&config, &stop, &counters))
    };
    let deadline = Instant::now() + DEADLINE;
    let wait_for = |count: u64, of: fn(&Counters) -> u64| {
        while of(&counters) < count {
            if service.is_finished() || Instant::now() > deadline {
                return Err(format!("{} of {count} messages: {}", of(&counters), counters.account()));
            }
            thread::sleep(Duration::from_millis(1)); // the pace of observation
        }
        Ok((
            Instant::now(),
            CpuTimes::now(database.process()),
            cpu_ticks(),
            of(&counters),
        ))
    };
    // What is taken at both ends, and not what is done: that comes in pieces, with the acknowledgements. Behind the start: a
    // producer is given its number by the broker, and caches are cold. Before the end: one partition's is later than others'.
    let (begin, times_begin, cpu_begin, first) = wait_for(messages / 10, consumed)?;
    let (end, times_end, cpu_end, last) = wait_for(messages / 20 * 19, consumed)?;
    wait_for(messages, done)?;
    stop.request(StopKind::Drain);
    let exit = service.join().map_err(|_| "the service panicked")?;
    if exit != Exit::Stopped {
        return Err(format!("the service ended with {exit:?}").into());
    }
    let taken = (last - first) as f64;
    Ok(Run {
        messages_per_second: taken / (end - begin).as_secs_f64(),
        cpu_us: (cpu_end - cpu_begin) as f64 * TICK_US / taken,
        cpu_shares: times_end.since(&times_begin, taken),
        counters,
    })
}

fn consumed(counters: &Counters) -> u64 {
    counters.messages_consumed.get()
}

/// Messages that are done with, whatever became of them.
fn done(counters: &Counters) -> u64 {
    counters.messages_written.get() + counters.messages_filtered.get() + counters.messages_dead_lettered.get()
}

/// Of `/proc/self/stat`: 100 ticks a second on every Linux of today.
const TICK_US: f64 = 10_000.0;

/// CPU time of this process, the fields `utime` and `stime` of proc(5).
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    behind_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

/// A topic whose messages may have so many bytes.
pub fn create_topic(
    brokers: &str,
    topic: &str,
    partitions: i32,
    message_bytes_max: usize,
) -> Result<(), Box<dyn Error>> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let bytes = message_bytes_max.to_string();
    let topics = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("max.message.bytes", &bytes)];
    for result in futures_executor::block_on(admin.create_topics(&topics, &AdminOptions::new()))? {
        result.map_err(|(topic, code)| format!("cannot create {topic}: {code}"))?;
    }
    Ok(())
}

/// One of so many.
pub fn hot(id: u64) -> u64 {
    id * 2_654_435_761 % HOT_KEYS
}

/// All partitions have as many messages, and a key's are in one.
fn partition(id: u64) -> i32 {
    i32::try_from(hot(id)).map_or(0, |hot| hot % PARTITIONS)
}

/// Letters and digits that hardly compress: the same for the same `seed`.
pub fn filler(seed: u64, length: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

/// A message of about 560 bytes; `id` is its own, `hot` one of 100.
pub fn payload(id: u64) -> String {
    let padding = filler(id, 440);
    format!(
        "{{\"id\":\"m{id}\",\"hot\":\"k{}\",\"a\":\"country\",\"b\":{id},\"c\":{}.5,\"d\":true,\"seen\":{id},\"padding\":\"{padding}\"}}",
        hot(id),
        id % 97
    )
}

/// Produces `messages` messages, as `make` has them from their number.
pub fn produce(
    brokers: &str,
    topic: &str,
    messages: u64,
    message_bytes_max: usize,
    make: impl Fn(u64) -> Option<Vec<u8>>,
) -> Result<(), Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.max.bytes", message_bytes_max.to_string())
        .create()?;
    for id in 0..messages {
        let payload = make(id);
        let key = hot(id).to_string();
        loop {
            let mut record = BaseRecord::<str, [u8]>::to(topic).key(&key).partition(partition(id));
            record.payload = payload.as_deref();
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}
