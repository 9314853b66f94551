//! What is asked of Kafka before the group is joined: is it there, does it let us in, how many partitions.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use log::warn;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::connection_config;
use super::context::log_librdkafka;
use super::diagnosis::{Complaint, Complaints, Diagnosis};
use super::log::tell_error;
use crate::config::model::Kafka;
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
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// Authentication or authorisation is refused.
    Credentials(String),
    /// librdkafka refuses the settings.
    Configuration(String),
    /// What answers is no listener for this client, or refuses it.
    Listener(Complaint),
    /// Not reachable within `run.start_timeout`, or a topic did not appear.
    Unreachable(String),
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
            ProbeError::Listener(complaint) => write!(f, "kafka: {complaint}"),
            ProbeError::Configuration(why) => write!(f, "kafka client settings are refused: {why}"),
            ProbeError::Unreachable(why) => {
                write!(
                    f,
                    "kafka was not ready within run.start_timeout: {why}; check kafka.brokers and kafka.topics"
                )
            }
            ProbeError::Stopped => f.write_str("stopped while connecting to kafka"),
        }
    }
}

impl std::error::Error for ProbeError {}

struct ProbeContext(Complaints);

impl ClientContext for ProbeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.hear(message);
        log_librdkafka(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.hear(reason);
        tell_error(&error, reason);
    }
}

impl ConsumerContext for ProbeContext {}

/// Waits until Kafka answers and at least one topic is there, until `start_timeout`, or until told to stop. Joins no group.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe(kafka: &Kafka, start_timeout: Option<Duration>, stop: &Stop) -> Result<ClusterView, ProbeError> {
    let mut diagnosis = Diagnosis::new(kafka);
    let consumer: BaseConsumer<ProbeContext> = connection_config(kafka)
        .create_with_context(ProbeContext(diagnosis.complaints()))
        .map_err(|e| ProbeError::Configuration(e.to_string()))?;
    let started = Instant::now();
    let mut last_line: Option<Instant> = None;
    let mut absent = BTreeSet::new();
    loop {
        let failure = match ask(&consumer, kafka, &mut absent) {
            Ok(view) => return Ok(view),
            Err(failure) => failure,
        };
        // Refused credentials come as an event, while the request itself just times out.
        while let Some(event) = consumer.poll(Duration::ZERO) {
            if let Err(KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code)) = event
                && code == RDKafkaErrorCode::Authentication
            {
                return Err(diagnosis.refusal().map_or_else(
                    || ProbeError::Credentials("authentication failed".into()),
                    ProbeError::Listener,
                ));
            }
        }
        let complaint = match failure {
            Failure::NoAnswer(_) => diagnosis.look(start_timeout.map(|limit| started + limit), stop),
            Failure::Refused(_) | Failure::NotYet(_) => None,
        };
        let failure = match complaint {
            Some(complaint) if complaint.exit.is_some() => return Err(ProbeError::Listener(complaint)),
            Some(complaint) => Failure::NotYet(complaint.to_string()),
            None => failure,
        };
        match failure {
            Failure::Refused(why) => return Err(ProbeError::Credentials(why)),
            Failure::NotYet(why) | Failure::NoAnswer(why) => {
                if start_timeout.is_some_and(|limit| started.elapsed() >= limit) {
                    return Err(ProbeError::Unreachable(why));
                }
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
    NotYet(String),
    /// Not from any broker.
    NoAnswer(String),
}

/// `absent`: topics that were not there at any time, grown by those that are not there now.
fn ask(
    consumer: &BaseConsumer<ProbeContext>,
    kafka: &Kafka,
    absent: &mut BTreeSet<String>,
) -> Result<ClusterView, Failure> {
    let mut view = ClusterView {
        brokers: 0,
        partitions: 0,
        absent: Vec::new(),
        appeared: Vec::new(),
    };
    for topic in &kafka.topics {
        let metadata = consumer
            .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
            .map_err(|e| Failure::NoAnswer(e.to_string()))?;
        view.brokers = view.brokers.max(metadata.brokers().len());
        let Some(details) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Err(Failure::NotYet(format!("topic {topic} is not in the brokers' answer")));
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
                    _ => Failure::NotYet(why),
                });
            }
        }
    }
    if view.absent.len() == kafka.topics.len() {
        return Err(Failure::NotYet(format!("no such topic: {}", view.absent.join(", "))));
    }
    Ok(view)
}
