//! Questions to Kafka before the group is joined: whether it is reachable, whether it accepts us, how many partitions.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use crate::config::kafka::together::Security;
use crate::config::model::Kafka;
use crate::kafka::admin::advertised::{self, Answers, Brokers, Learned, Unreached};
use crate::kafka::admin::asking::{Asking, Errors, is_refused_login};
use crate::kafka::client::{leave_behind, serve};
use crate::kafka::connection_config;
use crate::kafka::diagnosis::{Complaint, Diagnosis};
use crate::util::logging::pairs::Text;
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between a failed attempt and the next one.
const PAUSE: Duration = Duration::from_millis(200);

/// What Kafka answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    pub brokers: usize,
    /// Total number of partitions of all configured topics that exist.
    pub partitions: usize,
    /// Configured topics that do not exist.
    pub absent: Vec<String>,
    /// Configured topics that did not exist at the first question, and exist now.
    pub appeared: Vec<String>,
    /// A broker that answers at its own address. It leads a partition, if any broker does.
    pub answering: Option<i32>,
    /// Brokers that lead partitions and do not answer at the addresses that they announce. Other brokers do answer.
    pub unreached: Vec<Unreached>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// Authentication or authorisation failed.
    Credentials(String),
    /// librdkafka refuses the settings.
    Configuration(String),
    /// What answers is not a listener for this client, or refuses it.
    Listener(Complaint),
    /// Not reachable within `run.start_timeout`, or a topic did not appear.
    Unreachable(String),
    /// Within that time no leader of a partition was reachable at its announced address. With the cure.
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
            ProbeError::Listener(complaint) => write!(f, "kafka: {complaint}"),
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

/// Waits until Kafka answers, at least one topic exists, and a leader of its partitions is reachable at the address
/// that it announces. Ends earlier at the start's time limit or at a stop. Does not join the group.
///
/// One reachable leader is enough: the other brokers' partitions wait in Kafka and lose nothing.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe(kafka: &Kafka, limit: &StartLimit, stop: &Stop) -> Result<ClusterView, ProbeError> {
    let mut diagnosis = Diagnosis::new(kafka);
    let mut consumer = client(kafka, &diagnosis)?;
    let found = until_ready(&mut consumer, kafka, &mut diagnosis, limit, stop);
    leave_behind(consumer, "probe");
    found
}

fn until_ready(
    consumer: &mut BaseConsumer<Asking>,
    kafka: &Kafka,
    diagnosis: &mut Diagnosis,
    limit: &StartLimit,
    stop: &Stop,
) -> Result<ClusterView, ProbeError> {
    let mut absent = BTreeSet::new();
    // From the last attempt that had its full time.
    let mut advertised = None;
    let ready = Retry::new(stop, PAUSE).until(limit.deadline()).run(
        || {
            let why = match attempt(consumer, kafka, diagnosis, limit, stop, &mut absent) {
                Err(AttemptError::Passing(NotReady::Advertised(why))) if !limit.is_over() => why,
                ended => return ended,
            };
            // This client may never use the configured addresses again.
            leave_behind(std::mem::replace(consumer, client(kafka, diagnosis)?), "probe");
            let not_ready = NotReady::Advertised(why.clone());
            // The reason that was logged before is not the current one.
            Err(match advertised.replace(why) {
                None => AttemptError::News(not_ready),
                Some(_) => AttemptError::Passing(not_ready),
            })
        },
        |not_ready, waited, repeated| {
            warn!(
                "kafka: waiting brokers={} waited={waited} reason=\"{}\"{repeated}",
                Text(&kafka.brokers),
                not_ready.why(),
                waited = Seconds(waited)
            );
        },
    );
    ready.map_err(|ended| match (ended, advertised) {
        (RetryError::Stopped, _) => ProbeError::Stopped,
        (RetryError::Final(error), _) => error,
        (RetryError::TooLate(_), Some(why)) | (RetryError::TooLate(NotReady::Advertised(why)), None) => {
            ProbeError::Advertised(why)
        }
        (RetryError::TooLate(NotReady::Unreachable(why)), None) => ProbeError::Unreachable(why),
    })
}

