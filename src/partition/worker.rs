//! READ FIRST: one partition's loop, on an OS thread of its own.
//!
//! intake → decode → map → plan → write → publish → commit, one batch after another, each step on this thread.
//! A batch is whatever is in the partition's queue, up to the caps: at low load a message is written alone and at
//! once, at high load batches fill by themselves. The worker blocks on the database. A blocked worker does not take
//! from its queue. A full queue stops its fetches. That is all of back-pressure.
//!
//! What must stay true here: an offset is committed only when everything below it is finished; nobody else reads the
//! queue; and every wait sees the stop flag or has a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{debug, error, warn};
use rdkafka::consumer::CommitMode;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::config::model::{Kafka, OffsetGone, RejectAction};
use crate::delivery::commit::OffsetTracker;
use crate::delivery::guard::{Guard, GuardIdentity};
use crate::delivery::pressure::Pressure;
use crate::delivery::publish::Publisher;
use crate::delivery::reject_limit::Rejects;
use crate::delivery::write::RowWriter;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::TopicIds;
use crate::kafka::consumer::epoch;
use crate::kafka::consumer::origin::{self, NoOrigin, PartitionStart, StartOffset};
use crate::kafka::{Consumer, Context, Partition};
use crate::message::Rejection;
use crate::observe::counters::Counters;
use crate::partition::batch::Broken;
use crate::partition::epochs::Epochs;
use crate::partition::fetching::Fetching;
use crate::partition::hooks::Hooks;
use crate::partition::offsets::Commit;
use crate::partition::pending::Pending;
use crate::partition::progress::Progress;
use crate::rules::code::{Checked, TopicProcessor};
use crate::util::exit::Exit;
use crate::util::memory::MemoryPlan;
use crate::util::stop::{Stop, StopKind};
use crate::util::throttle::Throttle;

/// How long an idle worker waits for a message before it looks at the stop flag and the commit interval.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// With messages that wait for acknowledgements: then those are waited for.
const DRY_WAIT: Duration = Duration::from_millis(5);

/// Messages taken at once, in batches of rows: where many of them concern one record they travel as one row, and a
/// batch can hold more of them than it has rows.
pub(super) const BATCHES_IN_HAND: usize = 5;

/// What the rows of a batch may weigh (`Row::bytes`), in `batch_bytes_max`s, before no further message is mapped, and
/// what those of one call may: JSON can become much more in memory than it is as text.
pub(super) const WEIGHT: usize = 4;

/// What all workers share.
pub struct Shared {
    /// The consumer group, part of the guards' names.
    pub group: String,
    /// As configured: what a person is told to ask.
    pub brokers: String,
    pub guard_epoch: u32,
    pub processors: Checked,
    pub writer: Arc<dyn RowWriter + Send + Sync>,
    pub pressure: Arc<Pressure>,
    pub counters: Arc<Counters>,
    pub topic_ids: Arc<TopicIds>,
    pub offset_gone: OffsetGone,
    /// How Kafka is reached: where a log was cut is asked with a client of its own.
    pub kafka: Kafka,
    /// What becomes of a rejected message.
    pub reject: RejectAction,
    pub rejects: Arc<Rejects>,
    /// Where anything is produced.
    pub publisher: Option<Arc<dyn Publisher>>,
    pub batch_rows_max: usize,
    /// Less where more partitions are assigned than the memory was sized for.
    pub batch_bytes_max: AtomicUsize,
    pub memory: MemoryPlan,
    /// Payload bytes that all workers have taken from their queues so far.
    pub bytes_taken: AtomicU64,
    pub commit_interval: Duration,
    /// How long after a stop, or the worker's own end, the answer to the last commit is waited for.
    pub commit_max: Duration,
    /// How long after a stop a batch in hand is finished, if the database is well.
    pub finish_max: Duration,
    /// Where tests step in.
    pub hooks: Arc<dyn Hooks>,
}

impl Shared {
    pub(super) fn batch_bytes_max(&self) -> usize {
        self.batch_bytes_max.load(Relaxed)
    }

