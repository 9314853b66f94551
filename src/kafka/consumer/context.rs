//! librdkafka's callbacks. All of them run on the main thread, inside `poll`.
//!
//! Rebalances go to the [`Readers`] of the partitions. Statistics give the ends of the partitions, from which the lag
//! is computed. Commit errors are logged and passed to the worker of the partition. Decides nothing itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use log::{debug, error, info};
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::config::model as config;
use crate::kafka::admin::advertised;
use crate::kafka::consumer::commits::FailedCommits;
use crate::kafka::consumer::committed::{Committed, LookUpError, look_up};
use crate::kafka::consumer::leaders::{Leaders, Waiting};
use crate::kafka::consumer::origin::PartitionStart;
use crate::kafka::diagnosis::Complaint;
use crate::kafka::log::tell_error;
use crate::kafka::log::tell_line;
use crate::kafka::login::Login;
use crate::kafka::{Consumer, Partition, summary};
use crate::observe::counters::Counters;
use crate::util::exit::Exit;
use crate::util::logging::pairs::Text;
use crate::util::start_limit::StartLimit;
use crate::util::stop::{Stop, StopKind};

/// Reads the partitions that the group assigns to this process. Called on the main thread, inside librdkafka's
/// callbacks.
pub trait Readers: fmt::Debug + Send + Sync {
    /// Starts reading these partitions, each from its committed offset if it has one.
    fn assign(&self, consumer: &Arc<Consumer>, partitions: &[Partition], committed: &HashMap<Partition, Committed>);

    /// Gives these partitions back. When this returns, nothing more is written for them.
    fn revoke(&self, partitions: &[Partition], kind: StopKind);

    /// A commit of this partition was refused.
    fn commit_failed(&self, partition: &Partition, error: &KafkaError);

    /// Each partition that is read, with its next offset (if known) and the end of its log (if its reader asked for it,
    /// else -1).
    fn positions(&self) -> Vec<(Partition, Option<i64>, i64)>;

    /// The service cannot continue.
    fn fatal(&self, exit: Exit, why: fmt::Arguments<'_>);
}

/// State of the first assignment.
#[derive(Debug, Clone, Copy)]
pub struct FirstAssignment {
    /// Whether the group's coordinator is connected, according to the last statistics.
    pub has_coordinator: Option<bool>,
    /// How long it may take until the partitions are read, once the assignment has come.
    pub limit: Option<StartLimit>,
    /// The assignment is complete: its partitions, if any, have readers.
    pub is_made: bool,
}

/// The state that the callbacks use.
#[derive(Debug)]
pub struct Context {
    /// Splitting a queue needs the consumer's `Arc`, which exists only after the context is moved into the consumer.
    consumer: OnceLock<Weak<Consumer>>,
    readers: Arc<dyn Readers>,
    counters: Arc<Counters>,
    statistics: Mutex<Option<Statistics>>,
    failed_commits: FailedCommits,
    stop: Stop,
    /// The login, if it can change.
    login: OnceLock<Login>,
    /// No more workers are started.
    is_leaving: AtomicBool,
    /// Time limit of the first assignment, counted from when it comes.
    start_limit: OnceLock<Option<Duration>>,
    /// The same limit, set when the assignment has come.
    first_assignment: OnceLock<StartLimit>,
    /// An assignment has been made, with or without partitions.
    is_assigned: AtomicBool,
}

/// The part of librdkafka's statistics (its `STATISTICS.md`) that is used here.
#[derive(Debug, Default)]
struct Statistics {
    partitions: HashMap<(String, i32), PartitionEnd>,
    /// At least one broker is connected.
    is_connected: bool,
    /// The group's coordinator is connected.
    has_coordinator: bool,
    leaders: Leaders,
    /// This member has asked to join the group, and the group has not answered.
    is_joining: bool,
    /// When the statistics first and last said so.
    joining: Option<(Instant, Instant)>,
}

/// Distance of the assigned partitions from their ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Number of messages up to the last stable offsets that are not finished; `None`: not known.
    pub lag: Option<u64>,
    /// Number of offsets behind the last stable ones: what an open transaction prevents from being read. Also counts
    /// the end markers of other transactions, so it can be a little more than the number of messages.
    pub behind_open_transaction: u64,
    /// The lag of each assigned partition; `None`: unknown.
    pub partitions: HashMap<Partition, Option<u64>>,
}

