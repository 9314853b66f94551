//! The main thread: starts the service, polls for callbacks, logs its progress, and ends it in order.
//!
//! It takes no message. Only its `poll` keeps the group membership, so a blocked database never costs a partition.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use log::{debug, error, info, warn};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;

use crate::aerospike::{ConnectError, Store, StoreOptions};
use crate::config::model::{Config, Kafka, RejectAction, Run, StallAction, Start};
use crate::delivery::pressure::{Gate, Pressure};
use crate::delivery::publish::Publisher;
use crate::delivery::reject_limit::Rejects;
use crate::kafka::admin::probe::{ClusterView, ProbeError, probe};
use crate::kafka::admin::topic_ids::{Looking, ReadError, TopicIds};
use crate::kafka::consumer::awaiting_group::AwaitingGroup;
use crate::kafka::consumer::committed::{LookUpError, is_refusal, look_up};
use crate::kafka::consumer::joining;
use crate::kafka::consumer::latest::{LatestError, Present, begin_at_end};
use crate::kafka::consumer::leaders::LeaderLines;
use crate::kafka::consumer::source::SourceOptions;
use crate::kafka::producer::{Failing, Producer, ProducerError};
use crate::kafka::{Consumer, Context, Partition, consumer_config};
use crate::observe::counters::Counters;
use crate::observe::progress::{Progress, State, Totals};
use crate::partition::hooks::{Hooks, NoHooks};
use crate::partition::shared::{Group, Rejecting, Shared, Sizes, Times};
use crate::rules::code::{Checked, Processors};
use crate::rules::mapping::Mapping;
use crate::service::assignment::{Event, Workers};
use crate::service::beginning::{Beginning, Known};
use crate::service::holds::Holds;
use crate::service::restarts::Restarts;
use crate::service::watchdog::{Sight, Standing, Watchdog};
use crate::util::exit::Exit;
use crate::util::memory::{self, MemoryPlan};
use crate::util::start_limit::StartLimit;
use crate::util::stop::{Stop, StopKind};

/// How long one poll for callbacks waits: the latency of a stop.
const POLL_WAIT: Duration = Duration::from_millis(100);
/// The same while partitions are given back at the end.
const GIVE_BACK_WAIT: Duration = Duration::from_millis(10);
/// Between two lines that tell how it goes.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// A worker ends by itself when Kafka says that the partition is no longer ours; the revocation must follow within this.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// Room for one event of every worker there could be.
const EVENTS_MAX: usize = 4096;

/// Why the service did not start, or could not go on.
#[derive(Debug)]
struct StartFailure {
    exit: Exit,
    why: String,
}

impl StartFailure {
    fn new(exit: Exit, why: impl fmt::Display) -> Self {
        StartFailure {
            exit,
            why: why.to_string(),
        }
    }
}

/// Runs the service over the rules of its file until `stop` is raised or it cannot go on. Logs all that an operator must
/// know.
///
/// Blocks. `counters` can be read meanwhile by anybody.
pub fn run(config: &Config, stop: &Stop, counters: &Arc<Counters>) -> Exit {
    match Mapping::compile(config) {
        Ok(mapping) => run_with(config, &Processors::from(mapping), stop, counters),
        Err(error) => {
            error!("{error}");
            Exit::Panic
        }
    }
}

/// The same with processors of your own: the file's rules, if it has any, are not looked at.
pub fn run_with(config: &Config, processors: &Processors, stop: &Stop, counters: &Arc<Counters>) -> Exit {
    run_hooked(
        config,
        processors,
        stop,
        counters,
        &(Arc::new(NoHooks) as Arc<dyn Hooks>),
    )
}