    /// Sizes the batches for the number of partitions that are assigned now.
    pub fn assigned(&self, partitions: usize) {
        let planned = self.memory.partitions;
        let partitions = partitions as u64;
        let bytes = usize::try_from(self.memory.batch_bytes_for(partitions)).unwrap_or(usize::MAX);
        let before = self.batch_bytes_max.swap(bytes, Relaxed);
        if bytes < before {
            warn!(
                "memory: {partitions} partitions are assigned and the bound was sized for {planned}: batches are {} KiB \
                 at the most now, and the bound may be passed cure=\"raise run.memory, or run.partitions_max where it is \
                 set, and restart; or start another process\"",
                bytes / 1024
            );
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("batch_rows_max", &self.batch_rows_max)
            .finish_non_exhaustive()
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// Told to, and left in order.
    Stopped,
    /// The partition is another member's: nothing more was committed.
    Lost,
    /// Another worker is to begin elsewhere, as its progress says.
    Again,
    /// The service cannot go on.
    Fatal(Exit),
}

/// How a batch ended.
pub(super) enum BatchEnd {
    Finished,
    /// The message at `offset` is rejected: nothing at or above it is committed until a person acts.
    Held {
        offset: i64,
        rejection: Rejection,
    },
    /// Told to stop before everything was written, or the service cannot go on.
    Broken(Broken),
}

/// Runs until the stop flag is raised, the partition is lost, or the service cannot go on.
pub fn run(
    shared: &Shared,
    consumer: &Consumer,
    partition: &Partition,
    queue: &PartitionQueue<Context>,
    start: &PartitionStart,
    stop: &Stop,
    progress: &Progress,
) -> WorkerEnd {
    let Some(processor) = shared.processors.topic(&partition.topic) else {
        error!("worker: no route takes the topic {partition}");
        return WorkerEnd::Fatal(Exit::Configuration);
    };
    let mut worker = Worker {
        shared,
        consumer,
        partition,
        offset_tag: String::new(),
        processor,
        guard: guard(shared, partition, TopicId::NONE),
        stop,
        progress,
        topic_id: TopicId::NONE,
        begun_at: match start.from {
            StartOffset::Offset(offset) => Some(offset),
            StartOffset::Oldest => None,
        },
        tracker: start.begin.map_or_else(OffsetTracker::new, OffsetTracker::starting_at),
        epochs: Epochs::default(),
        last_commit: Instant::now(),
        held: false,
        fetching: Fetching::new(shared, consumer, partition, progress),
        pending: Pending::new(stop),
        carried: None,
        unreadable: None,
        gone: false,
        fetch_lines: Throttle::default(),
        unverified: None,
        consecutive_rejects: 0,
    };
    if let Some(offset) = worker.next() {
        progress.set_next(offset);
    }
    let end = match worker.identify(start) {
        Ok(()) => worker.run(queue),
        Err(end) => end,
    };
    let end = worker.close(end);
    worker.fetching.resume();
    worker.adopt_carried();
    match end {
        WorkerEnd::Lost => end,
        _ if stop.kind() == Some(StopKind::Abandon) => WorkerEnd::Lost,
        _ => match worker.commit(CommitMode::Sync) {
            Commit::Lost => WorkerEnd::Lost,
            Commit::Sent | Commit::NotDue => end,
        },
    }
}

pub(super) struct Worker<'w> {
    pub(super) shared: &'w Shared,
    pub(super) consumer: &'w Consumer,
    pub(super) partition: &'w Partition,
    /// Goes with each offset that is committed.
    pub(super) offset_tag: String,
    pub(super) processor: &'w TopicProcessor,
    /// Of the topic that bears this name now; made before the first batch.
    pub(super) guard: Guard,
    pub(super) topic_id: TopicId,
    /// Where fetching began; `None`: at the oldest message.
    pub(super) begun_at: Option<i64>,
    pub(super) stop: &'w Stop,
    pub(super) progress: &'w Progress,
    pub(super) tracker: OffsetTracker,
    pub(super) epochs: Epochs,
    pub(super) last_commit: Instant,
    pub(super) held: bool,
    pub(super) fetching: Fetching<'w>,
    pub(super) pending: Pending,
    /// A message whose offset went back, while the batch before it is written.
    pub(super) carried: Option<BorrowedMessage<'w>>,
    /// Kafka holds something here that cannot be read: nothing behind it may be committed.
    pub(super) unreadable: Option<KafkaError>,
    /// The offset that is next is not in the log, and librdkafka has ended fetching.
    pub(super) gone: bool,
    pub(super) fetch_lines: Throttle,
    /// The epoch of what was read before `begun_at`, until the first message shows that it is of the same leader.
    pub(super) unverified: Option<i32>,
    /// How many messages in a row were rejected.
    pub(super) consecutive_rejects: u32,
}

impl<'w> Worker<'w> {
    /// Which topic it is that bears this name now.
    fn identify(&mut self, start: &PartitionStart) -> Result<(), WorkerEnd> {
        match origin::find(&self.shared.topic_ids, self.partition, start, self.stop) {
            Ok(origin) => {
                self.topic_id = origin.topic_id;
                self.guard = guard(self.shared, self.partition, origin.topic_id);
                self.offset_tag = origin.tag;
                self.progress.set_begun();
                if let Some(offset) = self.begun_at {
                    self.epochs = Epochs::starting_at(offset, origin.epoch);
                    self.unverified = origin.epoch;
                }
                debug!(
                    "worker: begins {} from={} topic_id={} guard={}",
                    self.partition,
                    start.from,
                    origin.topic_id,
                    self.guard.bin()
                );
                Ok(())
            }
            Err(NoOrigin::Former) => {
                // What is known of its offsets is of another log.
                (self.tracker, self.begun_at) = (OffsetTracker::new(), None);
                Err(match self.log_ends() {
                    Ok((oldest, _)) => self.again(oldest),
                    Err(end) => end,
                })
            }
            Err(why) => Err(self.no_origin(&why)),
        }
    }

