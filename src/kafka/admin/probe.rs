//! What is asked of Kafka before the group is joined: is it there, does it let us in, how many partitions.

use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, warn};
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::config::kafka::together::Security;
use crate::config::model::Kafka;
use crate::kafka::admin::advertised::{self, Answers, Brokers, Learned, Unreached};
use crate::kafka::connection_config;
use crate::kafka::diagnosis::{Complaint, Complaints, Diagnosis};
use crate::kafka::log::tell_error;
use crate::kafka::log::tell_line;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;
use crate::util::throttle::Throttle;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// What answers is no listener for this client, or refuses it.
    Listener(Complaint),
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

struct ProbeContext {
    complaints: Complaints,
    learned: Learned,
    /// What librdkafka said of a broker of another cluster.
    other_cluster: Mutex<Option<String>>,
}

impl ClientContext for ProbeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.hear(message);
        if advertised::is_other_cluster(message) {
            *self.other_cluster.lock() = Some(message.to_owned());
        }
        tell_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.hear(reason);
        tell_error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.learned.hear(statistics);
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
    let mut diagnosis = Diagnosis::new(kafka);
    let mut consumer = client(kafka, &diagnosis)?;
    let found = until_ready(&mut consumer, kafka, &mut diagnosis, limit, stop);
    leave_behind(consumer);
    found
}

fn until_ready(
    consumer: &mut BaseConsumer<ProbeContext>,
    kafka: &Kafka,
    diagnosis: &mut Diagnosis,
    limit: &StartLimit,
    stop: &Stop,
) -> Result<ClusterView, ProbeError> {
    let started = Instant::now();
    let mut lines = Throttle::default();
    let mut absent = BTreeSet::new();
    let mut advertised = None;
    loop {
        let found = ask(consumer, kafka, limit, stop, &mut absent);
        // Refused credentials come as an event, while the request itself just times out.
        let events = events(consumer);
        if let Some(line) = consumer.context().other_cluster.lock().take() {
            return Err(ProbeError::Listener(Complaint::other_cluster(&line)));
        }
        let failure = match found {
            Ok(view) => return Ok(view),
            Err(failure) => failure,
        };
        for event in events {
            if let Err(KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code)) = event
                && code == RDKafkaErrorCode::Authentication
            {
                return Err(diagnosis.refusal().map_or_else(
                    || ProbeError::Credentials("authentication failed".into()),
                    ProbeError::Listener,
                ));
            }
        }
        // A broker of the configuration has said where they all are, and nobody answers there.
        let security = Security::of(kafka.consumer_property("security.protocol"));
        let failure = match failure {
            ProbeFailure::NoAnswer(error) => {
                let learned = Brokers::learned(&consumer.context().learned, security);
                match learned.look_over(limit, stop).as_slice() {
                    [] => ProbeFailure::NoAnswer(error),
                    unreached => ProbeFailure::NotYet(ProbeError::Advertised(advertised::line(unreached))),
                }
            }
            failure => failure,
        };
        let complaint = match failure {
            ProbeFailure::NoAnswer(_) => diagnosis.look(limit.left().map(|left| Instant::now() + left), stop),
            ProbeFailure::Refused(_) | ProbeFailure::NotYet(_) => None,
        };
        let failure = match complaint {
            Some(complaint) if complaint.exit.is_some() => return Err(ProbeError::Listener(complaint)),
            Some(complaint) => ProbeFailure::not_yet(complaint),
            None => failure,
        };
        match failure {
            ProbeFailure::Refused(why) => return Err(ProbeError::Credentials(why)),
            ProbeFailure::NotYet(error) | ProbeFailure::NoAnswer(error) => {
                if limit.is_over() {
                    // The last attempt had little time.
                    return Err(advertised.map_or(error, ProbeError::Advertised));
                }
                let (ProbeError::Unreachable(why) | ProbeError::Advertised(why)) = &error else {
                    return Err(error);
                };
                let mut is_told = lines.is_due(Instant::now());
                if let ProbeError::Advertised(why) = &error {
                    // What was told before is not the reason.
                    is_told |= advertised.is_none();
                    advertised = Some(why.clone());
                    // This one may never ask the hosts of the configuration again.
                    leave_behind(std::mem::replace(consumer, client(kafka, diagnosis)?));
                }
                if is_told {
                    warn!(
                        "kafka: waiting brokers={} waited={:.0?} reason=\"{why}\"",
                        kafka.brokers,
                        started.elapsed()
                    );
                    lines.pass_anyway();
                }
            }
        }
        if stop.wait(Duration::from_millis(200)) {
            return Err(ProbeError::Stopped);
        }
    }
}

fn client(kafka: &Kafka, diagnosis: &Diagnosis) -> Result<BaseConsumer<ProbeContext>, ProbeError> {
    let context = ProbeContext {
        complaints: diagnosis.complaints(),
        learned: Learned::default(),
        other_cluster: Mutex::default(),
    };
    let mut config = connection_config(kafka);
    config.set("statistics.interval.ms", Learned::INTERVAL_MS);
    let client = config.create_with_context(context);
    client.map_err(|e| ProbeError::Configuration(e.to_string()))
}

/// What waits for the client: log lines and errors go to its callbacks on the way.
fn events(client: &BaseConsumer<ProbeContext>) -> Vec<KafkaResult<()>> {
    const LONG_ENOUGH: Duration = Duration::from_millis(64);
    let until = Instant::now() + LONG_ENOUGH;
    let mut events = Vec::new();
    // A line that is handed over takes no time.
    while Instant::now() < until {
        events.extend(client.poll(Duration::from_millis(1)).map(|event| event.map(drop)));
    }
    events
}

/// Its drop waits for its threads, and one of them may wait for a name server.
fn leave_behind(client: BaseConsumer<ProbeContext>) {
    let thread = thread::Builder::new().name("drop-probe".into());
    if let Err(error) = thread.spawn(move || drop(client)) {
        debug!("kafka: the client of the start is dropped in place error=\"{error}\"");
    }
}

enum ProbeFailure {
    Refused(String),
    /// What it is if it stays so.
    NotYet(ProbeError),
    /// Not from any broker.
    NoAnswer(ProbeError),
}

impl ProbeFailure {
    fn not_yet(why: impl fmt::Display) -> ProbeFailure {
        ProbeFailure::NotYet(ProbeError::Unreachable(why.to_string()))
    }
}

/// `absent`: topics that were not there at any time, grown by those that are not there now.
fn ask(
    consumer: &BaseConsumer<ProbeContext>,
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
    let mut brokers = Brokers::new(Security::of(kafka.consumer_property("security.protocol")));
    let topics: Vec<&str> = kafka.topics.iter().map(String::as_str).collect();
    for topic in &kafka.topics {
        let metadata = match consumer.fetch_metadata(Some(topic), limit.bound(REQUEST_TIMEOUT)) {
            Ok(metadata) => metadata,
            Err(error) => {
                // For a topic behind the first one: the brokers that were told of with that one.
                let answers = brokers.ask(consumer, &brokers.all(), &topics, limit, stop);
                let no_answer = || ProbeFailure::NoAnswer(ProbeError::Unreachable(error.to_string()));
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
    is_none.then(|| ProbeFailure::NotYet(ProbeError::Advertised(advertised::line(&answers.unreached))))
}
