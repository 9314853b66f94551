//! The workers of this process: one thread per assigned partition. It starts when the partition is assigned, and is
//! joined before the partition is given back.
//!
//! This is the only place that spawns workers. [`Workers::begin`] and [`Workers::revoke`] run on the main thread,
//! inside librdkafka's rebalance callback. Nothing in them may wait for something that only the main thread's `poll`
//! serves.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{debug, error, warn};
use parking_lot::Mutex;
use rdkafka::error::{KafkaError, KafkaResult};

use crate::kafka::Partition;
use crate::kafka::consumer::commits::{refuses_epoch, refuses_metadata};
use crate::kafka::consumer::committed::Committed;
use crate::kafka::consumer::group::Assignment;
use crate::kafka::consumer::origin::{LettersHint, PartitionStart, StartOffset};
use crate::observe::snapshot::{Board, PartitionState, PartitionView};
use crate::partition::ends::WorkerEnd;
use crate::partition::progress::{Held, Progress};
use crate::partition::shared::Shared;
use crate::partition::worker;
use crate::service::watchdog::{Mark, Standing};
use crate::util::exit::Exit;
use crate::util::stop::{Stop, StopKind, leave_now};

/// How often the board is told that the main thread waits for workers.
const TELLS: Duration = Duration::from_secs(1);

/// What a worker tells the main thread. Each worker sends at most one event, and the channel has room for all of them.
#[derive(Debug)]
pub enum Event {
    /// The service cannot go on. The worker has logged the reason.
    Fatal(Exit),
}

/// All workers of this process.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
    events: Sender<Event>,
    /// Told what the main thread waits for.
    board: Arc<Board>,
    shutdown_grace: Duration,
    running: Mutex<HashMap<Partition, Handle>>,
}

#[derive(Debug)]
struct Handle {
    stop: Stop,
    progress: Arc<Progress>,
    end: Receiver<WorkerEnd>,
    thread: JoinHandle<()>,
    /// What told the worker from where on letters are.
    letters: LettersHint,
}

/// What a worker that has ended leaves to the next one.
struct Left {
    partition: Partition,
    progress: Arc<Progress>,
    letters: LettersHint,
}

impl Left {
    fn of(partition: &Partition, handle: &Handle) -> Left {
        Left {
            partition: partition.clone(),
            progress: handle.progress.clone(),
            letters: handle.letters.clone(),
        }
    }

    /// The start of the next worker's letters, if it starts at `from`.
    fn letters(&self, from: StartOffset) -> LettersHint {
        let known = self.progress.letters_from(from.known());
        known.map_or_else(|| self.letters.clone(), LettersHint::Known)
    }
}

impl Workers {
    pub fn new(shared: Arc<Shared>, events: Sender<Event>, board: Arc<Board>, shutdown_grace: Duration) -> Self {
        Workers {
            shared,
            events,
            board,
            shutdown_grace,
            running: Mutex::default(),
        }
    }

    /// Restarts a partition that stays ours. First its worker is stopped without a commit, and joined. The new worker
    /// starts at `at`. Without `at` it starts at the first offset that the old worker has not finished. It never starts
    /// above `at_most`.
    ///
    /// The partition is unassigned and assigned again. Only this makes librdkafka fetch again where fetching has ended,
    /// and it throws away what was fetched before. Where a rebalance revokes all partitions (`range`), librdkafka
    /// cannot assign a single one. Then the other workers are stopped as at a revocation, and restarted where they
    /// were.
    ///
    /// # Errors
    /// When the consumer refuses. Then nobody reads the partition.
    pub fn restart(
        &self,
        assignment: &impl Assignment,
        partition: &Partition,
        at: Option<i64>,
        at_most: i64,
    ) -> KafkaResult<Option<StartOffset>> {
        let whole = assignment.is_whole();
        let (handle, others) = {
            let mut running = self.running.lock();
            let Some(handle) = running.remove(partition) else {
                return Ok(None);
            };
            let others: Vec<(Partition, Handle)> = if whole { running.drain().collect() } else { Vec::new() };
            (handle, others)
        };
        let mut left = vec![Left::of(partition, &handle)];
        for (other, handle) in &others {
            handle.stop.request(StopKind::Drain);
            left.push(Left::of(other, handle));
        }
        self.join_or_leave(vec![(partition.clone(), handle)], StopKind::Abandon);
        self.join_or_leave(others, StopKind::Drain);
        let from = start_offset(at, left[0].progress.next(), at_most);
        let from_of = |progress: &Progress| start_offset(progress.again(), progress.next(), i64::MAX);
        let kept = left[1..].iter().map(|left| from_of(&left.progress));
        let offsets: Vec<StartOffset> = std::iter::once(from).chain(kept).collect();
        let partitions = left.iter().map(|left| left.partition.clone());
        let froms: Vec<(Partition, StartOffset)> = partitions.zip(offsets).collect();
        if !whole {
            assignment.unassign(&froms)?;
        }
        for (left, (partition, from)) in left.iter().zip(&froms) {
            let topic_id = assignment.topic_id(&partition.topic);
            let start = PartitionStart::again(*from, topic_id, left.letters(*from));
            self.start(assignment, partition, start);
        }
        assignment.assign(&froms)?;
        Ok(Some(from))
    }

