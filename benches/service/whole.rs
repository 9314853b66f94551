//! One run of the whole service: it consumes a topic that is full, from its beginning to its end.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::common::cpu;
use crate::common::messages::create_topic;
use crate::common::report::Rounds;
use crate::common::workload::{Account, Workload};
use crate::metrics::Metrics;
use crate::program::{Place, Program};

/// Counting begins when caches are warm, and ends before the first partitions are at their ends: a partition with a
/// frequent key has more messages than the others.
const BEGIN_PERCENT: u64 = 10;
const END_PERCENT: u64 = 85;
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
const PARTITIONS: i32 = 8;
const TIMEOUT: Duration = Duration::from_secs(30);
const MIB: f64 = (1 << 20) as f64;

/// What is measured, by name: the same names in the JSON.
pub type Figures = BTreeMap<&'static str, Rounds>;

/// A full topic, and what is done with it.
#[derive(Debug, Clone)]
pub struct Work {
    pub workload: Workload,
    pub topic: String,
    pub partitions: i32,
    pub messages: u64,
    pub expected: Account,
}

/// Runs it once. `run` tells runs apart. Fails unless every message is accounted for.
pub fn measure(place: &Place, work: &Work, run: &str, figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    let name = format!("{}-{run}", place.name);
    let (published, dead) = (format!("{name}-published"), format!("{name}-dead"));
    if work.expected.published > 0 {
        create_topic(&place.brokers, &published, PARTITIONS, MESSAGE_BYTES_MAX)?;
    }
    if work.expected.dead_lettered > 0 {
        create_topic(&place.brokers, &dead, 1, MESSAGE_BYTES_MAX)?;
    }
    let rules = work.workload.rules(&published, &dead);
    let program = Program::start(place, &work.topic, &name, &rules)?;

    let consumed = |metrics: &Metrics| metrics.count("messages_consumed_total");
    let (began, first) = program.wait(|now| consumed(now) >= work.messages * BEGIN_PERCENT / 100)?;
    let spent = program.spent();
    let (ended, last) = program.wait(|now| consumed(now) >= work.messages * END_PERCENT / 100)?;
    let messages = (consumed(&last) - consumed(&first)) as f64;
    let [service, broker, database] = program.spent().since(spent, messages);
    let (_, end) = program.wait(|now| now.done() >= work.messages)?;
    let rss = cpu::peak_rss(program.process()).unwrap_or(f64::NAN);
    program.stop()?;

    let found = account(&end);
    if found != work.expected {
        return Err(format!("{name}: the account is {found:?}, and must be {:?}", work.expected).into());
    }
    for (topic, count) in [(&published, found.published), (&dead, found.dead_lettered)] {
        if count > 0 && stored(place, topic)? != count {
            return Err(format!("{topic} does not have {count} messages").into());
        }
    }
    let writes = end.histogram("batch_write_seconds");
    let bound = end.get("memory_bound_bytes");
    let mut add = |name, figure| figures.entry(name).or_default().push(figure);
    add("messages_per_s", messages / (ended - began).as_secs_f64());
    add("service_cpu_us", service);
    add("broker_cpu_us", broker);
    add("database_cpu_us", database);
    add("rss_mib", rss / MIB);
    add("bound_mib", bound / MIB);
    add("batch_rows", end.histogram("batch_rows").mean());
    add("write_p50_ms", 1e3 * writes.quantile(0.5));
    add("write_p99_ms", 1e3 * writes.quantile(0.99));
    add("write_p999_ms", 1e3 * writes.quantile(0.999));
    match rss <= bound {
        true => Ok(()),
        false => Err(format!("{name}: {:.0} MiB resident, above the bound", rss / MIB).into()),
    }
}

/// The account that the service gives.
pub fn account(metrics: &Metrics) -> Account {
    Account {
        consumed: metrics.count("messages_consumed_total"),
        written: metrics.count("messages_written_total"),
        filtered: metrics.count("messages_filtered_total"),
        dead_lettered: metrics.count("messages_dead_lettered_total"),
        published: metrics.count("messages_published_total"),
        rows: metrics.count("rows_written_total"),
    }
}

/// How many messages a topic has.
fn stored(place: &Place, topic: &str) -> Result<u64, Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &place.brokers).create()?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    let mut sum = 0;
    for partition in 0..i32::try_from(partitions)? {
        let (begin, end) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
        sum += end - begin;
    }
    Ok(u64::try_from(sum)?)
}