    pub(super) fn no_origin(&self, why: &NoOrigin) -> WorkerEnd {
        match why {
            NoOrigin::Refused(why) => {
                error!(
                    "kafka refuses to describe the topic: {why}; grant the user READ on the topic {}",
                    self.partition
                );
                WorkerEnd::Fatal(Exit::Credentials)
            }
            NoOrigin::Stopped | NoOrigin::Former => WorkerEnd::Stopped,
        }
    }

    pub(super) fn log_ends(&self) -> Result<(i64, i64), WorkerEnd> {
        origin::log_ends(self.consumer, self.partition, self.stop).map_err(|why| self.no_origin(&why))
    }

    /// Only the main thread can move fetching that has ended.
    pub(super) fn again(&self, offset: i64) -> WorkerEnd {
        self.progress.set_again(offset);
        WorkerEnd::Again
    }

    /// The first offset that is not finished, where it is known.
    pub(super) fn next(&self) -> Option<i64> {
        self.tracker.next().or(self.begun_at)
    }

    fn run(&mut self, queue: &'w PartitionQueue<Context>) -> WorkerEnd {
        // `batch` takes as many of them as make a batch of rows; what `each` makes of one more is cut into calls.
        let messages_max = (BATCHES_IN_HAND * self.shared.batch_rows_max / self.processor.rows_per_message()).max(1);
        let mut messages: Vec<BorrowedMessage<'w>> = Vec::with_capacity(messages_max);
        while !self.stop.requested() {
            if let Err(end) = self.intake(queue, messages_max, &mut messages) {
                return end;
            }
            if !messages.is_empty() {
                self.shared.hooks.batch_in_hand(self.partition);
            }
            let is_dry = messages.is_empty();
            let mut rest = messages.as_slice();
            while !rest.is_empty() {
                let (taken, end) = self.batch(rest);
                rest = &rest[taken..];
                match end {
                    BatchEnd::Finished => {}
                    BatchEnd::Held { offset, rejection } => self.hold(offset, &rejection),
                    BatchEnd::Broken(broken) => return broken.into(),
                }
            }
            messages.clear();
            // There is nothing else to do, or nothing comes behind it.
            if (is_dry || self.unreadable.is_some() || self.gone)
                && let Err(broken) = self.settle()
            {
                return broken.into();
            }
            self.progress.nothing_in_hand();
            if !self.held
                && let Some(error) = self.unreadable.take()
            {
                self.hold_unreadable(&error);
            }
            if !self.held && self.gone {
                return self.offset_gone().unwrap_or_else(|end| end);
            }
            if self.held {
                // Nothing moves until a person acts: commit what came before, and wait for the end.
                while !self.stop.wait(self.shared.commit_interval) {
                    if let Commit::Lost = self.commit_if_due() {
                        return WorkerEnd::Lost;
                    }
                    self.fetching.look_at_end();
                }
            } else if let Commit::Lost = self.commit_if_due() {
                return WorkerEnd::Lost;
            }
        }
        WorkerEnd::Stopped
    }

