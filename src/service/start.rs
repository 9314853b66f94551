//! The start: connects to everything that the service needs, and joins the group last.
//!
//! The steps in order: ask Kafka for the topics, divide the memory, connect to Aerospike, create the producer, join the
//! group. Each step waits for what it needs until `run.start_timeout` is over.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use log::{debug, info, warn};
use rdkafka::consumer::Consumer as _;

use crate::aerospike::{ConnectError, Store, StoreOptions};
use crate::config::model::{Config, RejectAction, Run, Start};
use crate::delivery::pressure::Pressure;
use crate::delivery::publish::Publisher;
use crate::delivery::reject_limit::Rejects;
use crate::kafka::admin::probe::{ClusterView, ProbeError, probe};
use crate::kafka::admin::topic_ids::{Looking, ReadError, TopicIds};
use crate::kafka::consumer::committed::{LookUpError, is_refusal, look_up};
use crate::kafka::consumer::latest::{LatestError, Present, begin_at_end};
use crate::kafka::consumer::source::SourceOptions;
use crate::kafka::letters::log::LetterLog;
use crate::kafka::producer::{Producer, ProducerError};
use crate::kafka::{Consumer, Context, Partition, consumer_config};
use crate::observe::counters::Counters;
use crate::observe::seen::Seen;
use crate::observe::snapshot::Board;
use crate::partition::hooks::Hooks;
use crate::partition::shared::{Group, Rejecting, Shared, Sizes, Times};
use crate::rules::code::Checked;
use crate::service::assignment::{Event, Workers};
use crate::service::beginning::Beginning;
use crate::service::readers::GroupReaders;
use crate::util::exit::Exit;
use crate::util::logging::pairs::Text;
use crate::util::memory::{self, MemoryPlan};
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

/// Room for one event of every worker that there could be.
const EVENTS_MAX: usize = 4096;

/// Why the service did not start, or could not go on.
#[derive(Debug)]
pub(super) struct StartFailure {
    pub exit: Exit,
    pub why: String,
}

impl StartFailure {
    fn new(exit: Exit, why: impl fmt::Display) -> Self {
        StartFailure {
            exit,
            why: why.to_string(),
        }
    }
}

/// The parts of a running service.
pub(super) struct Service {
    pub(super) consumer: Arc<Consumer>,
    pub(super) workers: Arc<Workers>,
    /// The options for the sources of partitions.
    pub(super) options: SourceOptions,
    /// The board for its snapshots.
    pub(super) board: Arc<Board>,
    pub(super) store: Arc<Store>,
    /// `None` if the service produces nothing.
    pub(super) producer: Option<Arc<Producer>>,
    pub(super) rejects: Arc<Rejects>,
    pub(super) pressure: Arc<Pressure>,
    pub(super) counters: Arc<Counters>,
    pub(super) events: Receiver<Event>,
    pub(super) topic_ids: Arc<TopicIds>,
    pub(super) looking: Looking,
    pub(super) beginning: Beginning,
    pub(super) hooks: Arc<dyn Hooks>,
}