/// What the statistics say about a partition. Offsets are negative while unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PartitionEnd {
    /// The last stable offset; the high watermark if uncommitted messages are read too.
    end: i64,
    /// Number of offsets from there to the high watermark.
    unstable: u64,
    /// The broker that it is read from is connected. If not, the end may have moved since.
    is_reached: bool,
    /// Number of messages in its queue.
    queued: i64,
    /// The group's committed offset.
    committed: i64,
    /// The next offset that is fetched.
    fetch: i64,
}

impl PartitionEnd {
    /// Number of messages that are not finished. `next`: the worker's next offset. `asked`: the end of the log, if the
    /// worker asked for it while nothing is fetched, or -1. `None`: not known.
    fn lag(&self, next: Option<i64>, asked: i64) -> Option<u64> {
        let heard = if self.is_reached { self.end } else { -1 };
        // While a partition is not fetched, the statistics do not show its end either.
        let end = Some(heard.max(asked)).filter(|end| *end >= 0)?;
        // A worker without messages yet starts at the committed offset, or where fetching began.
        let begin = || [self.committed, self.fetch].into_iter().find(|offset| *offset >= 0);
        let next = next.or_else(begin)?;
        Some(u64::try_from(end - next).unwrap_or(0))
    }

    /// Whether there are messages behind those that were taken. `next`: the worker's next offset. Compares positions,
    /// since offsets have gaps, also at the end of a log. A partition whose fetching has not begun may have messages.
    fn has_messages(&self, next: Option<i64>) -> bool {
        match next {
            None if self.fetch < 0 => true,
            _ if self.queued > 0 => true,
            // The entries in between were fetched and are not messages.
            _ => self.end > next.unwrap_or(self.fetch).max(self.fetch),
        }
    }
}

impl Context {
    /// `stop`: the stop flag of the service.
    pub fn new(readers: Arc<dyn Readers>, counters: Arc<Counters>, stop: Stop) -> Self {
        Context {
            consumer: OnceLock::new(),
            readers,
            counters,
            statistics: Mutex::default(),
            failed_commits: FailedCommits::default(),
            stop,
            login: OnceLock::new(),
            is_leaving: AtomicBool::new(false),
            start_limit: OnceLock::new(),
            first_assignment: OnceLock::new(),
            is_assigned: AtomicBool::new(false),
        }
    }

    /// Must be called once, before the first poll.
    pub fn set_consumer(&self, consumer: &Arc<Consumer>) {
        let first = self.consumer.set(Arc::downgrade(consumer)).is_ok();
        assert!(first, "the context has one consumer");
    }

    /// Sets the login, if it can change.
    pub fn set_login(&self, config: &ClientConfig, kafka: &config::Kafka) {
        if let Some(login) = Login::of("consumer", config, &kafka.consumer_login) {
            let _ = self.login.set(login);
        }
    }

    /// Gives the consumer a changed login, if brokers refuse the one that it has.
    fn renew_login(&self) {
        if let Some((login, consumer)) = self.login.get().zip(self.consumer.get().and_then(Weak::upgrade)) {
            // SAFETY: the consumer is alive.
            unsafe { login.renew(consumer.client().native_ptr()) };
        }
    }

    /// Sets the time limit of the first assignment, counted from when it comes.
    pub fn set_start_limit(&self, rest: Option<Duration>) {
        let _ = self.start_limit.set(rest);
    }

    /// State of the first assignment.
    pub fn first_assignment(&self) -> FirstAssignment {
        FirstAssignment {
            has_coordinator: self.statistics.lock().as_ref().map(|read| read.has_coordinator),
            limit: self.first_assignment.get().copied(),
            is_made: self.is_assigned.load(Relaxed),
        }
    }

    /// Assigned partitions whose leaders are not connected, by broker.
    pub fn waiting_for_leaders(&self) -> Vec<Waiting> {
        let statistics = self.statistics.lock();
        let Some(statistics) = statistics.as_ref() else {
            return Vec::new();
        };
        let assigned = self.readers.positions().into_iter().map(|(partition, _, _)| partition);
        statistics.leaders.waiting(assigned)
    }

    /// The workers are joined, and the group is about to be left. Nobody in this process reads what is still assigned.
    pub fn set_leaving(&self) {
        self.is_leaving.store(true, Relaxed);
    }

    pub fn failed_commits(&self) -> &FailedCommits {
        &self.failed_commits
    }