    /// Starts the worker of each partition, at the group's committed offset if there is one.
    pub fn begin(
        &self,
        assignment: &impl Assignment,
        partitions: &[Partition],
        committed: &HashMap<Partition, Committed>,
    ) {
        for partition in partitions {
            let topic_id = assignment.topic_id(&partition.topic);
            let start = PartitionStart::at(committed.get(partition), topic_id);
            self.start(assignment, partition, start);
        }
        self.counted();
    }

    /// Partitions whose workers have ended because they must restart at another offset; and that offset.
    pub fn to_begin_again(&self) -> Vec<(Partition, i64)> {
        let running = self.running.lock();
        let ended = running.iter().filter(|(_, handle)| handle.thread.is_finished());
        ended
            .filter_map(|(partition, handle)| Some((partition.clone(), handle.progress.again()?)))
            .collect()
    }

    fn start(&self, assignment: &impl Assignment, partition: &Partition, start: PartitionStart) {
        let Some(source) = assignment.source(partition) else {
            self.fatal(
                Exit::Restart,
                format_args!("kafka: cannot split the queue of {partition}"),
            );
            return;
        };
        let stop = Stop::new();
        let letters = start.letters.clone();
        let progress = Arc::new(Progress::default());
        let (end_sender, end) = bounded(1);
        let thread = {
            let (shared, events) = (self.shared.clone(), self.events.clone());
            let (partition, stop, progress) = (partition.clone(), stop.clone(), progress.clone());
            thread::Builder::new().name(thread_name(&partition)).spawn(move || {
                let run = || worker::run(&shared, &source, &start, &stop, &progress);
                let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
                    error!("worker: panicked; the others drain and the service stops {partition}");
                    WorkerEnd::Fatal(Exit::Panic)
                });
                // This drops the queue's handle, and with it the last reference to the consumer. It must happen
                // before the worker reports its end: an old and a new handle would share one fetch queue.
                drop(source);
                if let WorkerEnd::Fatal(exit) = result {
                    let _ = events.try_send(Event::Fatal(exit));
                }
                let _ = end_sender.send(result);
            })
        };
        match thread {
            Ok(thread) => {
                let handle = Handle {
                    stop,
                    progress,
                    end,
                    thread,
                    letters,
                };
                let before = self.running.lock().insert(partition.clone(), handle);
                assert!(before.is_none(), "one worker a partition: {partition}");
            }
            Err(error) => self.fatal(
                Exit::Restart,
                format_args!("worker: cannot start a thread {partition} error=\"{error}\""),
            ),
        }
    }

    /// Stops and joins the workers of a topic that was deleted and created again. They do not commit: their offsets
    /// belong to a log that no longer exists.
    pub fn abandon_topic(&self, topic: &str) {
        let partitions: Vec<Partition> = {
            let running = self.running.lock();
            running.keys().filter(|each| &*each.topic == topic).cloned().collect()
        };
        self.revoke(&partitions, StopKind::Abandon);
    }

    fn join_or_leave(&self, handles: Vec<(Partition, Handle)>, kind: StopKind) {
        if !self.join(
            "Partitions change hands",
            handles,
            kind,
            Instant::now() + self.shutdown_grace,
        ) {
            // The partition's next owner must not start while a worker of ours may still write. Only the end of this
            // process ensures that.
            error!(
                "worker: did not leave within run.shutdown_grace; leaving at once, to be restarted: stopped {} in_hand={}",
                self.shared.counters.account(),
                self.shared.counters.messages_in_hand.get()
            );
            leave_now(Exit::Restart);
        }
    }

    /// Stops and joins all workers. Returns whether all ended in time, and how many partitions waited at a rejected
    /// message.
    pub fn stop_all(&self, kind: StopKind, deadline: Instant) -> (bool, usize) {
        let handles: Vec<(Partition, Handle)> = self.running.lock().drain().collect();
        let progress: Vec<Arc<Progress>> = handles.iter().map(|(_, handle)| handle.progress.clone()).collect();
        let in_time = self.join("Stopping", handles, kind, deadline);
        self.shared.counters.partitions_assigned.set(0);
        // This is read after the join, because a message may be rejected in the last batch.
        (in_time, progress.iter().filter(|p| p.is_held()).count())
    }

    /// Tells all these workers to stop, then joins each one. `false` if the deadline passed first; then the others keep
    /// running. `why`: for the board, because the main thread takes no snapshots while it is here.
    fn join(&self, why: &str, handles: Vec<(Partition, Handle)>, kind: StopKind, deadline: Instant) -> bool {
        for (_, handle) in &handles {
            handle.stop.request(kind);
        }
        let mut in_time = true;
        let mut left = handles.len();
        for (partition, handle) in handles {
            let tell = || {
                let noun = if left == 1 {
                    "partition finishes"
                } else {
                    "partitions finish"
                };
                self.board
                    .waiting(&format!("{why}: {left} {noun} what is in hand; nothing is lost."));
            };
            match await_end(&handle.end, deadline, tell) {
                Some(end) => {
                    debug!("worker: ended {partition} end={end:?}");
                    if handle.thread.join().is_err() {
                        error!("worker: panicked while ending {partition}");
                    }
                }
                None => {
                    warn!("worker: still busy at the deadline {partition}");
                    in_time = false;
                }
            }
            left -= 1;
        }
        in_time
    }

    /// How many partitions this process has.
    pub fn count(&self) -> usize {
        self.running.lock().len()
    }

    /// How far each worker is. `has_messages` gets a worker's next offset and says whether Kafka has messages there.
    pub fn standings(&self, has_messages: impl Fn(&Partition, Option<i64>) -> bool) -> Vec<Standing> {
        let standing = |(partition, handle): (&Partition, &Handle)| {
            let progress = &handle.progress;
            let next = progress.next();
            Standing {
                partition: partition.clone(),
                mark: Mark {
                    next,
                    taken: progress.taken(),
                },
                has_work: progress.is_in_hand() || has_messages(partition, next),
                is_held: progress.is_held(),
            }
        };
        self.running.lock().iter().map(standing).collect()
    }

    /// The state of each partition, as its worker reports it. The lag is not filled in.
    pub fn views(&self) -> Vec<PartitionView> {
        let running = self.running.lock();
        let view = |(partition, handle): (&Partition, &Handle)| {
            let progress = &handle.progress;
            let (state, why) = match progress.held() {
                Some(held) => (PartitionState::Held, held.why.clone()),
                None if handle.thread.is_finished() => (PartitionState::Restarting, String::new()),
                None if !progress.is_begun() => (PartitionState::Starting, String::new()),
                None => (PartitionState::Ok, String::new()),
            };
            PartitionView {
                topic: partition.topic.clone(),
                number: partition.number,
                state,
                why,
                next_offset: progress.next(),
                lag: None,
                // The age is unknown here. The caller, which looks every second, finds it out.
                oldest_in_hand: progress.is_behind().then_some(Duration::ZERO),
            }
        };
        running.iter().map(view).collect()
    }

    /// A partition that is still ours, but whose worker has ended although nobody stopped it.
    pub fn ended_unasked(&self) -> Option<Partition> {
        let running = self.running.lock();
        let ended = |handle: &Handle| handle.thread.is_finished() && !handle.stop.requested();
        running
            .iter()
            .find(|(_, handle)| ended(handle))
            .map(|(partition, _)| partition.clone())
    }

    /// How many workers do not know their topic's id yet.
    pub fn unbegun(&self) -> usize {
        let running = self.running.lock();
        let unbegun = |handle: &&Handle| !handle.progress.is_begun() && !handle.thread.is_finished();
        running.values().filter(unbegun).count()
    }

    /// The partitions that wait until a person acts, each with its reason.
    pub fn held(&self) -> Vec<(Partition, Held)> {
        let running = self.running.lock();
        let held = running.iter().filter_map(|(partition, handle)| {
            let held = handle.progress.held()?.clone();
            Some((partition.clone(), held))
        });
        let mut held: Vec<_> = held.collect();
        held.sort_by(|(one, _), (other, _)| one.cmp(other));
        held
    }

    /// Whether the partition has a worker here.
    pub fn has(&self, partition: &Partition) -> bool {
        self.running.lock().contains_key(partition)
    }

    /// Updates the gauge after the number of partitions has changed.
    fn counted(&self) {
        let partitions = self.running.lock().len();
        let counters = &self.shared.counters;
        counters
            .partitions_assigned
            .set(i64::try_from(partitions).unwrap_or(i64::MAX));
        self.shared.sizes.assigned(partitions);
    }

    /// Stops and joins the workers of `partitions`. When this returns, they have committed what they wrote (unless
    /// `kind` tells them to abandon it), and hold no message of the partition.
    pub fn revoke(&self, partitions: &[Partition], kind: StopKind) {
        let handles: Vec<(Partition, Handle)> = {
            let mut running = self.running.lock();
            partitions
                .iter()
                .filter_map(|p| running.remove(p).map(|handle| (p.clone(), handle)))
                .collect()
        };
        self.join_or_leave(handles, kind);
        self.counted();
    }

    /// Tells the worker that a commit of this partition failed, so that it commits those offsets again.
    pub fn commit_failed(&self, partition: &Partition, error: &KafkaError) {
        if let Some(handle) = self.running.lock().get(partition) {
            if refuses_epoch(error) {
                handle.progress.set_epoch_refused();
            }
            if refuses_metadata(error) {
                handle.progress.set_metadata_refused();
            }
            handle.progress.set_commit_failed();
        }
    }

    /// Each worker's partition, its next offset if it is known, and the end of its log if the worker has asked for it
    /// (otherwise -1).
    pub fn positions(&self) -> Vec<(Partition, Option<i64>, i64)> {
        let position = |(partition, handle): (&Partition, &Handle)| {
            let progress = &handle.progress;
            (partition.clone(), progress.next(), progress.end())
        };
        self.running.lock().iter().map(position).collect()
    }

    /// Logs the reason and ends the service.
    pub fn fatal(&self, exit: Exit, why: std::fmt::Arguments<'_>) {
        error!("{why}");
        let _ = self.events.try_send(Event::Fatal(exit));
    }
}

