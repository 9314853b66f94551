//! READ FIRST: the loop of one partition, on its own OS thread.
//!
//! intake → decode → map → plan → write → publish → commit, one batch after another; each step runs on this thread. A
//! batch is what is in the partition's queue, up to the caps. At low load a message is written alone and at once; at
//! high load batches fill by themselves. The worker blocks on the database. A blocked worker does not take from its
//! queue. A full queue stops its fetches. That is the whole back-pressure.
//!
//! These invariants must hold: an offset is committed only when everything below it is finished; nobody else reads the
//! queue; every wait checks the stop flag or has a deadline.
//!
//! | where | what |
//! |---|---|
//! | here | the loop: take messages, process a batch, commit; and what ends the loop |
//! | `batch.rs` | one batch: mapped by the rules, written, handed to `pending.rs` |
//! | `pending.rs` | messages that wait for Kafka's acknowledgement |
//! | `offsets.rs` | what is finished, and commits |
//! | `gone.rs` | when the next offset is not in the log |
//! | `env.rs`, `shared.rs` | what a worker works with, and what all workers share |

use std::time::Duration;

use log::{debug, error, warn};
use rdkafka::error::KafkaError;

use crate::kafka::consumer::origin::{NoOrigin, PartitionStart};
use crate::kafka::consumer::source::{FetchError, QueuedMessage, Room, Source};
use crate::partition::batch::{self, BATCHES_IN_HAND};
use crate::partition::ends::{BatchEnd, CommitEnd, WorkerEnd};
use crate::partition::env::{Env, signed};
use crate::partition::offsets::{Offsets, tell_went_back};
use crate::partition::pending::Pending;
use crate::partition::progress::Progress;
use crate::partition::shared::Shared;
use crate::partition::{gone, held};
use crate::util::exit::Exit;
use crate::util::stop::{Stop, StopKind};
use crate::util::throttle::Throttle;

/// How long an idle worker waits for a message before it checks the stop flag and the commit interval.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// The same while messages wait for acknowledgements: the worker must process those soon.
const DRY_WAIT: Duration = Duration::from_millis(5);

/// Runs until the stop flag is raised, the partition is lost, or the service cannot continue.
pub fn run<S: Source>(
    shared: &Shared,
    source: &S,
    start: &PartitionStart,
    stop: &Stop,
    progress: &Progress,
) -> WorkerEnd {
    let partition = source.partition();
    let Some(processor) = shared.processors.topic(&partition.topic) else {
        error!("worker: no route takes the topic {partition}");
        return WorkerEnd::Fatal(Exit::Configuration);
    };
    let mut worker = Worker {
        env: Env::new(shared, source, processor, stop, progress),
        offsets: Offsets::new(start),
        pending: Pending::new(stop),
        went_back: None,
        fetch_lines: Throttle::default(),
    };
    if let Some(offset) = worker.offsets.next() {
        progress.set_next(offset);
    }
    let end = match worker.identify(start) {
        Ok(()) => worker.read(),
        Err(end) => end,
    };
    worker.leave(end)
}

struct Worker<'w, S: Source> {
    env: Env<'w, S>,
    offsets: Offsets,
    pending: Pending,
    /// The log went back: the offset of this message, which was taken, is not above the earlier ones. It starts a batch
    /// of its own after the earlier messages are finished.
    went_back: Option<S::Message<'w>>,
    fetch_lines: Throttle,
}

/// The messages that were taken from the queue and are not dealt with.
struct Hand<M> {
    messages: Vec<M>,
    /// Of their payloads.
    bytes: usize,
    /// Why nothing follows them.
    end: Option<End>,
}

impl<M: QueuedMessage> Hand<M> {
    fn push(&mut self, message: M) {
        self.bytes += message.bytes();
        self.messages.push(message);
    }

    /// The first `count` are dealt with.
    fn drop_first(&mut self, count: usize) {
        let bytes: usize = self.messages.drain(..count).map(|message| message.bytes()).sum();
        self.bytes -= bytes;
    }
}

/// Why nothing follows the messages that were taken.
enum End {
    /// A part of the log cannot be read. Nothing behind it may be committed: the partition is held.
    Unreadable(KafkaError),
    /// The next offset is not in the log, and fetching has ended.
    Gone,
}