    /// Distance of the assigned partitions from their ends. The lag is unknown before the first statistics, without a
    /// partition, and while the end of one partition is unknown or its broker is not connected.
    pub fn ends(&self) -> Ends {
        let statistics = self.statistics.lock();
        let positions = self.readers.positions();
        let mut ends = Ends {
            lag: Some(0).filter(|_| !positions.is_empty()),
            behind_open_transaction: 0,
            partitions: HashMap::with_capacity(positions.len()),
        };
        for (partition, next, asked) in positions {
            let end = statistics.as_ref().and_then(|statistics| {
                let of = (partition.topic.to_string(), partition.number);
                statistics.partitions.get(&of)
            });
            let lag = end.and_then(|end| end.lag(next, asked));
            ends.lag = ends.lag.zip(lag).map(|(all, one)| all + one);
            ends.behind_open_transaction += end.map_or(0, |end| end.unstable);
            ends.partitions.insert(partition, lag);
        }
        ends
    }

    /// Whether any broker is connected; `None` before the first statistics.
    pub fn is_connected(&self) -> Option<bool> {
        self.statistics
            .lock()
            .as_ref()
            .map(|statistics| statistics.is_connected)
    }

    /// How long the group has not answered this member's request to join, from the first statistics that say so to the
    /// last. `None`: it has answered, or no broker is connected.
    pub fn joining_for(&self) -> Option<Duration> {
        let statistics = self.statistics.lock();
        let (first, last) = statistics.as_ref()?.joining?;
        Some(last - first)
    }

    /// Whether there are messages behind those that were taken, by the reader's next offset. `false` for a partition
    /// without statistics since it was assigned.
    pub fn has_messages(&self, partition: &Partition, next: Option<i64>) -> bool {
        let statistics = self.statistics.lock();
        let end = statistics.as_ref().and_then(|statistics| {
            statistics
                .partitions
                .get(&(partition.topic.to_string(), partition.number))
        });
        end.is_some_and(|end| end.has_messages(next))
    }

    /// Whether the partition's leader is connected, according to the last statistics.
    pub fn is_leader_reached(&self, partition: &Partition) -> bool {
        let statistics = self.statistics.lock();
        statistics
            .as_ref()
            .is_none_or(|statistics| statistics.leaders.is_reached(partition))
    }

    /// Splits the queues before the assignment takes effect, so that no message reaches the main queue.
    fn assign(&self, partitions: &[Partition], list: &TopicPartitionList) {
        let consumer = self.consumer.get().and_then(Weak::upgrade);
        let Some(consumer) = consumer.filter(|_| !self.is_leaving.load(Relaxed)) else {
            // Nobody in this process will read these partitions.
            info!("kafka: an assignment came while leaving the group");
            return;
        };
        let limit = if self.is_assigned.load(Relaxed) {
            StartLimit::none()
        } else {
            let rest = self.start_limit.get().copied().flatten();
            *self.first_assignment.get_or_init(|| StartLimit::new(rest))
        };
        let begun = look_up(&consumer, partitions, &limit, &self.stop).and_then(|committed| {
            let begun = committed.map(|of| give_beginnings(list, &of).map(|()| of)).transpose();
            begun.map_err(|error| LookUpError::TooLate(error.to_string()))
        });
        match begun {
            Ok(Some(committed)) => {
                self.is_assigned.store(true, Relaxed);
                self.readers.assign(&consumer, partitions, &committed);
            }
            Ok(None) => info!("kafka: an assignment came while stopping"),
            Err(error) => {
                let (exit, within) = match error {
                    LookUpError::Refused(_) => (Exit::Credentials, ""),
                    LookUpError::TooLate(_) if limit.is_over() => (Exit::Unreachable, " within run.start_timeout"),
                    LookUpError::TooLate(_) => (Exit::Restart, ""),
                };
                self.readers.fatal(
                    exit,
                    format_args!("kafka: cannot learn the group's offsets{within} error=\"{error}\""),
                );
            }
        }
    }

    fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
        list.elements().iter().map(Partition::of).collect()
    }
}

