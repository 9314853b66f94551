//! READ FIRST: one partition's loop, on a thread of its own.
//!
//! intake → decode → map → plan → write → commit, one batch after another, each step on this thread. A batch is
//! whatever is in the partition's queue, up to the caps: at low load a message is written alone and at once, at
//! high load batches fill by themselves. The worker blocks on the database; a blocked worker does not take from
//! its queue; a full queue stops its fetches. That is the whole of back-pressure.
//!
//! What must stay true here: an offset is committed only when everything below it is finished; the queue is read
//! by nobody else; and every wait sees the stop flag or has a deadline.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{debug, error, trace, warn};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::broker::commits::{commit_by, send};
use crate::broker::origin::{self, From, NoOrigin, Start};
use crate::broker::topic_ids::{TopicId, TopicIds};
use crate::broker::{Consumer, Context, Partition};
use crate::config::model::OffsetGone;
use crate::ops::counters::Counters;
use crate::ops::exit::Exit;
use crate::ops::memory::MemoryPlan;
use crate::pipeline::commit::OffsetTracker;
use crate::pipeline::disposition::NOT_FOUND;
use crate::pipeline::guard::{Guard, GuardIdentity, OFFSET_END, mark};
use crate::pipeline::map::{Mapping, Message, Reason, Rejection, TopicMapping};
use crate::pipeline::plan::Plan;
use crate::pipeline::row::Row;
use crate::pipeline::write::{Calls, Fatal, Limits, Refusal, RowWriter, Tally, WriteEnd, write};
use crate::pressure::Pressure;
use crate::rebalance::Progress;
use crate::shutdown::{Stop, StopKind};

/// How long an idle worker waits for a message before it looks at the stop flag and the commit interval.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// Between two warnings of one worker that fetching fails.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Messages taken at once, in batches of rows: where many of them concern one record they travel as one row, and a
/// batch can hold more of them than it has rows.
const BATCHES_IN_HAND: usize = 5;

/// What the rows of a batch may weigh (`Row::bytes`), in `batch_bytes_max`s, before no further message is mapped, and
/// what those of one call may: JSON can become much more in memory than it is as text.
const WEIGHT: usize = 4;

/// What all workers share.
pub struct Shared {
    /// The consumer group, part of the guards' names.
    pub group: String,
    pub guard_epoch: u32,
    pub mapping: Arc<Mapping>,
    pub writer: Arc<dyn RowWriter + Send + Sync>,
    pub pressure: Arc<Pressure>,
    pub counters: Arc<Counters>,
    pub topic_ids: Arc<TopicIds>,
    pub offset_gone: OffsetGone,
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
}

impl Shared {
    fn batch_bytes_max(&self) -> usize {
        self.batch_bytes_max.load(Relaxed)
    }