/// The same for tests, which step in.
pub fn run_hooked(
    config: &Config,
    processors: &Processors,
    stop: &Stop,
    counters: &Arc<Counters>,
    hooks: &Arc<dyn Hooks>,
) -> Exit {
    let processors = match processors.check(&config.kafka.topics) {
        Ok(processors) => processors,
        Err(refused) => {
            error!("{refused}");
            return Exit::Configuration;
        }
    };
    let mut first = true;
    loop {
        match start(config, &processors, stop, counters, hooks, first) {
            Ok(Some(service)) => {
                if let End::Exit(exit) = service.run(config, stop) {
                    return exit;
                }
                first = false;
            }
            Ok(None) => return Exit::Stopped,
            Err(failure) => {
                error!("{}", failure.why);
                return failure.exit;
            }
        }
    }
}

/// How long after a stop calls still begin: what `shutdown_grace` leaves beside the last of them, which may take two
/// write time-outs, and half of that for the commit and for leaving the group.
fn finish_max(run: &Run) -> Duration {
    const LONGEST: Duration = Duration::from_secs(2);
    (run.shutdown_grace.saturating_sub(2 * run.write_timeout) / 2).min(LONGEST)
}

/// What comes after a service.
enum End {
    Exit(Exit),
    /// Another one, with a consumer that knows nothing: librdkafka keeps the leader epochs of a topic that was deleted,
    /// and cannot read one of the same name whose epochs are lower.
    Anew,
}

struct Service {
    consumer: Arc<Consumer>,
    workers: Arc<Workers>,
    store: Arc<Store>,
    /// Where anything is produced.
    producer: Option<Arc<Producer>>,
    rejects: Arc<Rejects>,
    pressure: Arc<Pressure>,
    counters: Arc<Counters>,
    events: Receiver<Event>,
    topic_ids: Arc<TopicIds>,
    looking: Looking,
    beginning: Beginning,
    hooks: Arc<dyn Hooks>,
}

/// `None`: told to stop before it had started. `first`: in this process.
fn start(
    config: &Config,
    processors: &Checked,
    stop: &Stop,
    counters: &Arc<Counters>,
    hooks: &Arc<dyn Hooks>,
    first: bool,
) -> Result<Option<Service>, StartFailure> {
    let run = &config.run;
    let produced = produced_topics(config, processors)?;

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
            unreached.leads
        );
    }

    let partitions = match run.partitions_max {
        0 => view.partitions,
        max => view.partitions.min(usize::try_from(max).unwrap_or(usize::MAX)),
    };
    let memory_bytes = if run.memory_is_written {
        run.memory_bytes
    } else {
        memory::default_bytes(run.memory_bytes, memory::limit_bytes())
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
                ConnectError::NoNamespace { .. } | ConnectError::NotAerospike(_) => Exit::Configuration,
                ConnectError::Unreachable(_) | ConnectError::Stopped => Exit::Unreachable,
            };
            return Err(StartFailure::new(exit, error));
        }
    };

    let producer = producer(config, &memory, &produced, &limit, stop)?;
    let Some(topic_ids) = topic_ids(config, &view, &limit, stop)? else {
        return Ok(None);
    };
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
    let shared = Arc::new(Shared {
        group: Group {
            name: config.kafka.group.clone(),
            guard_epoch: run.guard_epoch,
            brokers: config.kafka.brokers.clone(),
        },
        processors: processors.clone(),
        writer: store.clone(),
        pressure: pressure.clone(),
        publisher: producer.clone().map(|producer| producer as Arc<dyn Publisher>),
        rejecting: Rejecting {
            action: config.reject.action.clone(),
            counts: rejects.clone(),
        },
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
    let workers = Arc::new(Workers::new(shared, options, sender, run.shutdown_grace));
    let context = Context::new(workers.clone(), counters.clone(), stop.clone());
    let consumer: Consumer = consumer_config(&config.kafka, &memory)
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
    info!(
        "kafka: joining group={} topics={}",
        config.kafka.group,
        config.kafka.topics.join(",")
    );
    Ok(Some(Service {
        consumer,
        workers,
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

/// Asks for an offset of the group before it is joined: a coordinator that is not reached would hold up the joining, and
/// the assignment behind it, without a word. `false`: told to stop.
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
            format!("kafka: access is refused error=\"{error}\"; grant the user READ on the topics and the group"),
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

fn too_late(why: &str) -> StartFailure {
    StartFailure::new(
        Exit::Unreachable,
        format!("kafka was not ready within run.start_timeout: {why}"),
    )
}

/// What is produced to, by the processors and for dead letters. Nothing that is produced is to be read again.
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

/// Where anything is produced: the producer, and a line for each topic that cannot be produced to now.
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

/// `false`: told to stop.
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

/// The ids of all topics that are there, read once: what a worker finds later is compared with them. `None`: told to
/// stop.
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
                    format!("{error}; grant the user READ on the topic {topic}"),
                ));
            }
        }
    }
    Ok(Some(Arc::new(ids)))
}