/// Starts the service. `None`: it was told to stop before it had started. `first`: it is the first service of this
/// process.
pub(super) fn start(
    config: &Config,
    processors: &Checked,
    stop: &Stop,
    seen: &Seen,
    hooks: &Arc<dyn Hooks>,
    first: bool,
) -> Result<Option<Service>, StartFailure> {
    let counters = &seen.counters;
    let run = &config.run;
    let produced = produced_topics(config, processors)?;
    let waiting = |what: &str| {
        seen.board
            .starting(format!("Waiting for {what}. If that takes long, the log says why."));
    };
    let group = &config.kafka.group;
    waiting(&format!("Kafka at {}", config.kafka.brokers));

    let limit = StartLimit::new(run.start_timeout);
    let view = match probe(&config.kafka, &limit, stop) {
        Ok(view) => view,
        Err(ProbeError::Stopped) => return Ok(None),
        Err(error) => {
            let exit = match &error {
                ProbeError::Credentials(_) => Exit::Credentials,
                ProbeError::Configuration(_) => Exit::Configuration,
                ProbeError::Listener(complaint) => complaint.exit.unwrap_or(Exit::Unreachable),
                ProbeError::Unreachable(_) | ProbeError::Advertised(_) | ProbeError::Stopped => Exit::Unreachable,
            };
            return Err(StartFailure::new(exit, error));
        }
    };
    info!(
        "kafka: reached brokers={} topics={} partitions={}",
        view.brokers,
        config.kafka.topics.len() - view.absent.len(),
        view.partitions
    );
    for unreached in &view.unreached {
        warn!(
            "kafka: {unreached}; the partitions that it leads wait, the others are read; nothing is lost partitions={}",
            Text(&unreached.leads)
        );
    }

    let partitions = match run.partitions_max {
        0 => view.partitions,
        max => view.partitions.min(usize::try_from(max).unwrap_or(usize::MAX)),
    };
    let memory_bytes = if run.memory_is_written {
        run.memory_bytes
    } else {
        let limit = memory::limit_bytes();
        memory::default_bytes(run.memory_bytes, partitions, view.brokers, !produced.is_empty(), limit)
    };
    let memory = memory::plan(
        memory_bytes,
        run.batch_bytes_max as u64,
        partitions,
        view.brokers,
        !produced.is_empty(),
    )
    .map_err(|e| StartFailure::new(Exit::Configuration, e))?;
    info!("memory: {memory}");
    counters
        .memory_bound_bytes
        .set(i64::try_from(memory.bound_bytes).unwrap_or(i64::MAX));

    waiting(&format!("Aerospike at {}", config.aerospike.hosts));
    // The group is joined only when Aerospike has answered and accepted the credentials.
    let options = StoreOptions {
        write_timeout: run.write_timeout,
        workers: view.partitions,
        start_timeout: limit.left(),
        namespaces: processors.namespaces(),
        whole: true,
    };
    let store = match Store::connect(&config.aerospike, &options, counters.clone(), stop) {
        Ok(store) => Arc::new(store),
        Err(ConnectError::Stopped) => return Ok(None),
        Err(error) => {
            let exit = match &error {
                ConnectError::Credentials(_) => Exit::Credentials,
                ConnectError::NoNamespace { .. }
                | ConnectError::NotAerospike(_)
                | ConnectError::TlsFile(_)
                | ConnectError::Tls(_) => Exit::Configuration,
                ConnectError::Unreachable(_) | ConnectError::Stopped => Exit::Unreachable,
            };
            return Err(StartFailure::new(exit, error));
        }
    };

    waiting("Kafka to tell of the topics");
    let producer = producer(config, &memory, &produced, &limit, stop)?;
    let Some(topic_ids) = topic_ids(config, &view, &limit, stop)? else {
        return Ok(None);
    };
    waiting(&format!("the coordinator of the group {group}"));
    if first && config.kafka.start == Start::Latest && !begin_latest(config, &view, &topic_ids, &limit, stop)? {
        return Ok(None);
    }
    let looking = TopicIds::look_on(topic_ids.clone())
        .map_err(|e| StartFailure::new(Exit::Restart, format!("cannot start a thread error=\"{e}\"")))?;
    let pressure = Arc::new(Pressure::new(
        run.rows_in_flight_max,
        run.rows_per_second_max,
        counters.clone(),
    ));
    let rejects = Arc::new(Rejects::new(&config.reject));
    let dead_letters = match &config.reject.action {
        RejectAction::DeadLetter { topic, .. } => Some(topic.as_str()),
        RejectAction::Hold | RejectAction::Stop | RejectAction::Drop => None,
    };
    let letters = Arc::new(LetterLog::new(&config.kafka, &topic_ids, dead_letters));
    if let Some(producer) = &producer {
        producer.tell_stored(letters.clone());
    }
    let shared = Arc::new(Shared {
        group: Group {
            name: config.kafka.group.clone(),
            guard_epoch: run.guard_epoch,
        },
        processors: processors.clone(),
        writer: store.clone(),
        pressure: pressure.clone(),
        publisher: producer.clone().map(|producer| producer as Arc<dyn Publisher>),
        rejecting: Rejecting {
            action: config.reject.action.clone(),
            counts: rejects.clone(),
        },
        letters,
        sizes: Sizes::new(run.batch_rows_max, memory),
        times: Times {
            commit_interval: run.commit_interval,
            commit_max: run.shutdown_grace * 3 / 4,
            finish_max: finish_max(run),
        },
        offset_gone: config.kafka.offset_gone,
        counters: counters.clone(),
        hooks: hooks.clone(),
    });
    let options = SourceOptions {
        topic_ids: topic_ids.clone(),
        kafka: config.kafka.clone(),
    };
    let (sender, events) = bounded(EVENTS_MAX);
    let board = &seen.board;
    let workers = Arc::new(Workers::new(shared, sender, board.clone(), run.shutdown_grace));
    let readers = GroupReaders {
        workers: workers.clone(),
        options: options.clone(),
    };
    let context = Context::new(Arc::new(readers), counters.clone(), stop.clone());
    let settings = consumer_config(&config.kafka, &memory);
    context.set_login(&settings, &config.kafka);
    let consumer: Consumer = settings
        .create_with_context(context)
        .map_err(|e| StartFailure::new(Exit::Configuration, format!("kafka client settings are refused: {e}")))?;
    let consumer = Arc::new(consumer);
    consumer.context().set_consumer(&consumer);
    if !reach_coordinator(config, &view, &consumer, &limit, stop)? {
        return Ok(None);
    }
    consumer.context().set_start_limit(limit.rest());
    let beginning = Beginning::new(&limit, Instant::now());
    let topics: Vec<&str> = config.kafka.topics.iter().map(String::as_str).collect();
    consumer
        .subscribe(&topics)
        .map_err(|e| StartFailure::new(Exit::Configuration, format!("kafka: cannot subscribe: {e}")))?;
    // Which of several processes this is.
    let member = config.kafka.consumer_property("group.instance.id");
    info!(
        "kafka: joining group={} topics={}{}",
        Text(&config.kafka.group),
        config.kafka.topics.join(","),
        member.map_or_else(String::new, |id| format!(" member={}", Text(id)))
    );
    Ok(Some(Service {
        consumer,
        workers,
        options,
        board: board.clone(),
        store,
        producer,
        rejects,
        pressure,
        counters: counters.clone(),
        events,
        topic_ids,
        looking,
        beginning,
        hooks: hooks.clone(),
    }))
}