fn attempt(
    consumer: &BaseConsumer<Asking>,
    kafka: &Kafka,
    diagnosis: &mut Diagnosis,
    limit: &StartLimit,
    stop: &Stop,
    absent: &mut BTreeSet<String>,
) -> Result<ClusterView, AttemptError<NotReady, ProbeError>> {
    let found = ask(consumer, kafka, limit, stop, absent);
    let events = serve(consumer);
    if let Some(complaint) = consumer.context().other_cluster() {
        return Err(ProbeError::Listener(complaint).into());
    }
    let failure = match found {
        Ok(view) => return Ok(view),
        Err(failure) => failure,
    };
    if events.iter().any(is_refused_login) {
        let refused = match diagnosis.refusal() {
            Some(complaint) => ProbeError::Listener(complaint),
            None => ProbeError::Credentials("authentication failed".into()),
        };
        return Err(refused.into());
    }
    let why = match failure {
        ProbeFailure::Refused(why) => return Err(ProbeError::Credentials(why).into()),
        ProbeFailure::NotYet(not_ready) => return Err(AttemptError::Passing(not_ready)),
        ProbeFailure::NoAnswer(why) => why,
    };
    // A configured broker has given the addresses of all brokers, and none answers there.
    let learned = Brokers::learned(consumer.context().learned(), security(kafka));
    let unreached = learned.look_over(limit, stop);
    if !unreached.is_empty() {
        return Err(AttemptError::Passing(NotReady::Advertised(advertised::line(
            &unreached,
        ))));
    }
    let complaint = diagnosis.look(limit.left().map(|left| Instant::now() + left), stop);
    match complaint {
        Some(complaint) if complaint.exit.is_some() => Err(ProbeError::Listener(complaint).into()),
        Some(complaint) => Err(AttemptError::Passing(NotReady::Unreachable(complaint.to_string()))),
        None => Err(AttemptError::Passing(NotReady::Unreachable(why))),
    }
}

fn client(kafka: &Kafka, diagnosis: &Diagnosis) -> Result<BaseConsumer<Asking>, ProbeError> {
    let mut config = connection_config(kafka);
    config.set("statistics.interval.ms", Learned::INTERVAL_MS);
    let client = config.create_with_context(Asking::new(diagnosis, Errors::Told));
    client.map_err(|e| ProbeError::Configuration(e.to_string()))
}

/// Why Kafka is not ready yet.
enum NotReady {
    /// It is not reachable, or none of the topics exists.
    Unreachable(String),
    /// No leader of a partition is reachable at the address that it announces.
    Advertised(String),
}

impl NotReady {
    fn why(&self) -> &str {
        match self {
            NotReady::Unreachable(why) | NotReady::Advertised(why) => why,
        }
    }
}

enum ProbeFailure {
    Refused(String),
    NotYet(NotReady),
    /// No broker answers.
    NoAnswer(String),
}

impl ProbeFailure {
    fn not_yet(why: impl fmt::Display) -> ProbeFailure {
        ProbeFailure::NotYet(NotReady::Unreachable(why.to_string()))
    }
}

/// `absent`: topics that were found absent at any time. This call adds those that are absent now.
fn ask(
    consumer: &BaseConsumer<Asking>,
    kafka: &Kafka,
    limit: &StartLimit,
    stop: &Stop,
    absent: &mut BTreeSet<String>,
) -> Result<ClusterView, ProbeFailure> {
    let mut view = ClusterView {
        brokers: 0,
        partitions: 0,
        absent: Vec::new(),
        appeared: Vec::new(),
        answering: None,
        unreached: Vec::new(),
    };
    let mut brokers = Brokers::new(security(kafka));
    let topics: Vec<&str> = kafka.topics.iter().map(String::as_str).collect();
    for topic in &kafka.topics {
        let metadata = match consumer.fetch_metadata(Some(topic), limit.bound(REQUEST_TIMEOUT)) {
            Ok(metadata) => metadata,
            Err(error) => {
                // This is not the first topic, so an earlier answer may have named the brokers.
                let answers = brokers.ask(consumer, &brokers.all(), &topics, limit, stop);
                let no_answer = || ProbeFailure::NoAnswer(error.to_string());
                return Err(none_reached(&answers).unwrap_or_else(no_answer));
            }
        };
        brokers.take(&metadata);
        let Some(details) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Err(ProbeFailure::not_yet(format_args!(
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
                    RDKafkaErrorCode::TopicAuthorizationFailed => ProbeFailure::Refused(why),
                    _ => ProbeFailure::not_yet(why),
                });
            }
        }
    }
    if view.absent.len() == kafka.topics.len() {
        return Err(ProbeFailure::not_yet(format_args!(
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

fn none_reached(answers: &Answers) -> Option<ProbeFailure> {
    let is_none = answers.answering.is_empty() && !answers.unreached.is_empty();
    is_none.then(|| ProbeFailure::NotYet(NotReady::Advertised(advertised::line(&answers.unreached))))
}

pub(super) fn security(kafka: &Kafka) -> Security {
    Security::of(kafka.consumer_property("security.protocol"))
}