    /// Takes what is there, up to the caps. Waits only for the first message, and for no linger.
    fn intake(
        &mut self,
        queue: &'w PartitionQueue<Context>,
        messages_max: usize,
        messages: &mut Vec<BorrowedMessage<'w>>,
    ) -> Result<(), WorkerEnd> {
        if self.fetching.falls_behind() {
            // Paused and resumed it is fetched anew.
            self.fetching.pause();
            self.fetching.resume();
        }
        let mut bytes = 0;
        while messages.len() < messages_max && bytes < self.shared.batch_bytes_max() {
            let nothing_to_do = messages.is_empty() && self.pending.is_empty();
            let wait = match messages.is_empty() {
                true if nothing_to_do => IDLE_WAIT,
                true => DRY_WAIT,
                false => Duration::ZERO,
            };
            match self.carried.take().map(Ok).or_else(|| queue.poll(wait)) {
                None => {
                    self.fetching.is_dry(nothing_to_do);
                    break;
                }
                Some(Ok(message)) if self.tracker.goes_back(message.offset()) => {
                    if !nothing_to_do {
                        // It begins a batch of its own, when all before it is finished.
                        self.carried = Some(message);
                        break;
                    }
                    self.went_back(message.offset());
                    self.progress.set_next(message.offset());
                    (self.tracker, self.begun_at) = (OffsetTracker::new(), Some(message.offset()));
                    self.epochs = Epochs::default();
                    self.carried = Some(message);
                }
                // It is not taken: it comes again, if the log is the one that was read.
                Some(Ok(message)) if self.is_of_another_leader(&message) && self.verify() => break,
                Some(Ok(message)) => {
                    bytes += message.payload_len() + message.key_len();
                    self.tracker.handed_over(message.offset());
                    if self.next().is_none() {
                        self.begun_at = Some(message.offset());
                        self.progress.set_next(message.offset());
                    }
                    messages.push(message);
                }
                Some(Err(error)) => {
                    self.queue_error(error)?;
                    break;
                }
            }
        }
        self.epochs
            .handed_over(messages, BorrowedMessage::offset, epoch::of_message);
        self.fetching.took(bytes as u64);
        self.shared.counters.messages_consumed.add(messages.len() as u64);
        self.shared.counters.messages_in_hand.add(signed(messages.len()));
        self.progress.taken(messages.len() as u64);
        Ok(())
    }

    fn queue_error(&mut self, error: KafkaError) -> Result<(), WorkerEnd> {
        let partition = self.partition;
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
                error!("kafka: reading is refused {partition} error=\"{error}\"; grant the user READ on the topic");
                return Err(WorkerEnd::Fatal(Exit::Credentials));
            }
            // Told once, and then librdkafka goes on behind it: a checksum that fails (`check.crcs`), a format that
            // it does not know.
            Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::NotImplemented) => self.unreadable = Some(error),
            // Everything fetched before it is in front of it.
            Some(RDKafkaErrorCode::AutoOffsetReset) => self.gone = true,
            // It goes on by itself, or with the next rebalance.
            _ => {
                if self.fetch_lines.pass().is_some() {
                    warn!("kafka: fetching fails, it is tried again {partition} error=\"{error}\"");
                }
                self.stop.wait(IDLE_WAIT);
            }
        }
        Ok(())
    }

    /// Nothing moves until a person acts.
    pub(super) fn set_held(&mut self, why: String) {
        self.held = true;
        self.progress.set_held(why);
        self.fetching.pause();
    }
}

fn guard(shared: &Shared, partition: &Partition, topic_id: TopicId) -> Guard {
    Guard::new(&GuardIdentity {
        group: &shared.group,
        topic_id: *topic_id.as_bytes(),
        topic: &partition.topic,
        partition: partition.number,
        epoch: shared.guard_epoch,
    })
}

/// Milliseconds since the epoch; a clock before 1970 reads as 0.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A count as a signed number; none of ours comes near the bound.
pub(super) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