/// The offset at which a partition is restarted: the one that its worker asked for, or else the first offset that the
/// worker has not finished. If there is neither, the worker started at the oldest message and has finished nothing.
fn start_offset(asked: Option<i64>, unfinished: Option<i64>, at_most: i64) -> StartOffset {
    asked
        .or(unfinished)
        .map_or(StartOffset::Oldest, |offset| StartOffset::Offset(offset.min(at_most)))
}

/// How a worker ended. `None`: it did not end before the deadline. Calls `tell` every [`TELLS`] meanwhile.
fn await_end(end: &Receiver<WorkerEnd>, deadline: Instant, tell: impl Fn()) -> Option<WorkerEnd> {
    loop {
        let until = deadline.min(Instant::now() + TELLS);
        match end.recv_deadline(until) {
            Ok(end) => return Some(end),
            Err(RecvTimeoutError::Timeout) if until < deadline => tell(),
            Err(_) => return None,
        }
    }
}

/// The name of a worker's thread. Linux allows 15 bytes: as much of the topic as fits, then `-` and the number.
fn thread_name(partition: &Partition) -> String {
    let number = format!("-{}", partition.number);
    let room = 15_usize.saturating_sub(number.len());
    let topic: String = partition.topic.chars().filter(char::is_ascii).take(room).collect();
    topic + &number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_never_begun_again_behind_what_is_unfinished() {
        // A stray message below what the worker has finished: the worker has gone past it.
        assert_eq!(start_offset(None, Some(120), 100), StartOffset::Offset(100));
        assert_eq!(start_offset(None, Some(80), 100), StartOffset::Offset(80));
        assert_eq!(start_offset(None, None, 100), StartOffset::Oldest);
        assert_eq!(start_offset(Some(500), Some(20), i64::MAX), StartOffset::Offset(500));
    }

    #[test]
    fn thread_names_fit_and_keep_the_number() {
        let name = |topic: &str, number| {
            thread_name(&Partition {
                topic: topic.into(),
                number,
            })
        };
        assert_eq!(name("events", 7), "events-7");
        assert_eq!(name("a.very.long.topic.name", 1234), "a.very.lon-1234");
        assert_eq!(name("a.very.long.topic.name", 1234).len(), 15);
        assert!(name("t", i32::MAX).len() <= 15);
    }
}