impl<'w, S: Source> Worker<'w, S> {
    /// Finds out which topic has this name now.
    fn identify(&mut self, start: &PartitionStart) -> Result<(), WorkerEnd> {
        let Env { source, stop, .. } = self.env;
        let partition = source.partition();
        match source.origin(start, stop) {
            Ok(mut origin) => {
                self.env.identified(origin.topic_id);
                self.env.progress.set_begun();
                debug!(
                    "worker: begins {partition} from={} topic_id={} guard={}",
                    start.from,
                    origin.topic_id,
                    self.env.guard.bin()
                );
                let letters = std::mem::take(&mut origin.letters);
                self.offsets.identified(origin);
                if start.is_committed() {
                    let action = &self.env.shared.rejecting.action;
                    self.offsets.letters_committed(&letters, action);
                }
                match self.offsets.letters.search(&self.env, letters, start.from) {
                    true => Ok(()),
                    false => Err(WorkerEnd::Stopped),
                }
            }
            Err(NoOrigin::Former) => {
                self.offsets.forget();
                Err(match source.log_ends(stop) {
                    Ok((oldest, _)) => gone::again(self.env.progress, oldest),
                    Err(why) => gone::no_origin(partition, &why),
                })
            }
            Err(why) => Err(gone::no_origin(partition, &why)),
        }
    }

    /// Processes one batch after another. What is in hand at the end is given back.
    fn read(&mut self) -> WorkerEnd {
        // At most as many messages are in hand as fill `BATCHES_IN_HAND` batches of rows. If `each` makes more rows, they are divided
        // into several calls.
        let rows_in_hand = BATCHES_IN_HAND * self.env.shared.sizes.batch_rows_max;
        let messages_max = (rows_in_hand / self.env.processor.rows_per_message()).max(1);
        let mut hand = Hand {
            messages: Vec::with_capacity(messages_max),
            bytes: 0,
            end: None,
        };
        let end = self.read_with(&mut hand, messages_max);
        self.env.give_back(hand.messages.len());
        end
    }

    fn read_with(&mut self, hand: &mut Hand<S::Message<'w>>, messages_max: usize) -> WorkerEnd {
        loop {
            // The messages in hand are finished before a stop. Otherwise they are topped up before each batch, so that
            // batches are full while the queue has messages.
            if self.env.stop.requested() {
                if hand.messages.is_empty() {
                    return WorkerEnd::Stopped;
                }
            } else if hand.end.is_none()
                && let Err(end) = self.intake(messages_max, hand)
            {
                return end;
            }
            let is_dry = hand.messages.is_empty();
            if !is_dry {
                self.env.shared.hooks.batch_in_hand(self.env.partition());
                let (taken, end) = batch::bring(&self.env, &mut self.pending, &mut self.offsets, &hand.messages);
                hand.drop_first(taken);
                match end {
                    BatchEnd::Finished => {}
                    BatchEnd::Held { offset, rejection } => {
                        return self.hold(held::rejected(self.env.partition(), offset, &rejection));
                    }
                    BatchEnd::Broken(broken) => return broken.into(),
                }
            }
            if hand.messages.is_empty() {
                // There is nothing else to do, or nothing follows.
                if (is_dry || hand.end.is_some())
                    && let Err(broken) = self.pending.settle(&self.env, &mut self.offsets)
                {
                    return broken.into();
                }
                self.env.progress.nothing_in_hand();
                match hand.end.take() {
                    Some(End::Unreadable(error)) => {
                        return self.hold(held::unreadable(self.env.partition(), self.offsets.finished(), &error));
                    }
                    Some(End::Gone) => return gone::act(&self.env, &self.offsets),
                    None => {}
                }
            }
            if self.offsets.commit_if_due(&self.env) == CommitEnd::Lost {
                return WorkerEnd::Lost;
            }
        }
    }

    /// Holds the partition until a person acts: commits what came before, and waits for the stop.
    fn hold(&mut self, why: String) -> WorkerEnd {
        self.offsets.hold();
        self.env.progress.set_held(why);
        self.env.progress.nothing_in_hand();
        self.env.fetching.pause();
        while !self.env.stop.wait(self.env.shared.times.commit_interval) {
            if self.offsets.commit_if_due(&self.env) == CommitEnd::Lost {
                return WorkerEnd::Lost;
            }
            self.env.fetching.look_at_end();
        }
        WorkerEnd::Stopped
    }