/// Asks the coordinator for an offset of the group before the service joins it. Without this, a coordinator that cannot
/// be reached would delay the join and the assignment, and nothing would be logged. `false`: told to stop.
fn reach_coordinator(
    config: &Config,
    view: &ClusterView,
    consumer: &Consumer,
    limit: &StartLimit,
    stop: &Stop,
) -> Result<bool, StartFailure> {
    let Some(topic) = config.kafka.topics.iter().find(|topic| !view.absent.contains(topic)) else {
        return Ok(true);
    };
    let partition = Partition {
        topic: topic.as_str().into(),
        number: 0,
    };
    match look_up(consumer, &[partition], limit, stop) {
        Ok(committed) => Ok(committed.is_some()),
        Err(LookUpError::Refused(error)) => Err(StartFailure::new(
            Exit::Credentials,
            format!(
                "kafka: access is refused error=\"{error}\" cure=\"grant the user READ on the topics and the group\""
            ),
        )),
        Err(LookUpError::TooLate(why)) => Err(if limit.is_over() {
            too_late(&format!("the group's coordinator gives no offsets: {why}"))
        } else {
            StartFailure::new(
                Exit::Restart,
                format!("kafka: the group's coordinator gives no offsets: {why}"),
            )
        }),
    }
}

pub(super) fn too_late(why: &str) -> StartFailure {
    StartFailure::new(
        Exit::Unreachable,
        format!("kafka was not ready within run.start_timeout: {why}"),
    )
}