impl Service {
    fn run(mut self, config: &Config, stop: &Stop) -> End {
        let mut lines = ProgressLines::new(&self.counters);
        let mut watchdog = Watchdog::new(config.run.stall_after);
        let mut end = End::Exit(Exit::Stopped);
        let mut exit = Exit::Stopped;
        let mut unread_since: Option<Instant> = None;
        let mut restarts = Restarts::default();
        let mut absent = Absent::default();
        let mut leaders = LeaderLines::default();
        let mut holds = Holds::default();
        let mut awaiting = AwaitingGroup::new(config);
        while !stop.requested() {
            match self.consumer.poll(POLL_WAIT) {
                None => {}
                Some(Ok(message)) => {
                    let partition = Partition {
                        topic: message.topic().into(),
                        number: message.partition(),
                    };
                    let offset = message.offset();
                    drop(message);
                    self.counters.messages_stray.add(1);
                    exit = exit.or_worse(restarts.stray(
                        &self.workers.assignment(&self.consumer),
                        &self.workers,
                        &partition,
                        offset,
                    ));
                }
                Some(Err(error)) => {
                    if let Some(fatal) = self.kafka_error(&error) {
                        exit = exit.or_worse(fatal);
                    }
                }
            }
            self.hooks
                .polled(&self.consumer, &|partition| self.workers.has(partition));
            exit = exit.or_worse(restarts.serve(&self.workers.assignment(&self.consumer), &self.workers));
            while let Ok(Event::Fatal(fatal)) = self.events.try_recv() {
                exit = exit.or_worse(fatal);
            }
            absent.tell(&self.topic_ids);
            leaders.tell(Instant::now(), || self.consumer.context().waiting_for_leaders());
            if let Some(why) = self.beginning.too_late(Instant::now(), &self.known()) {
                error!("{}", too_late(why).why);
                exit = exit.or_worse(Exit::Unreachable);
            }
            if let Some((topic, id, was)) = self.topic_ids.changed() {
                warn!(
                    "kafka: the topic was deleted and created again: joining the group anew, to read it from its \
                     beginning; what the old one still had is gone topic={topic} id={id} was={was}"
                );
                self.workers.abandon_topic(&topic);
                end = End::Anew;
                break;
            }
            match (self.workers.ended_unasked(), unread_since) {
                (None, _) => unread_since = None,
                (Some(_), None) => unread_since = Some(Instant::now()),
                (Some(partition), Some(since)) if since.elapsed() > UNREAD_MAX => {
                    error!("worker: ended, but its partition was not taken away; restarting {partition}");
                    exit = exit.or_worse(Exit::Restart);
                }
                (Some(_), Some(_)) => {}
            }
            if self.watch(&mut watchdog) && config.run.stall_action == StallAction::Exit {
                exit = exit.or_worse(Exit::Restart);
            }
            self.store.look_out(&self.pressure);
            if let Some(refusal) = self.store.refusal() {
                error!("aerospike: {refusal}: {}", refusal.cure());
                exit = exit.or_worse(Exit::Credentials);
            }
            if exit != Exit::Stopped {
                break;
            }
            holds.tick(Instant::now(), &self.workers);
            awaiting.tick(&self.consumer, self.workers.count(), &self.topic_ids);
            lines.tick(&self, watchdog.stalled());
        }
        match (end, self.end(config, stop, exit)) {
            // A held partition will be held again.
            (End::Anew, Exit::Stopped | Exit::Rejected) if !stop.requested() => End::Anew,
            (_, exit) => End::Exit(exit),
        }
    }