    /// So many partitions are assigned now.
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
enum BatchEnd {
    Finished,
    /// The message at `offset` is rejected: nothing at or above it is committed until a person acts.
    Held {
        offset: i64,
        rejection: Rejection,
    },
    /// Told to stop before everything was written.
    Stopped,
    Fatal(Exit),
}

/// Runs until the stop flag is raised, the partition is lost, or the service cannot go on.
pub fn run(
    shared: &Shared,
    consumer: &Consumer,
    partition: &Partition,
    queue: &PartitionQueue<Context>,
    start: &Start,
    stop: &Stop,
    progress: &Progress,
) -> WorkerEnd {
    let Some(mapping) = shared.mapping.topic(&partition.topic) else {
        error!("worker: no route takes the topic {partition}");
        return WorkerEnd::Fatal(Exit::Configuration);
    };
    let mut worker = Worker {
        shared,
        consumer,
        partition,
        offset_tag: String::new(),
        mapping,
        guard: guard(shared, partition, TopicId::NONE),
        stop,
        progress,
        topic_id: TopicId::NONE,
        begun_at: match start.from {
            From::Offset(offset) => Some(offset),
            From::Oldest => None,
        },
        tracker: start.begin.map_or_else(OffsetTracker::new, OffsetTracker::starting_at),
        last_commit: Instant::now(),
        held: false,
        paused: Cell::new(false),
        resume_again: Cell::new(0),
        dry: Cell::new(Stand {
            own: 0,
            all: shared.bytes_taken.load(Relaxed),
        }),
        bytes_taken: 0,
        carried: None,
        unreadable: None,
        gone: false,
        fetch_warned: None,
    };
    if let Some(offset) = worker.next() {
        progress.set_next(offset);
    }
    let end = match worker.identify(start) {
        Ok(()) => worker.run(queue),
        Err(end) => end,
    };
    worker.resume();
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

struct Worker<'w> {
    shared: &'w Shared,
    consumer: &'w Consumer,
    partition: &'w Partition,
    /// Goes with each offset that is committed.
    offset_tag: String,
    mapping: &'w TopicMapping,
    /// Of the topic that bears this name now; made before the first batch.
    guard: Guard,
    topic_id: TopicId,
    /// Where fetching began; `None`: at the oldest message.
    begun_at: Option<i64>,
    stop: &'w Stop,
    progress: &'w Progress,
    tracker: OffsetTracker,
    last_commit: Instant,
    held: bool,
    /// Fetching is paused.
    paused: Cell<bool>,
    /// So often a resumption is sent again when nothing comes.
    resume_again: Cell<u8>,
    /// Where this partition and all together stood when nothing was left in its queue.
    dry: Cell<Stand>,
    /// Payload bytes taken from the queue so far.
    bytes_taken: u64,
    /// A message whose offset went back, while the batch before it is written.
    carried: Option<BorrowedMessage<'w>>,
    /// Kafka holds something here that cannot be read: nothing behind it may be committed.
    unreadable: Option<KafkaError>,
    /// The offset that is next is not in the log, and librdkafka has ended fetching.
    gone: bool,
    fetch_warned: Option<Instant>,
}

/// Payload bytes taken so far.
#[derive(Debug, Clone, Copy)]
struct Stand {
    own: u64,
    all: u64,
}

enum Commit {
    NotDue,
    Sent,
    /// The partition was taken away: what we know of it is void.
    Lost,
}

impl<'w> Worker<'w> {
    /// Which topic it is that bears this name now.
    fn identify(&mut self, start: &Start) -> Result<(), WorkerEnd> {
        match origin::find(&self.shared.topic_ids, self.partition, start, self.stop) {
            Ok(origin) => {
                self.topic_id = origin.topic_id;
                self.guard = guard(self.shared, self.partition, origin.topic_id);
                self.offset_tag = origin.tag;
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

    fn no_origin(&self, why: &NoOrigin) -> WorkerEnd {
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

    fn log_ends(&self) -> Result<(i64, i64), WorkerEnd> {
        origin::log_ends(self.consumer, self.partition, self.stop).map_err(|why| self.no_origin(&why))
    }

    /// Only the main thread can move fetching that has ended.
    fn again(&self, offset: i64) -> WorkerEnd {
        self.progress.set_again(offset);
        WorkerEnd::Again
    }

    /// The first offset that is not finished, where it is known.
    fn next(&self) -> Option<i64> {
        self.tracker.next().or(self.begun_at)
    }

    fn run(&mut self, queue: &'w PartitionQueue<Context>) -> WorkerEnd {
        // `batch` takes as many of them as make a batch of rows; what `each` makes of one more is cut into calls.
        let messages_max = (BATCHES_IN_HAND * self.shared.batch_rows_max / self.mapping.rows_per_message()).max(1);
        let mut messages: Vec<BorrowedMessage<'w>> = Vec::with_capacity(messages_max);
        while !self.stop.requested() {
            if let Err(end) = self.intake(queue, messages_max, &mut messages) {
                return end;
            }
            let mut rest = messages.as_slice();
            while !rest.is_empty() {
                let (taken, end) = self.batch(rest);
                rest = &rest[taken..];
                match end {
                    BatchEnd::Finished => {}
                    BatchEnd::Held { offset, rejection } => self.hold(offset, &rejection),
                    BatchEnd::Stopped => return WorkerEnd::Stopped,
                    BatchEnd::Fatal(exit) => return WorkerEnd::Fatal(exit),
                }
            }
            messages.clear();
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
        if self.falls_behind() {
            // Paused and resumed it is fetched anew.
            self.pause();
            self.resume();
        }
        let mut bytes = 0;
        while messages.len() < messages_max && bytes < self.shared.batch_bytes_max() {
            let wait = if messages.is_empty() { IDLE_WAIT } else { Duration::ZERO };
            match self.carried.take().map(Ok).or_else(|| queue.poll(wait)) {
                None => {
                    self.dry.set(self.stand());
                    if messages.is_empty() && self.resume_again.get() > 0 {
                        self.resume_again.set(self.resume_again.get() - 1);
                        self.send_resume();
                    }
                    break;
                }
                Some(Ok(message)) if self.tracker.goes_back(message.offset()) => {
                    if !messages.is_empty() {
                        // It begins a batch of its own, when all before it is written.
                        self.carried = Some(message);
                        break;
                    }
                    self.went_back(message.offset());
                    self.progress.set_next(message.offset());
                    (self.tracker, self.begun_at) = (OffsetTracker::new(), Some(message.offset()));
                    self.carried = Some(message);
                }
                Some(Ok(message)) => {
                    bytes += message.payload_len() + message.key_len();
                    self.tracker.handed_over(message.offset());
                    messages.push(message);
                }
                Some(Err(error)) => {
                    self.queue_error(error)?;
                    break;
                }
            }
        }
        self.bytes_taken += bytes as u64;
        self.shared.bytes_taken.fetch_add(bytes as u64, Relaxed);
        self.shared.counters.messages_consumed.add(messages.len() as u64);
        self.shared.counters.messages_in_hand.add(signed(messages.len()));
        self.progress.taken(messages.len() as u64);
        Ok(())
    }

    /// A truncated log gives offsets anew, to other messages; guards know messages by their offsets.
    fn went_back(&self, to: i64) {
        let (partition, from) = (self.partition, self.tracker.next());
        if self.mapping.is_guarded() && from.is_some_and(|from| to < from - 1) {
            error!(
                "kafka: offsets went back, reading on from there; what this partition now holds at offsets that were read \
                 before is taken for applied by the guards {partition} from={from:?} to={to} cure=\"if the log was truncated \
                 (an unclean leader election), stop the service, set run.guard_epoch to another number, and set the \
                 group's offsets to where the log is new\""
            );
        } else {
            warn!(
                "kafka: offsets went back, reading on from there: the partition was truncated, its topic created again, \
                 or (by one) a rebalance came in between {partition} from={from:?} to={to}"
            );
        }
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
                if self.fetch_warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
                    warn!("kafka: fetching fails, it is tried again {partition} error=\"{error}\"");
                    self.fetch_warned = Some(Instant::now());
                }
                self.stop.wait(IDLE_WAIT);
            }
        }
        Ok(())
    }

    /// Maps and writes `messages`, or as many of them as make a batch of rows (an `each` can make many of one); says
    /// how many are dealt with. After any end but `Finished` that is all of them: the rest is given back.
    fn batch(&mut self, messages: &[BorrowedMessage<'_>]) -> (usize, BatchEnd) {
        let rows_max = self.shared.batch_rows_max;
        let mut plan = Plan::with_capacity(messages.len().min(rows_max) * self.mapping.rows_per_message());
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(self.mapping.rows_per_message());
        let now_ms = now_ms();
        let mut rejected = None;
        let mut taken = messages.len();
        for (index, message) in messages.iter().enumerate() {
            let full = plan.records() >= rows_max
                || plan.rows() >= BATCHES_IN_HAND * rows_max
                || plan.bytes() >= WEIGHT * self.shared.batch_bytes_max();
            if full {
                taken = index;
                break;
            }
            let mapped = self
                .mapping
                .apply(index, &self.view(message), now_ms, &mut rows)
                .and_then(|()| self.plan(message.offset(), &mut rows, &mut plan));
            if let Err(rejection) = mapped {
                rejected = Some((index, rejection));
                break;
            }
        }
        // A rejected message ends its batch: what came before it is written, what came behind is given back.
        let judged = rejected.as_ref().map_or(taken, |(index, _)| *index);
        let limits = Limits {
            rows: rows_max,
            bytes: WEIGHT * self.shared.batch_bytes_max(),
            finish_max: self.shared.finish_max,
        };
        let calls = Calls {
            writer: &*self.shared.writer,
            pressure: &self.shared.pressure,
            stop: self.stop,
            meanwhile: &|| {
                if self.falls_behind() {
                    self.pause();
                }
            },
        };
        let written = write(&plan, &limits, &self.guard, &calls);
        if self.paused.get() {
            self.resume();
        }
        self.count(&written.tally);
        // Messages behind the first one that is not done may be written; they come again, and what may not be
        // repeated is guarded.
        let refused = written
            .refused
            .iter()
            .map(|(row, refusal)| (plan.message(*row), *refusal))
            .min();
        let open = written.open.iter().map(|row| plan.message(*row)).min();
        let (finished, end) = match written.end {
            WriteEnd::Finished => {
                if let Some((index, refusal)) = refused {
                    rejected = Some((index, rejection_of(refusal)));
                }
                (refused.map_or(judged, |(index, _)| index), None)
            }
            WriteEnd::Stopped => {
                let first = open.into_iter().chain(refused.map(|(index, _)| index)).min();
                (first.unwrap_or(judged), Some(BatchEnd::Stopped))
            }
            WriteEnd::Fatal(Fatal::Credentials(code)) => {
                error!(
                    "aerospike: refuses to write with these credentials code={code}; give the user the read-write role, \
                     or set aerospike.user and aerospike.password"
                );
                (0, Some(BatchEnd::Fatal(Exit::Credentials)))
            }
            WriteEnd::Fatal(Fatal::NoNamespace(namespace)) => {
                error!(
                    "aerospike: the cluster has no namespace \"{namespace}\" any more; correct aerospike.namespace or the \
                     write's namespace"
                );
                (0, Some(BatchEnd::Fatal(Exit::Configuration)))
            }
        };
        // A rejection behind what a stop or refused credentials cut off is for the next owner to find.
        let rejected = rejected.filter(|_| end.is_none());
        let end = match (end, rejected) {
            (Some(end), _) => end,
            (None, Some((index, rejection))) => BatchEnd::Held {
                offset: messages[index].offset(),
                rejection,
            },
            (None, None) => {
                self.finish(&messages[..taken], finished, false);
                return (taken, BatchEnd::Finished);
            }
        };
        self.finish(messages, finished, matches!(end, BatchEnd::Held { .. }));
        (messages.len(), end)
    }

    /// Moves a message's rows into the plan.
    fn plan<'m>(&self, offset: i64, rows: &mut Vec<Row<'m>>, plan: &mut Plan<'m>) -> Result<(), Rejection> {
        for row in rows.drain(..) {
            let mark = match mark(offset, row.number) {
                Some(mark) => mark,
                None if row.rules.guarded => {
                    return Err(Rejection::new(
                        Reason::TooManyRows,
                        format!("guards can tell apart the messages below offset {OFFSET_END}, and this one is not"),
                    ));
                }
                None => 0,
            };
            plan.push(row, mark);
        }
        Ok(())
    }

    fn count(&self, tally: &Tally) {
        let counters = &self.shared.counters;
        counters.rows_written.add(tally.written);
        counters.rows_merged.add(tally.merged);
        counters.rows_stale.add(tally.stale);
        counters.rows_guard_refused.add(tally.guard_refused);
        counters.rows_ignored.add(tally.ignored);
    }

    /// The first `finished` messages are done; the one behind them is rejected, if any is; the others are given back.
    fn finish(&mut self, messages: &[BorrowedMessage<'_>], finished: usize, rejected: bool) {
        let counters = &self.shared.counters;
        counters.messages_written.add(finished as u64);
        counters.messages_in_hand.add(-signed(messages.len()));
        counters.messages_rejected.add(u64::from(rejected));
        counters
            .messages_returned
            .add((messages.len() - finished - usize::from(rejected)) as u64);
        let next = match (messages.get(finished), messages.last()) {
            (Some(unfinished), _) => unfinished.offset(),
            (None, Some(last)) => last.offset() + 1,
            (None, None) => return,
        };
        self.tracker.finished_below(next);
        self.progress.set_next(next);
        debug!(
            "worker: batch {} messages={} finished={finished} next={next}",
            self.partition,
            messages.len()
        );
    }

    /// Nothing moves until a person acts.
    fn set_held(&mut self) {
        self.held = true;
        self.progress.set_held();
        self.pause();
    }

    fn stand(&self) -> Stand {
        Stand {
            own: self.bytes_taken,
            all: self.shared.bytes_taken.load(Relaxed),
        }
    }

    /// Whether this partition's queue keeps much in memory that others have read: messages of all partitions come in one
    /// answer of a broker, and one that waits keeps the whole of it. (Seen: one partition stuck at a full namespace, 300
    /// messages a second; the others' 100,000 a second were all kept, 1.5 GB within 40 seconds.) So where the queue was
    /// never dry while others took a good deal, and this one less than half of what is usual, its queue is let go.
    fn falls_behind(&self) -> bool {
        let (now, dry) = (self.stand(), self.dry.get());
        let all = now.all.saturating_sub(dry.all);
        if self.paused.get() || all < self.shared.memory.pin_bytes {
            return false;
        }
        let partitions = u64::try_from(self.shared.counters.partitions_assigned.get()).unwrap_or(0);
        let is_slow = 2 * partitions.max(1) * (now.own - dry.own) < all;
        // It begins anew, either way.
        self.dry.set(now);
        is_slow
    }

    /// Ends fetching, and lets go of what is fetched and not taken yet.
    fn pause(&self) {
        if self.paused.replace(true) {
            return;
        }
        self.shared.counters.pauses.add(1);
        debug!("worker: fetching paused, others go on {}", self.partition);
        if let Err(error) = self.consumer.pause(&self.list()) {
            warn!(
                "kafka: fetching for a partition that waits goes on {} error=\"{error}\"",
                self.partition
            );
        }
    }

    /// Fetching begins behind the last message that was taken. A pause outlives an assignment: undone before the
    /// partition is given back, or whoever gets it next in this process would read nothing.
    fn resume(&self) {
        if self.paused.replace(false) {
            self.dry.set(self.stand());
            // librdkafka drops a resumption that a rebalance overtakes (its issue 5591); one more changes nothing.
            self.resume_again.set(3);
            self.send_resume();
        }
    }

    fn send_resume(&self) {
        if let Err(error) = self.consumer.resume(&self.list()) {
            warn!("kafka: fetching stays paused {} error=\"{error}\"", self.partition);
        }
    }

    fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.partition.topic, self.partition.number);
        list
    }

    /// The log went back and the stop came first: the next owner begins where it went back to.
    fn adopt_carried(&mut self) {
        if let Some(message) = self.carried.take() {
            self.tracker = OffsetTracker::starting_at(message.offset());
            self.progress.set_next(message.offset());
        }
    }

    /// What was to be read next is not in the log, and everything before it is finished. Told in any case; then the
    /// configuration decides.
    fn offset_gone(&mut self) -> Result<WorkerEnd, WorkerEnd> {
        let partition = self.partition;
        // A topic that was created again has another log.
        origin::confirm(&self.shared.topic_ids, partition, self.topic_id, self.stop)
            .map_err(|why| self.no_origin(&why))?;
        let (oldest, end) = self.log_ends()?;
        let Some(next) = self.next() else {
            warn!("kafka: the oldest message went before it was read, it is begun again {partition} oldest={oldest}");
            return Ok(self.again(oldest));
        };
        let stops = self.shared.offset_gone == OffsetGone::Stop;
        let done = if stops {
            "the service stops, and nothing is committed past this"
        } else {
            "reading goes on at the oldest message"
        };
        let cure = if stops {
            format!(
                "look for what is missing elsewhere; then, to go on at the oldest message, set the group's offset of this \
                 partition to {oldest} (kafka-consumer-groups.sh --reset-offsets --to-offset), or kafka.offset_gone = \
                 \"earliest\", and start it"
            )
        } else {
            "look for what is missing elsewhere; let the topic keep its messages for longer than an outage lasts".into()
        };
        if next < oldest {
            let count = oldest - next;
            self.shared.counters.offsets_lost.add(count.unsigned_abs());
            error!(
                "kafka: messages are gone before they were read; {done} {partition} from={next} to={oldest} gone={count} \
                 cure=\"{cure}\""
            );
        } else {
            // Where the new log parts from the old one is not known: what has the same offsets may be other messages.
            let guards = if self.mapping.is_guarded() {
                "; guards take other messages at offsets that were read before for applied: set run.guard_epoch to \
                 another number"
            } else {
                ""
            };
            error!(
                "kafka: the log was truncated below what was read of it; {done} {partition} from={next} to={oldest} end={end} \
                 gone=0 cure=\"an unclean leader election does this, or a broker that lost its disk{guards}; {cure}\""
            );
        }
        Ok(if stops {
            WorkerEnd::Fatal(Exit::Rejected)
        } else {
            self.again(oldest)
        })
    }

    fn hold_unreadable(&mut self, error: &KafkaError) {
        self.set_held();
        error!(
            "kafka: a part of the log cannot be read, its partition is held; the other partitions go on {} next={:?} \
             error=\"{error}\" cure=\"look at the broker's disk and at check.crcs; or, to skip it, stop the service, set the \
             group's offset of this partition behind it (kafka-consumer-groups.sh --reset-offsets) and start it\"",
            self.partition,
            self.tracker.next()
        );
    }

    fn hold(&mut self, offset: i64, rejection: &Rejection) {
        self.set_held();
        error!(
            "message rejected, its partition is held; the other partitions go on topic={} partition={} offset={offset} \
             reason={} detail=\"{}\" cure=\"correct the rule and restart; or, to skip this message, stop the service, set \
             the group's offset of this partition to {} (kafka-consumer-groups.sh --reset-offsets --to-offset) and start it\"",
            self.partition.topic,
            self.partition.number,
            rejection.reason.as_str(),
            rejection.detail,
            offset + 1
        );
    }

    fn commit_if_due(&mut self) -> Commit {
        if self.last_commit.elapsed() < self.shared.commit_interval || self.stop.kind() == Some(StopKind::Abandon) {
            return Commit::NotDue;
        }
        self.last_commit = Instant::now();
        self.commit(CommitMode::Async)
    }

    /// Commits the next offset. `Sync` waits for the coordinator's answer, and sends also what an asynchronous
    /// commit may have sent already: only an answer makes sure of it.
    fn commit(&mut self, mode: CommitMode) -> Commit {
        if self.progress.take_commit_failed() {
            self.tracker.commit_failed();
        }
        if self.tracker.is_clear()
            && !self.held
            && let Some(position) = self.position()
        {
            self.tracker.all_finished_at(position);
        }
        if let Some(next) = self.tracker.next() {
            self.progress.set_next(next);
        }
        let next = match mode {
            CommitMode::Async => self.tracker.due(),
            CommitMode::Sync => self.tracker.next(),
        };
        let Some(next) = next else { return Commit::NotDue };
        let partition = self.partition;
        let mut offsets = TopicPartitionList::with_capacity(1);
        if let Err(error) = offsets.add_partition_offset(&partition.topic, partition.number, Offset::Offset(next)) {
            error!("kafka: an offset that cannot be committed {partition} next={next} error=\"{error}\"");
            return Commit::NotDue;
        }
        if let Some(mut element) = offsets.find_partition(&partition.topic, partition.number)
            && !self.offset_tag.is_empty()
        {
            element.set_metadata(&self.offset_tag);
        }
        // The fence: an explicit commit is accepted from anybody, storing an offset only from the owner.
        if let Err(error) = self.consumer.store_offsets(&offsets) {
            warn!(
                "kafka: the partition is no longer ours, nothing is committed {partition} next={next} error=\"{error}\""
            );
            return Commit::Lost;
        }
        let sent = match mode {
            CommitMode::Async => send(self.consumer, &offsets),
            CommitMode::Sync => commit_by(self.consumer, &offsets, self.commit_deadline()),
        };
        match sent {
            Ok(()) => {
                trace!("kafka: commit {partition} next={next} mode={mode:?}");
                self.tracker.committed(next);
            }
            Err(error) => {
                self.shared.counters.commit_errors.add(1);
                match mode {
                    CommitMode::Async => warn!("kafka: commit not sent, tried again {partition} error=\"{error}\""),
                    CommitMode::Sync => {
                        self.consumer
                            .context()
                            .failed_commits()
                            .last_failed(partition, next, &error);
                    }
                }
            }
        }
        if matches!(mode, CommitMode::Sync) {
            debug!("worker: left {partition} committed={next}");
        }
        Commit::Sent
    }

    /// Nothing is written any more, so the partition may be given back without the answer: in time, before the main
    /// thread loses its patience.
    fn commit_deadline(&self) -> Instant {
        self.stop.requested_at().unwrap_or_else(Instant::now) + self.shared.commit_max
    }

    /// Where the consumer stands: behind the last message it was handed, and behind the gaps that follow it
    /// (transaction markers move it too).
    fn position(&self) -> Option<i64> {
        self.consumer
            .position()
            .ok()?
            .find_partition(&self.partition.topic, self.partition.number)
            .and_then(|element| match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
    }

    fn view<'m>(&self, message: &'m BorrowedMessage<'_>) -> Message<'m> {
        let headers = match message.headers() {
            Some(headers) if self.mapping.wants_headers() => headers.iter().map(|h| (h.key, h.value)).collect(),
            _ => Vec::new(),
        };
        Message {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            payload: message.payload(),
            headers,
        }
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

/// Why a message is rejected whose row will not be written.
fn rejection_of(refusal: Refusal) -> Rejection {
    let (reason, detail) = match refusal {
        Refusal::Code(code) => (
            Reason::Database(code),
            format!("the database refuses its row with result code {code}"),
        ),
        Refusal::Unsendable => (
            Reason::Unsendable,
            "the database client cannot make a request of its row".to_owned(),
        ),
        Refusal::Conflict(NOT_FOUND) => (
            Reason::Conflict,
            "there is no such record, and mode = \"update_only\"".to_owned(),
        ),
        Refusal::Conflict(_) => (
            Reason::Conflict,
            "the record is there already, and mode = \"create\" (unguarded, where an answer was lost, it may be by this \
             message's own doing)"
                .to_owned(),
        ),
        Refusal::InDoubt => (
            Reason::InDoubt,
            "its row may have been applied or not, and cannot be repeated (in_doubt): look at the record".to_owned(),
        ),
    };
    Rejection::new(reason, detail)
}

/// Milliseconds since the epoch; a clock before 1970 reads as 0.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A count as a signed number; none of ours comes near the bound.
fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
