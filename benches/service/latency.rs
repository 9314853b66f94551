//! Delivery latency: from the timestamp of a message until it is acknowledged, while a producer here sends so many
//! messages a second. One service takes all steps, one after another.
//!
//! The producer shares the machine. So the highest rate is measured with it, and the steps are shares of that rate.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::common::messages::{Keyed, create_topic};
use crate::common::workload::{Account, Maker, Workload};
use crate::program::{Place, Program};
use crate::whole::{MESSAGE_BYTES_MAX, account};

const PARTITIONS: i32 = 8;
/// Messages that are made before, and sent again and again.
const MADE: u64 = 20_000;
/// To find the highest rate, the producer is ahead by so many messages.
const LEAD: u64 = 50_000;
/// The percentages of the highest rate.
const LOADS: [u64; 3] = [10, 50, 90];
const SETTLE: Duration = Duration::from_secs(1);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    pub load: String,
    /// Messages a second: asked for, and delivered.
    pub asked: f64,
    pub delivered: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Runs all steps. `lasts`: how long one is measured. `slow`: how long messages come one a second.
pub fn measure(
    place: &Place,
    workload: Workload,
    lasts: Duration,
    slow: Duration,
) -> Result<Vec<Step>, Box<dyn Error>> {
    let name = format!("{}-live-{workload}", place.name);
    let [published, dead] = ["published", "dead"].map(|which| format!("{name}-{which}"));
    create_topic(&place.brokers, &name, PARTITIONS, MESSAGE_BYTES_MAX)?;
    create_topic(&place.brokers, &published, PARTITIONS, MESSAGE_BYTES_MAX)?;
    create_topic(&place.brokers, &dead, 1, MESSAGE_BYTES_MAX)?;
    let program = Program::start(place, &name, &name, &workload.rules(&published, &dead))?;
    let pace = Pace::default();
    let made: Vec<Keyed> = Maker::new(workload.messages_of(), PARTITIONS).messages(MADE).collect();
    let brokers = place.brokers.as_str();
    let (steps, sent) = thread::scope(|scope| {
        let producer = scope.spawn(|| produce(brokers, &name, &made, &pace).map_err(|error| error.to_string()));
        let steps = run_steps(&program, &pace, lasts, slow);
        pace.is_over.store(true, Relaxed);
        let sent = producer
            .join()
            .unwrap_or_else(|_| Err("the producer panicked".to_owned()));
        (steps, sent)
    });
    let (steps, sent) = (steps?, sent?);
    let (_, end) = program.wait(|now| now.done() >= sent)?;
    program.stop()?;
    let expected = expected(workload, sent);
    let found = account(&end);
    if found != expected {
        return Err(format!("{name}: the account is {found:?}, and must be {expected:?}").into());
    }
    Ok(steps)
}

/// The made messages, as often as they were sent.
fn expected(workload: Workload, sent: u64) -> Account {
    let mut sum = workload.account(0..sent % MADE);
    let lap = workload.account(0..MADE);
    (0..sent / MADE).for_each(|_| sum.add(lap));
    sum
}

fn run_steps(program: &Program, pace: &Pace, lasts: Duration, slow: Duration) -> Result<Vec<Step>, Box<dyn Error>> {
    // As fast as possible, behind a bound.
    pace.per_second.store(u64::MAX, Relaxed);
    keep(program, pace, SETTLE)?;
    let (began, before) = (Instant::now(), program.metrics()?.done());
    keep(program, pace, lasts)?;
    let highest = (program.metrics()?.done() - before) as f64 / began.elapsed().as_secs_f64();
    pace.per_second.store(0, Relaxed);
    let mut steps = Vec::new();
    for load in LOADS {
        let asked = (highest * load as f64 / 100.0).max(1.0);
        steps.push(step(program, pace, format!("{load} %"), asked, SETTLE, lasts)?);
    }
    steps.push(step(program, pace, "one a second".to_owned(), 1.0, 2 * SETTLE, slow)?);
    Ok(steps)
}

/// Lets the producer be ahead of the service by [`LEAD`] messages, for a while.
fn keep(program: &Program, pace: &Pace, lasts: Duration) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + lasts;
    while Instant::now() < until {
        pace.sent_max.store(program.metrics()?.done() + LEAD, Relaxed);
        thread::sleep(Duration::from_millis(10)); // the pace of observation
    }
    Ok(())
}

fn step(
    program: &Program,
    pace: &Pace,
    load: String,
    asked: f64,
    settle: Duration,
    lasts: Duration,
) -> Result<Step, Box<dyn Error>> {
    // What the step before has left.
    let sent = pace.sent.load(Relaxed);
    program.wait(|now| now.done() + LEAD / 50 >= sent)?;
    pace.sent_max.store(u64::MAX, Relaxed);
    pace.per_second.store(asked as u64, Relaxed);
    thread::sleep(settle);
    let (began, before) = (Instant::now(), program.metrics()?);
    thread::sleep(lasts);
    let (took, after) = (began.elapsed(), program.metrics()?);
    let latencies = |metrics: &crate::metrics::Metrics| metrics.histogram("delivery_latency_seconds");
    let histogram = latencies(&after).since(&latencies(&before));
    pace.per_second.store(0, Relaxed);
    Ok(Step {
        load,
        asked,
        delivered: (after.done() - before.done()) as f64 / took.as_secs_f64(),
        p50_ms: 1e3 * histogram.quantile(0.5),
        p99_ms: 1e3 * histogram.quantile(0.99),
    })
}

/// What the producer is told, and how far it is.
#[derive(Debug, Default)]
struct Pace {
    /// Messages a second. 0: none; the greatest number: as many as possible.
    per_second: AtomicU64,
    /// It stops after so many messages.
    sent_max: AtomicU64,
    sent: AtomicU64,
    is_over: AtomicBool,
}

/// Sends until it is told that it is over. Returns how many messages it has sent.
fn produce(brokers: &str, topic: &str, made: &[Keyed], pace: &Pace) -> Result<u64, Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        // Part of the latency that is measured: the timestamp is from before.
        .set("linger.ms", "1")
        .create()?;
    let (mut sent, mut owed, mut last) = (0_u64, 0.0, Instant::now());
    while !pace.is_over.load(Relaxed) {
        let per_second = pace.per_second.load(Relaxed);
        let now = Instant::now();
        owed = match per_second {
            0 => 0.0,
            u64::MAX => 1000.0,
            // Not more than a tenth of a second is made up for.
            rate => (owed + rate as f64 * (now - last).as_secs_f64()).min((rate as f64 / 10.0).max(1.0)),
        };
        last = now;
        let room = pace.sent_max.load(Relaxed).saturating_sub(sent);
        for _ in 0..room.min(owed as u64) {
            let message = &made[(sent % made.len() as u64) as usize];
            let mut record = BaseRecord::<str, [u8]>::to(topic)
                .key(&message.key)
                .partition(message.partition);
            record.payload = message.payload.as_deref();
            while let Err((error, back)) = producer.send(record) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                record = back;
                producer.poll(Duration::from_millis(1));
            }
            sent += 1;
            owed -= 1.0;
        }
        pace.sent.store(sent, Relaxed);
        producer.poll(Duration::from_millis(1));
    }
    producer.flush(FLUSH_TIMEOUT)?;
    Ok(sent)
}