/// The topics that the service produces to: those of the processors, and the one for dead letters. It must not consume
/// any of them.
fn produced_topics(config: &Config, processors: &Checked) -> Result<Vec<String>, StartFailure> {
    let mut topics = processors.produced_topics();
    if let RejectAction::DeadLetter { topic, .. } = &config.reject.action
        && !topics.contains(topic)
    {
        topics.push(topic.clone());
    }
    match topics.iter().find(|topic| config.kafka.topics.contains(topic)) {
        None => Ok(topics),
        Some(topic) => Err(StartFailure::new(
            Exit::Configuration,
            format!(
                "the topic {topic} is produced to and among kafka.topics: what is produced would be read again, without end"
            ),
        )),
    }
}

/// Creates the producer if the service produces anything. Logs each topic that it cannot produce to now.
fn producer(
    config: &Config,
    memory: &MemoryPlan,
    produced: &[String],
    limit: &StartLimit,
    stop: &Stop,
) -> Result<Option<Arc<Producer>>, StartFailure> {
    if produced.is_empty() {
        return Ok(None);
    }
    let producer = Producer::new(&config.kafka, memory).map_err(|error| {
        let exit = match &error {
            ProducerError::Configuration(_) => Exit::Configuration,
            ProducerError::Thread(_) => Exit::Restart,
        };
        StartFailure::new(exit, error)
    })?;
    producer.check_topics(produced.iter().map(String::as_str), limit, stop);
    Ok(Some(Arc::new(producer)))
}

/// Lets the group begin at the end of the logs, for `start = "latest"`. `false`: told to stop.
fn begin_latest(
    config: &Config,
    view: &ClusterView,
    ids: &TopicIds,
    limit: &StartLimit,
    stop: &Stop,
) -> Result<bool, StartFailure> {
    let topics = config.kafka.topics.iter().filter(|topic| !view.absent.contains(topic));
    let topics: Vec<Present<'_>> = topics
        .map(|name| Present {
            name,
            appeared: view.appeared.contains(name),
        })
        .collect();
    begin_at_end(&config.kafka, &topics, ids, limit, stop).map_err(|error| match error {
        LatestError::TooLate(why) => too_late(&format!(
            "the group cannot begin at the end (kafka.start = \"latest\"): {why}"
        )),
        LatestError::Refused(error) => {
            let exit = if is_refusal(&error) {
                Exit::Credentials
            } else {
                Exit::Configuration
            };
            StartFailure::new(
                exit,
                format!("kafka: cannot begin at the end (kafka.start = \"latest\") error=\"{error}\""),
            )
        }
    })
}

/// Reads the ids of all topics that exist, once. Each worker later compares the id that it finds with these. `None`:
/// told to stop.
fn topic_ids(
    config: &Config,
    view: &ClusterView,
    limit: &StartLimit,
    stop: &Stop,
) -> Result<Option<Arc<TopicIds>>, StartFailure> {
    let ids = TopicIds::new(&config.kafka)
        .map_err(|e| StartFailure::new(Exit::Configuration, format!("kafka client settings are refused: {e}")))?;
    if let Some(broker) = view.answering {
        ids.prefer(broker);
    }
    let started = Instant::now();
    for topic in config.kafka.topics.iter().filter(|topic| !view.absent.contains(topic)) {
        match ids.read_within(topic, started, limit, stop) {
            Ok(id) => debug!("kafka: topic={topic} id={id}"),
            Err(ReadError::Stopped) => return Ok(None),
            Err(ReadError::TooLate(why)) => return Err(too_late(&format!("no id of the topic {topic}: {why}"))),
            Err(error @ ReadError::Refused(_)) => {
                return Err(StartFailure::new(
                    Exit::Credentials,
                    format!("{error} topic={topic} cure=\"grant the user READ on the topic\""),
                ));
            }
        }
    }
    Ok(Some(Arc::new(ids)))
}

/// How long after a stop new calls may still begin. The last call may take two write time-outs. Of what then remains
/// of `shutdown_grace`, half is kept for the commit and for leaving the group.
fn finish_max(run: &Run) -> Duration {
    const LONGEST: Duration = Duration::from_secs(2);
    (run.shutdown_grace.saturating_sub(2 * run.write_timeout) / 2).min(LONGEST)
}