    /// What is known of the first assignment.
    fn known(&self) -> Known {
        let first = self.consumer.context().first_assignment();
        Known {
            has_coordinator: first.has_coordinator,
            assignment: first.limit,
            unbegun: first.is_made.then(|| self.workers.unbegun()),
        }
    }

    /// Where each partition stands, for the watchdog; nothing while no broker is reached: nobody moves then.
    fn standings(&self) -> Vec<Standing> {
        let context = self.consumer.context();
        if context.is_connected() != Some(true) {
            return Vec::new();
        }
        let mut standings = self
            .workers
            .standings(|partition, next| context.has_messages(partition, next));
        for standing in &mut standings {
            standing.is_held |= !context.is_leader_reached(&standing.partition);
        }
        standings
    }

    /// Says what makes no progress; `true` if something has begun to make none.
    fn watch(&self, watchdog: &mut Watchdog) -> bool {
        let health = self.store.health();
        let is_excused = self.pressure.is_closed()
            || health.failing_for().is_some()
            || !health.closed().is_empty()
            || self.not_taking().is_some();
        let sights = watchdog.tick(Instant::now(), is_excused, || self.standings());
        let mut is_stalled = false;
        for sight in sights {
            match sight {
                Sight::Stalled(partition, mark, idle) => {
                    is_stalled = true;
                    error!(
                        "watchdog: no progress though there are messages, and Kafka and Aerospike are there {partition} \
                         next={} taken={} for={idle:.0?} cure=\"look at the lines before this one; a restart reads on from \
                         the last commit, and run.stall_action = \\\"exit\\\" leaves that to the supervisor\"",
                        mark.next.map_or_else(|| "unknown".to_owned(), |next| next.to_string()),
                        mark.taken,
                    );
                }
                Sight::Moves(partition, idle) => info!("watchdog: goes on again {partition} after={idle:.0?}"),
            }
        }
        is_stalled
    }

    /// The topic that takes no messages, while somebody has some for it.
    fn not_taking(&self) -> Option<Failing> {
        self.producer.as_ref()?.failing()
    }

    fn kafka_error(&self, error: &KafkaError) -> Option<Exit> {
        if let Some((code, why)) = self.consumer.client().fatal_error() {
            return Some(fatal_error(code, &why));
        }
        match (error, error.rdkafka_error_code()) {
            (KafkaError::MessageConsumptionFatal(_), _) => {
                error!("kafka: the client cannot go on error=\"{error}\"");
                Some(Exit::Restart)
            }
            (_, Some(code)) if let Some((exit, cure)) = joining::verdict(code) => {
                cannot_join(exit, &error.to_string(), cure);
                Some(exit)
            }
            // Told by the error callback, with its reason; librdkafka goes on by itself.
            _ => {
                debug!("kafka: {error}");
                None
            }
        }
    }

    /// What the service waits for. Of several things the one that a person would look at first.
    fn state(&self, stalled: usize, held: usize) -> State {
        let health = self.store.health();
        let closed = health.closed();
        if !closed.is_empty() {
            State::NamespaceClosed(closed)
        } else if let Some(since) = health.failing_for() {
            State::WaitingForAerospike(since)
        } else if health.unexpected() > 0 {
            State::RecordHeld
        } else if let Some(Failing { topic, since, .. }) = self.not_taking() {
            State::WaitingForTopic(topic, since)
        } else if stalled > 0 {
            State::Stalled(stalled)
        } else if held > 0 {
            State::Held
        } else if self.consumer.context().is_connected() == Some(false) {
            State::WaitingForKafka
        } else if self.counters.partitions_assigned.get() == 0 {
            State::NoPartitions
        } else {
            State::Ok
        }
    }

