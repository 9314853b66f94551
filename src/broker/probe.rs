//! What is asked of Kafka before the group is joined: is it there, does it let us in, how many partitions.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use log::warn;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::advertised::{self, Answers, Brokers, Unreached};
use super::connection_config;
use super::context::log_librdkafka;
use crate::config::model::Kafka;
use crate::ops::start_limit::StartLimit;
use crate::shutdown::Stop;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What Kafka said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    pub brokers: usize,
    /// Over all configured topics that exist.
    pub partitions: usize,
    /// Configured topics that are not there.
    pub absent: Vec<String>,
    /// Configured topics that were not there when this was first asked, and are now.
    pub appeared: Vec<String>,
    /// A broker that answers at its own address, and leads a partition if any is led.
    pub answering: Option<i32>,
    /// Brokers that lead partitions, and do not answer at the addresses that they give. Others do.
    pub unreached: Vec<Unreached>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// Authentication or authorisation is refused.
    Credentials(String),
    /// librdkafka refuses the settings.
    Configuration(String),
    /// Not reachable within `run.start_timeout`, or a topic did not appear.
    Unreachable(String),
    /// No leader of a partition was reachable within it at the address that the brokers give. With the cure.
    Advertised(String),
    Stopped,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Credentials(why) => {
                write!(
                    f,
                    "kafka refuses access: {why}; check [kafka.properties] and the user's rights"
                )
            }
            ProbeError::Configuration(why) => write!(f, "kafka client settings are refused: {why}"),
            ProbeError::Unreachable(why) => {
                write!(
                    f,
                    "kafka was not ready within run.start_timeout: {why}; check kafka.brokers and kafka.topics"
                )
            }
            ProbeError::Advertised(why) => write!(f, "kafka was not ready within run.start_timeout: {why}"),
            ProbeError::Stopped => f.write_str("stopped while connecting to kafka"),
        }
    }
}

impl std::error::Error for ProbeError {}

struct ProbeContext;

impl ClientContext for ProbeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_librdkafka(level, facility, message);
    }
}

impl ConsumerContext for ProbeContext {}

/// Waits until Kafka answers, at least one topic is there, and a leader of its partitions is reached at the address that it
/// gives; until the start may take no longer, or until told to stop. Joins no group.
///
/// With one leader that is reached the start goes on: the other brokers' partitions wait in Kafka, and lose nothing by it.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe(kafka: &Kafka, limit: &StartLimit, stop: &Stop) -> Result<ClusterView, ProbeError> {
    let consumer: BaseConsumer<ProbeContext> = connection_config(kafka)
        .create_with_context(ProbeContext)
        .map_err(|e| ProbeError::Configuration(e.to_string()))?;
    let started = Instant::now();
    let mut last_line: Option<Instant> = None;
    let mut absent = BTreeSet::new();
    let mut brokers = Brokers::default();
    loop {
        let failure = match ask(&consumer, kafka, limit, stop, &mut brokers, &mut absent) {
            Ok(view) => return Ok(view),
            Err(failure) => failure,
        };
        // Refused credentials come as an event, while the request itself just times out.
        while let Some(event) = consumer.poll(Duration::ZERO) {
            if let Err(KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code)) = event
                && code == RDKafkaErrorCode::Authentication
            {
                return Err(ProbeError::Credentials("authentication failed".into()));
            }
        }
        match failure {
            Failure::Refused(why) => return Err(ProbeError::Credentials(why)),
            Failure::NotYet(error) => {
                if limit.is_over() {
                    return Err(error);
                }
                let (ProbeError::Unreachable(why) | ProbeError::Advertised(why)) = &error else {
                    return Err(error);
                };
                if last_line.is_none_or(|at| at.elapsed() >= LINE_INTERVAL) {
                    warn!(
                        "kafka: waiting brokers={} waited={:.0?} reason=\"{why}\"",
                        kafka.brokers,
                        started.elapsed()
                    );
                    last_line = Some(Instant::now());
                }
            }
        }
        if stop.wait(Duration::from_millis(200)) {
            return Err(ProbeError::Stopped);
        }
    }
}

enum Failure {
    Refused(String),
    /// What it is if it stays so.
    NotYet(ProbeError),
}

impl Failure {
    fn not_yet(why: impl fmt::Display) -> Failure {
        Failure::NotYet(ProbeError::Unreachable(why.to_string()))
    }
}

/// `known`: the brokers as they were last told of, since those that are not reached at their own addresses may not be asked a
/// second time. `absent`: topics that were not there at any time, grown by those that are not there now.
fn ask(
    consumer: &BaseConsumer<ProbeContext>,
    kafka: &Kafka,
    limit: &StartLimit,
    stop: &Stop,
    known: &mut Brokers,
    absent: &mut BTreeSet<String>,
) -> Result<ClusterView, Failure> {
    let mut view = ClusterView {
        brokers: 0,
        partitions: 0,
        absent: Vec::new(),
        appeared: Vec::new(),
        answering: None,
        unreached: Vec::new(),
    };
    let mut brokers = Brokers::default();
    let topics: Vec<&str> = kafka.topics.iter().map(String::as_str).collect();
    for topic in &kafka.topics {
        let metadata = match consumer.fetch_metadata(Some(topic), limit.bound(REQUEST_TIMEOUT)) {
            Ok(metadata) => metadata,
            Err(error) => {
                let unreached = known.ask(consumer, &known.all(), &topics, limit, stop);
                return Err(none_reached(&unreached).unwrap_or_else(|| Failure::not_yet(error)));
            }
        };
        brokers.take(&metadata);
        known.take(&metadata);
        let Some(details) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Err(Failure::not_yet(format_args!(
                "topic {topic} is not in the brokers' answer"
            )));
        };
        match details.error().map(RDKafkaErrorCode::from) {
            None => {
                view.partitions += details.partitions().len();
                if absent.contains(topic) {
                    view.appeared.push(topic.clone());
                }
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                absent.insert(topic.clone());
                view.absent.push(topic.clone());
            }
            Some(code) => {
                let why = format!("topic {topic}: {code}");
                return Err(match code {
                    RDKafkaErrorCode::TopicAuthorizationFailed => Failure::Refused(why),
                    _ => Failure::not_yet(why),
                });
            }
        }
    }
    if view.absent.len() == kafka.topics.len() {
        return Err(Failure::not_yet(format_args!(
            "no such topic: {}",
            view.absent.join(", ")
        )));
    }
    view.brokers = brokers.len();
    let leaders = brokers.leaders();
    let answers = brokers.ask(consumer, &leaders, &topics, limit, stop);
    if let Some(failure) = none_reached(&answers) {
        return Err(failure);
    }
    view.answering = answers.answering.first().copied();
    view.unreached = answers.unreached;
    Ok(view)
}

fn none_reached(answers: &Answers) -> Option<Failure> {
    let is_none = answers.answering.is_empty() && !answers.unreached.is_empty();
    is_none.then(|| Failure::NotYet(ProbeError::Advertised(advertised::line(&answers.unreached))))
}
