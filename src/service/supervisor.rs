//! The main thread: starts the service, polls for callbacks, logs its progress, and ends it in order.
//!
//! It takes no messages. Its `poll` alone keeps the process in the group, so a blocked database never costs a
//! partition.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;

use crate::config::model::{Config, StallAction};
use crate::kafka::Partition;
use crate::kafka::consumer::awaiting_group::AwaitingGroup;
use crate::kafka::consumer::group::GroupAssignment;
use crate::kafka::consumer::leaders::LeaderLines;
use crate::kafka::producer::Failing;
use crate::observe::seen::Seen;
use crate::observe::snapshot::Stage;
use crate::partition::hooks::{Hooks, NoHooks};
use crate::rules::code::Processors;
use crate::rules::mapping::Mapping;
use crate::service::absent::Absent;
use crate::service::assignment::Event;
use crate::service::beginning::Known;
use crate::service::holds::Holds;
use crate::service::leaving::{forget, leave_group};
use crate::service::lines::{ProgressLines, by_reason};
use crate::service::restarts::Restarts;
use crate::service::snapshots::Snapshots;
use crate::service::start::{Service, start, too_late};
use crate::service::unread::Unread;
use crate::service::verdicts;
use crate::service::watchdog::{Sight, Standing, Watchdog};
use crate::util::exit::Exit;
use crate::util::seconds::Seconds;
use crate::util::stop::{Stop, StopKind};

/// How long one poll waits for callbacks. A stop is noticed after this time at the latest.
const POLL_WAIT: Duration = Duration::from_millis(100);

/// Runs the service with the rules of its file, until `stop` is raised or the service cannot go on. Logs everything
/// that an operator must know.
///
/// Blocks. In the meantime any thread can read `seen` (or the counters alone).
pub fn run(config: &Config, stop: &Stop, seen: impl Into<Seen>) -> Exit {
    match Mapping::compile(config) {
        Ok(mapping) => run_with(config, &Processors::from(mapping), stop, seen),
        Err(error) => {
            error!("the rules cannot be compiled error=\"{error}\"");
            Exit::Panic
        }
    }
}

/// The same with your own processors. The rules of the file, if there are any, are ignored.
pub fn run_with(config: &Config, processors: &Processors, stop: &Stop, seen: impl Into<Seen>) -> Exit {
    run_hooked(config, processors, stop, seen, &(Arc::new(NoHooks) as Arc<dyn Hooks>))
}

/// The same for tests, which pass hooks.
pub fn run_hooked(
    config: &Config,
    processors: &Processors,
    stop: &Stop,
    seen: impl Into<Seen>,
    hooks: &Arc<dyn Hooks>,
) -> Exit {
    let seen = seen.into();
    let processors = match processors.check(&config.kafka.topics) {
        Ok(processors) => processors,
        Err(refused) => {
            error!("{refused}");
            return Exit::Configuration;
        }
    };
    let mut first = true;
    loop {
        match start(config, &processors, stop, &seen, hooks, first) {
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

/// What happens after a service has ended.
enum End {
    Exit(Exit),
    /// Another service starts, with a new consumer. librdkafka keeps the leader epochs of a deleted topic, and cannot
    /// read a new topic of the same name whose epochs are lower.
    Anew,
}

impl Service {
    fn run(mut self, config: &Config, stop: &Stop) -> End {
        let mut lines = ProgressLines::new(&self.counters);
        let mut snapshots = Snapshots::new(&self.counters);
        let mut watchdog = Watchdog::new(config.run.stall_after);
        let mut end = End::Exit(Exit::Stopped);
        let mut exit = Exit::Stopped;
        let mut unread = Unread::default();
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
                        Instant::now(),
                        &self.assignment(),
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
            exit = exit.or_worse(restarts.serve(Instant::now(), &self.assignment(), &self.workers));
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
            if let Some(partition) = unread.too_long(Instant::now(), self.workers.ended_unasked()) {
                error!("worker: ended, but its partition was not taken away; restarting {partition}");
                exit = exit.or_worse(Exit::Restart);
            }
            if self.watch(&mut watchdog) && config.run.stall_action == StallAction::Exit {
                exit = exit.or_worse(Exit::Restart);
            }
            self.store.look_out(&self.pressure);
            if let Some(refusal) = self.store.refusal() {
                error!("aerospike: {refusal} cure=\"{}\"", refusal.cure());
                exit = exit.or_worse(Exit::Credentials);
            }
            if exit != Exit::Stopped {
                break;
            }
            holds.tick(Instant::now(), &self.workers);
            awaiting.tick(&self.consumer, self.workers.count(), &self.topic_ids);
            let stalled = watchdog.stalled();
            lines.tick(&self, stalled.len());
            snapshots.tick(&self, &stalled, Stage::Running);
        }
        snapshots.tick(&self, &watchdog.stalled(), Stage::Draining);
        match (end, self.end(config, stop, exit)) {
            // A held partition will be held again by the next service.
            (End::Anew, Exit::Stopped | Exit::Rejected) if !stop.requested() => End::Anew,
            (_, exit) => End::Exit(exit),
        }
    }

    fn assignment(&self) -> GroupAssignment<'_> {
        GroupAssignment {
            consumer: &self.consumer,
            options: &self.options,
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

    /// How far each partition is, for the watchdog. Empty while no broker is reached, because nothing can progress
    /// then.
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

    /// Logs which partitions make no progress. `true` if it has logged a stalled partition.
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
                         next={} taken={} for={idle} cure=\"look at the lines before this one; a restart reads on from \
                         the last commit, and run.stall_action = \\\"exit\\\" leaves that to the supervisor\"",
                        mark.next.map_or_else(|| "unknown".to_owned(), |next| next.to_string()),
                        mark.taken,
                        idle = Seconds(idle)
                    );
                }
                Sight::Moves(partition, idle) => info!("watchdog: goes on again {partition} after={}", Seconds(idle)),
            }
        }
        is_stalled
    }

    /// The output topic that accepts no messages, while a worker has messages for it.
    pub(super) fn not_taking(&self) -> Option<Failing> {
        self.producer.as_ref()?.failing()
    }

    /// The exit code if the service cannot go on after this error of a poll.
    fn kafka_error(&self, error: &KafkaError) -> Option<Exit> {
        match self.consumer.client().fatal_error() {
            Some((code, why)) => Some(verdicts::fatal(code, &why)),
            None => verdicts::of_poll(error),
        }
    }

    /// Ends the service: the workers finish the batch in hand, commit and are joined. Then the process leaves the
    /// group.
    fn end(self, config: &Config, stop: &Stop, mut exit: Exit) -> Exit {
        // Time counts from the signal, if there was one: a rebalance may have used some of it.
        let started = stop.requested_at().unwrap_or_else(Instant::now);
        let deadline = started + config.run.shutdown_grace;
        self.looking.request_stop();
        // If another process has fenced this member, that process has its partitions.
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
            // A drop would wait for those workers.
            forget((consumer, looking));
        }
        info!(
            "stopped {} held_partitions={held} rejects={} took={:.1}",
            counters.account(),
            by_reason(&counters),
            Seconds(started.elapsed())
        );
        exit
    }
}