    /// Workers finish the batch in hand, commit and are joined; then the group is left.
    fn end(self, config: &Config, stop: &Stop, mut exit: Exit) -> Exit {
        // From the signal on, where there was one: a rebalance may have taken part of the time.
        let started = stop.requested_at().unwrap_or_else(Instant::now);
        let deadline = started + config.run.shutdown_grace;
        self.looking.request_stop();
        // Whoever has fenced this member has its partitions.
        let kind = match self.consumer.client().fatal_error() {
            Some((RDKafkaErrorCode::FencedInstanceId, _)) => StopKind::Abandon,
            _ => StopKind::Drain,
        };
        let (in_time, held) = self.workers.stop_all(kind, deadline);
        while let Ok(Event::Fatal(fatal)) = self.events.try_recv() {
            exit = exit.or_worse(fatal);
        }
        if held > 0 {
            exit = exit.or_worse(Exit::Rejected);
        }
        let Service {
            consumer,
            counters,
            looking,
            rejects,
            ..
        } = self;
        if in_time {
            drop(looking);
            if !leave_group(consumer, &config.kafka, deadline) {
                warn!("kafka: the group did not let go within run.shutdown_grace; it will after the session time-out");
                exit = exit.or_worse(Exit::Restart);
            }
        } else {
            error!("stop: workers did not leave within run.shutdown_grace; nothing was committed that was not written");
            exit = exit.or_worse(Exit::Restart);
            // Dropping them would wait for those workers.
            forget((consumer, looking));
        }
        info!(
            "stopped {} held_partitions={held} rejects={} took={:.1?}",
            counters.account(),
            by_reason(&rejects),
            started.elapsed()
        );
        exit
    }
}

/// Rejects so far, by reason.
fn by_reason(rejects: &Rejects) -> String {
    let reasons: Vec<String> = rejects
        .by_reason()
        .into_iter()
        .map(|(reason, count)| format!("{reason}:{count}"))
        .collect();
    if reasons.is_empty() {
        "none".to_owned()
    } else {
        reasons.join(",")
    }
}

fn cannot_join(exit: Exit, error: &str, cure: &str) {
    let what = match exit {
        Exit::Credentials => "access is refused",
        _ => "the group cannot be joined",
    };
    error!("kafka: {what} error=\"{error}\" cure=\"{cure}\"");
}

/// What librdkafka cannot go on from.
fn fatal_error(code: RDKafkaErrorCode, why: &str) -> Exit {
    match code {
        // Told to the former member: the other one has its partitions.
        RDKafkaErrorCode::FencedInstanceId => {
            error!(
                "kafka: another process has joined the group with this one's group.instance.id, and has its partitions; \
                 nothing more is committed here error=\"{why}\"; give each process its own group.instance.id"
            );
            Exit::Configuration
        }
        // Told to the new member, where the brokers share out.
        RDKafkaErrorCode::UnreleasedInstanceId => {
            error!(
                "kafka: a member with this group.instance.id is still in the group: a former process, until its session \
                 ends, or one that runs error=\"{why}\"; give each process its own group.instance.id, or start this \
                 one again later"
            );
            Exit::Restart
        }
        _ => match joining::verdict(code) {
            Some((exit, cure)) => {
                cannot_join(exit, why, cure);
                exit
            }
            None => {
                error!("kafka: the client cannot go on error=\"{why}\"");
                Exit::Restart
            }
        },
    }
}

/// Topics that are not there, told when that changes.
#[derive(Default)]
struct Absent(Vec<Arc<str>>);

impl Absent {
    fn tell(&mut self, topic_ids: &TopicIds) {
        let now = topic_ids.absent();
        if now == self.0 {
            return;
        }
        for topic in now.iter().filter(|topic| !self.0.contains(topic)) {
            warn!(
                "kafka: there is no such topic; the others are read, and it is from its beginning when it is there \
                 topic={topic}"
            );
        }
        for topic in self.0.iter().filter(|topic| !now.contains(topic)) {
            info!("kafka: the topic is there topic={topic}");
        }
        self.0 = now;
    }
}