    /// Ends the worker: waits for pending messages and commits what is finished, unless the partition belongs to
    /// another member.
    fn leave(mut self, end: WorkerEnd) -> WorkerEnd {
        let end = self.pending.close(&self.env, &mut self.offsets, end);
        self.env.fetching.resume();
        // If a message below it is not finished, the next owner starts there.
        if let Some(offset) = self.went_back.as_ref().map(QueuedMessage::offset)
            && self.offsets.next().is_none_or(|next| offset < next)
        {
            self.offsets.leave_at(offset);
            self.env.progress.set_next(offset);
        }
        self.offsets.leave_letters(&self.env);
        if end == WorkerEnd::Lost || self.env.stop.kind() == Some(StopKind::Abandon) {
            return WorkerEnd::Lost;
        }
        match self.offsets.commit_last(&self.env) {
            CommitEnd::Lost => WorkerEnd::Lost,
            CommitEnd::Sent | CommitEnd::NotDue => end,
        }
    }

    /// Takes what is in the queue, up to the caps. Waits only for the first message; there is no linger.
    fn intake(&mut self, messages_max: usize, hand: &mut Hand<S::Message<'w>>) -> Result<(), WorkerEnd> {
        let Env { shared, source, .. } = self.env;
        if self.env.fetching.falls_behind() {
            // Pause and resume drop the queue and fetch again.
            self.env.fetching.pause();
            self.env.fetching.resume();
        }
        let (before, bytes_before) = (hand.messages.len(), hand.bytes);
        let mut refused = Ok(());
        let bytes_max = shared.sizes.batch_bytes_max();
        while hand.messages.len() < messages_max && hand.bytes < bytes_max {
            let is_empty = hand.messages.is_empty();
            let nothing_to_do = is_empty && self.pending.is_empty();
            let wait = match is_empty {
                true if nothing_to_do => IDLE_WAIT,
                true => DRY_WAIT,
                false => Duration::ZERO,
            };
            let room = Room {
                messages: messages_max - hand.messages.len(),
                bytes: bytes_max - hand.bytes,
            };
            let next = match self.went_back.take() {
                Some(message) => Some(Ok(message)),
                None => source.poll(wait, room),
            };
            match next {
                None => {
                    self.env.fetching.is_dry(nothing_to_do);
                    break;
                }
                Some(Ok(message)) if self.offsets.goes_back(message.offset()) => {
                    if !nothing_to_do {
                        self.went_back = Some(message);
                        break;
                    }
                    let (from, to) = (self.offsets.finished(), message.offset());
                    tell_went_back(source.partition(), self.env.processor.is_guarded(), from, to);
                    self.offsets.begin_anew_at(to);
                    self.env.progress.set_next(to);
                    self.went_back = Some(message);
                }
                // The message is not taken. It comes again if the log is the one that was read.
                Some(Ok(message)) if self.offsets.is_of_another_leader(&message) && self.offsets.verify(source) => {
                    break;
                }
                Some(Ok(message)) => {
                    if self.offsets.take(message.offset()) {
                        self.env.progress.set_next(message.offset());
                    }
                    hand.push(message);
                }
                Some(Err(error)) => {
                    refused = self.fetch_failed(error).map(|end| hand.end = end);
                    break;
                }
            }
        }
        let taken = &hand.messages[before..];
        self.offsets.taken(taken);
        self.env.fetching.took((hand.bytes - bytes_before) as u64);
        shared.counters.messages_consumed.add(taken.len() as u64);
        shared.counters.messages_in_hand.add(signed(taken.len()));
        if let Some(last) = taken.last() {
            self.env.progress.took_to(last.offset() + 1);
        }
        self.env.progress.took(taken.len() as u64);
        refused
    }

    fn fetch_failed(&mut self, error: FetchError) -> Result<Option<End>, WorkerEnd> {
        let partition = self.env.partition();
        match error {
            FetchError::Refused(error) => {
                error!(
                    "kafka: reading is refused {partition} error=\"{error}\" cure=\"grant the user READ on the topic\""
                );
                return Err(WorkerEnd::Fatal(Exit::Credentials));
            }
            FetchError::Unreadable(error) => return Ok(Some(End::Unreadable(error))),
            FetchError::Gone => return Ok(Some(End::Gone)),
            FetchError::Passing(error) => {
                if let Some(repeated) = self.fetch_lines.pass() {
                    warn!("kafka: fetching fails, it is tried again {partition} error=\"{error}\"{repeated}");
                }
                self.env.stop.wait(IDLE_WAIT);
            }
        }
        Ok(None)
    }
}