impl ClientContext for Context {
    fn stats_raw(&self, statistics: &[u8]) {
        self.renew_login();
        match read_statistics(statistics) {
            Ok(mut statistics) => {
                let mut last = self.statistics.lock();
                if statistics.is_joining && statistics.is_connected {
                    let now = Instant::now();
                    let before = last.as_ref().and_then(|last| last.joining);
                    statistics.joining = Some((before.map_or(now, |(first, _)| first), now));
                }
                *last = Some(statistics);
                drop(last);
                self.counters
                    .consumer_lag
                    .set(self.ends().lag.and_then(|lag| i64::try_from(lag).ok()).unwrap_or(-1));
            }
            Err(error) => debug!("kafka: statistics that cannot be read error=\"{error}\""),
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_line(level, facility, message);
        // Messages of the other cluster would be written, and their offsets committed, as if they came from the first
        // one.
        if advertised::is_other_cluster(message) {
            let complaint = Complaint::other_cluster(message);
            // The cluster was read until now, so it was probably created again. The next start finds out.
            let exit = if self.is_assigned.load(Relaxed) {
                Exit::Restart
            } else {
                Exit::Configuration
            };
            self.readers.fatal(exit, format_args!("kafka: {complaint}"));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The worker logs this, with what is gone.
            Some(RDKafkaErrorCode::AutoOffsetReset) => debug!("kafka: {error} reason=\"{reason}\""),
            _ => tell_error(&error, reason),
        }
        if let Some(login) = self.login.get() {
            login.hear(&error);
            self.renew_login();
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.counters.rebalances.add(1);
        match rebalance {
            Rebalance::Assign(list) => {
                let partitions = Self::partitions(list);
                info!(
                    "kafka: assigned partitions={} list={}",
                    partitions.len(),
                    Text(&summary(&partitions))
                );
                self.assign(&partitions, list);
            }
            Rebalance::Revoke(list) => {
                let partitions = Self::partitions(list);
                let lost = consumer.assignment_lost();
                info!(
                    "kafka: revoked partitions={} lost={lost} list={}",
                    partitions.len(),
                    Text(&summary(&partitions))
                );
                self.readers
                    .revoke(&partitions, if lost { StopKind::Abandon } else { StopKind::Drain });
            }
            Rebalance::Error(error) => error!("kafka: rebalance failed error=\"{error}\""),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        // A partial failure is visible only in the elements.
        for element in &offsets.elements() {
            if let Some(error) = element.error().err().or_else(|| result.clone().err()) {
                self.counters.commit_errors.add(1);
                let partition = Partition::of(element);
                self.failed_commits.failed(&partition, &error);
                self.readers.commit_failed(&partition, &error);
            }
        }
    }
}

/// Sets the start offset of each partition in the list, so that the consumer does not look it up.
fn give_beginnings(list: &TopicPartitionList, committed: &HashMap<Partition, Committed>) -> KafkaResult<()> {
    for mut element in list.elements() {
        let start = PartitionStart::at(committed.get(&Partition::of(&element)), None);
        element.set_offset(start.from.offset())?;
    }
    Ok(())
}

fn read_statistics(statistics: &[u8]) -> Result<Statistics, serde_json::Error> {
    let statistics: serde_json::Value = serde_json::from_slice(statistics)?;
    let entries = |of: &serde_json::Value, name: &str| {
        let found = of.get(name).and_then(|found| found.as_object()).cloned();
        found.unwrap_or_default()
    };
    // Brokers with negative numbers are librdkafka's own entries: the configured addresses, and the coordinator.
    let is_up = |broker: &serde_json::Value| {
        broker.get("nodeid").and_then(serde_json::Value::as_i64).unwrap_or(-1) >= 0
            && broker.get("state").and_then(serde_json::Value::as_str) == Some("UP")
    };
    let brokers = entries(&statistics, "brokers");
    let up: Vec<i64> = brokers
        .values()
        .filter(|broker| is_up(broker))
        .filter_map(|broker| broker.get("nodeid").and_then(serde_json::Value::as_i64))
        .collect();
    // Between the request to join and its answer (`rdkafka_cgrp.c`, `rd_kafka_cgrp_join_state_names`).
    let join_state = statistics
        .pointer("/cgrp/join_state")
        .and_then(serde_json::Value::as_str);
    let mut read = Statistics {
        is_connected: !up.is_empty(),
        has_coordinator: statistics.pointer("/cgrp/state").and_then(serde_json::Value::as_str) == Some("up"),
        leaders: Leaders::read(&statistics),
        is_joining: matches!(join_state, Some("wait-join" | "wait-sync")),
        ..Statistics::default()
    };
    for (topic, details) in entries(&statistics, "topics") {
        for (number, partition) in entries(&details, "partitions") {
            let value = |name: &str| partition.get(name).and_then(serde_json::Value::as_i64).unwrap_or(-1);
            // "-1" is librdkafka's own partition for messages that have none yet.
            let Ok(number @ 0..) = number.parse::<i32>() else {
                continue;
            };
            let (stable, high) = (value("ls_offset"), value("hi_offset"));
            let end = if stable >= 0 { stable } else { high };
            read.partitions.insert(
                (topic.clone(), number),
                PartitionEnd {
                    end,
                    unstable: u64::try_from(high - end).unwrap_or(0),
                    is_reached: up.contains(&value("broker")),
                    queued: value("fetchq_cnt"),
                    committed: value("committed_offset"),
                    fetch: value("next_offset"),
                },
            );
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_named_in_runs() {
        let partition = |topic: &str, number| Partition {
            topic: topic.into(),
            number,
        };
        let list = [
            partition("b", 0),
            partition("a", 2),
            partition("a", 0),
            partition("a", 1),
            partition("a", 5),
        ];
        assert_eq!(summary(&list), "a:0-2,a:5,b:0");
        assert_eq!(summary(&[]), "");
    }

    #[test]
    fn the_end_of_a_partition_is_its_last_stable_offset() {
        let json = br#"{
            "brokers":{"127.0.0.1:1/bootstrap":{"nodeid":-1,"state":"UP"},"127.0.0.1:1/1":{"nodeid":1,"state":"DOWN"}},
            "topics":{"t":{"partitions":{
            "-1":{"ls_offset":-1001,"hi_offset":-1001},
            "0":{"broker":1,"ls_offset":90,"hi_offset":100,"committed_offset":70,"next_offset":80,"fetchq_cnt":3},
            "1":{"ls_offset":-1001,"hi_offset":-1001,"committed_offset":-1001,"next_offset":-1001,"fetchq_cnt":0}}}}}"#;
        let read = read_statistics(json).unwrap();
        assert!(!read.is_connected);
        assert_eq!(read.partitions.len(), 2);
        assert_eq!(
            read.partitions[&("t".to_string(), 0)],
            PartitionEnd {
                end: 90,
                unstable: 10,
                is_reached: false,
                queued: 3,
                committed: 70,
                fetch: 80
            }
        );
        assert!(read.partitions[&("t".to_string(), 1)].has_messages(None), "never begun");
        let up = br#"{"brokers":{"127.0.0.1:1/1":{"nodeid":1,"state":"UP"}}}"#;
        assert!(read_statistics(up).unwrap().is_connected);
    }

    #[test]
    fn a_member_that_the_group_has_not_answered_is_joining() {
        let is_joining = |state: &str| {
            let json = format!(r#"{{"brokers":{{}},"cgrp":{{"state":"up","join_state":"{state}"}}}}"#);
            read_statistics(json.as_bytes()).unwrap().is_joining
        };
        assert!(is_joining("wait-join") && is_joining("wait-sync"));
        assert!(!is_joining("steady") && !is_joining("init"));
    }

    #[test]
    fn a_lag_is_told_only_where_end_and_position_are_known() {
        let known = PartitionEnd {
            end: 90,
            unstable: 6,
            is_reached: true,
            queued: 0,
            committed: 70,
            fetch: 80,
        };
        assert_eq!(known.lag(Some(85), -1), Some(5));
        assert_eq!(known.lag(None, -1), Some(20), "from the committed offset on");
        assert_eq!(
            known.lag(Some(95), -1),
            Some(0),
            "the statistics are older than the position"
        );
        // Not fetched: the worker asks for the end itself.
        assert_eq!(known.lag(Some(85), 100), Some(15));
        let not_begun = PartitionEnd {
            committed: -1001,
            fetch: -1001,
            ..known
        };
        assert_eq!(not_begun.lag(None, -1), None, "where it begins is not known");
        let no_end = PartitionEnd { end: -1001, ..known };
        assert_eq!(no_end.lag(Some(85), -1), None);
        let away = PartitionEnd {
            is_reached: false,
            ..known
        };
        assert_eq!(away.lag(Some(85), -1), None, "its end may have moved");
        assert_eq!(away.lag(Some(85), 100), Some(15));
    }

    #[test]
    fn whether_there_are_messages_is_told_by_position() {
        let end = |end, queued, fetch| PartitionEnd {
            end,
            unstable: 0,
            is_reached: true,
            queued,
            committed: -1001,
            fetch,
        };
        assert!(end(100, 3, 100).has_messages(Some(97)), "in the queue");
        assert!(end(100, 0, 97).has_messages(Some(97)), "at the broker");
        assert!(!end(100, 0, 100).has_messages(Some(100)));
        // The offsets from 97 on are transaction markers, or were compacted away.
        assert!(!end(100, 0, 100).has_messages(Some(97)));
        assert!(
            !end(100, 0, 100).has_messages(None),
            "fetched to the end, and there was none"
        );
        assert!(end(100, 0, -1001).has_messages(None), "never begun");
    }
}