/// Leaves the group, so that others take over at once; `false` when the deadline passed first.
///
/// The drop waits for the brokers without a bound, so it happens where it can be left behind.
fn leave_group(consumer: Arc<Consumer>, kafka: &Kafka, deadline: Instant) -> bool {
    let (sender, left) = bounded(1);
    consumer.context().set_leaving();
    let is_static = kafka.consumer_property("group.instance.id").is_some();
    let thread = thread::Builder::new().name("leave-group".into()).spawn(move || {
        // Unsubscribed, a static member would leave, and its partitions be another's before it is back.
        if !is_static {
            give_back(&consumer, deadline);
        }
        drop(consumer);
        let _ = sender.send(());
    });
    match thread {
        Ok(thread) => left.recv_deadline(deadline).is_ok() && thread.join().is_ok(),
        Err(_) => false,
    }
}

/// Unsubscribes, and serves the rebalance callbacks that follow, before the consumer is closed. librdkafka 2.12.1 sends no
/// LeaveGroup for a member without partitions that is closed (`rdkafka_cgrp.c`: "consumer is terminating, skipping
/// rejoin"), and the group waits for it until its session ends, with the commits of all who wait to join behind it. And
/// where a callback was still waiting at the close, the last one can come when the group's part of the client has ended,
/// and rust-rdkafka then asks it for its protocol and gets no answer.
fn give_back(consumer: &Consumer, deadline: Instant) {
    consumer.unsubscribe();
    let has_partitions = || consumer.assignment().is_ok_and(|partitions| partitions.count() > 0);
    while has_partitions() && Instant::now() < deadline {
        // Nobody here reads this message: Kafka delivers it to the next owner.
        drop(consumer.poll(GIVE_BACK_WAIT));
    }
}

/// Keeps alive what workers that did not end still use; the process ends soon.
#[expect(
    clippy::mem_forget,
    reason = "dropping it would wait for those workers, without a bound"
)]
fn forget<T>(used: T) {
    std::mem::forget(used);
}

/// The line each 10 seconds.
struct ProgressLines {
    last: Instant,
    /// As they were told last.
    consumed: u64,
    rows: u64,
    refused: u64,
}

impl ProgressLines {
    fn new(counters: &Counters) -> Self {
        ProgressLines {
            last: Instant::now(),
            consumed: counters.messages_consumed.get(),
            rows: counters.rows_written.get(),
            refused: counters.rows_guard_refused.get(),
        }
    }

    fn tick(&mut self, service: &Service, stalled: usize) {
        let elapsed = self.last.elapsed();
        if elapsed < LINE_INTERVAL {
            return;
        }
        let now = ProgressLines::new(&service.counters);
        let rate = |now: u64, before: u64| (now - before) as f64 / elapsed.as_secs_f64();
        let counters = &service.counters;
        let context = service.consumer.context();
        let ends = context.ends();
        let held = service.workers.held();
        let pressure = service.pressure.view();
        let totals = Totals {
            consumed: now.consumed,
            written: counters.messages_written.get(),
            filtered: counters.messages_filtered.get(),
            refused: now.refused,
            stale: counters.rows_stale.get(),
            ignored: counters.rows_ignored.get(),
            dead: counters.messages_dead_lettered.get(),
            dropped: counters.messages_dropped.get(),
            returned: counters.messages_returned.get(),
            published: counters.messages_published.get(),
        };
        let progress = Progress {
            messages_per_s: rate(now.consumed, self.consumed),
            rows_per_s: rate(now.rows, self.rows),
            refused_per_s: rate(now.refused, self.refused),
            totals,
            lag: ends.lag,
            behind_open_transaction: ends.behind_open_transaction,
            partitions: counters.partitions_assigned.get(),
            held: held.len(),
            in_hand: counters.messages_in_hand.get(),
            pressure: match pressure.gate {
                Gate::Open => Gate::Open.as_str().to_owned(),
                Gate::Limited => format!("limited:{}rows", pressure.limit_rows),
                Gate::Closed => format!("closed:{:.0?}", pressure.since),
            },
            resident_bytes: memory::resident_bytes().unwrap_or(0),
            bound_bytes: counters.memory_bound_bytes.get().unsigned_abs(),
            state: service.state(stalled, held.len()),
        };
        info!("{progress}");
        *self = now;
    }
}
