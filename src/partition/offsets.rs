//! A worker's offsets: what it has taken, what is finished, and what is committed.
//!
//! `delivery/commit.rs` computes the next offset. This file sends and logs the commit, with its leader epoch.

use std::time::{Duration, Instant};

use log::{debug, error, trace, warn};
use rdkafka::error::KafkaError;

use crate::config::model::RejectAction;
use crate::delivery::commit::OffsetTracker;
use crate::kafka::Partition;
use crate::kafka::consumer::intake::AHEAD_MAX;
use crate::kafka::consumer::origin::{CommitTag, Origin, PartitionStart, StartOffset};
use crate::kafka::consumer::source::{Commit, CommitFailure, QueuedMessage, Source, SourceMessage};
use crate::kafka::letters::bound::LettersFrom;
use crate::partition::ends::{Broken, CommitEnd};
use crate::partition::env::Env;
use crate::partition::epochs::Epochs;
use crate::partition::lettered::Lettered;
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::stop::StopKind;

/// How long a commit that the first letter waits for may take, and the pause before it is tried again.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);
const TELL_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Offsets {
    tracker: OffsetTracker,
    epochs: Epochs,
    /// Where fetching began. `None`: at the oldest message.
    begun_at: Option<i64>,
    /// The epoch of the messages before `begun_at`. `None` as soon as the first message shows that it has the same
    /// leader.
    unverified: Option<i32>,
    /// The metadata of each commit, without what changes.
    tag: CommitTag,
    is_tag_too_long_told: bool,
    /// Which messages have dead letters.
    pub letters: Lettered,
    /// The group's offset says from where on the letters of this worker are.
    are_letters_told: bool,
    last_commit: Instant,
    /// The partition is held. The consumer's position may be above the message at which it is held.
    is_held: bool,
}

impl Offsets {
    pub fn new(start: &PartitionStart) -> Offsets {
        Offsets {
            tracker: start.begin.map_or_else(OffsetTracker::new, OffsetTracker::starting_at),
            epochs: Epochs::default(),
            begun_at: match start.from {
                StartOffset::Offset(offset) => Some(offset),
                StartOffset::Oldest => None,
            },
            unverified: None,
            tag: CommitTag::default(),
            is_tag_too_long_told: false,
            letters: Lettered::default(),
            are_letters_told: false,
            last_commit: Instant::now(),
            is_held: false,
        }
    }

    /// Sets what is known of the topic.
    pub fn identified(&mut self, origin: Origin) {
        self.tag = origin.tag;
        if let Some(offset) = self.begun_at {
            self.epochs = Epochs::starting_at(offset, origin.epoch);
            self.unverified = origin.epoch;
        }
    }

    /// The worker starts at the group's offset, and this is what its metadata says about letters.
    pub fn letters_committed(&mut self, letters: &[LettersFrom], action: &RejectAction) {
        if let RejectAction::DeadLetter { topic, .. } = action {
            self.are_letters_told = letters.iter().any(|from| from.topic == *topic);
        }
    }

    /// Discards the offsets, since they belong to another log. Nothing is committed.
    pub fn forget(&mut self) {
        (self.tracker, self.begun_at) = (OffsetTracker::new(), None);
    }

    /// Nothing moves any more until a person acts.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// The first offset that is not finished, if it is known.
    pub fn next(&self) -> Option<i64> {
        self.tracker.next().or(self.begun_at)
    }

    /// The same, but `None` until a message is finished: the offset where fetching began does not count.
    pub fn finished(&self) -> Option<i64> {
        self.tracker.next()
    }

    /// The latest leader epoch up to `next`, if one is known.
    pub fn epoch_up_to(&self, next: i64) -> Option<i32> {
        self.epochs.up_to(next)
    }

    /// Whether `offset` is not above the last message that was taken.
    pub fn goes_back(&self, offset: i64) -> bool {
        self.tracker.goes_back(offset)
    }

    /// The log went back to `offset`, and everything before is finished. Starts again from there.
    pub fn begin_anew_at(&mut self, offset: i64) {
        (self.tracker, self.begun_at) = (OffsetTracker::new(), Some(offset));
        self.epochs = Epochs::default();
    }

    /// The same, if the stop comes first. The next owner must start at `offset`, so it is committed.
    pub fn leave_at(&mut self, offset: i64) {
        self.tracker = OffsetTracker::starting_at(offset);
    }

    /// Notes that a message was taken. Returns `true` if it is the first one and it was not known where fetching began.
    ///
    /// # Panics
    /// If its offset is not above all offsets taken before.
    pub fn take(&mut self, offset: i64) -> bool {
        self.tracker.handed_over(offset);
        let is_beginning = self.next().is_none();
        if is_beginning {
            self.begun_at = Some(offset);
        }
        is_beginning
    }

    /// Notes the epochs of messages that were taken, in their order.
    pub fn taken<M: SourceMessage>(&mut self, messages: &[M]) {
        self.epochs
            .handed_over(messages, QueuedMessage::offset, SourceMessage::leader_epoch);
    }

    /// Everything taken below `next` is finished, and nothing at or above it.
    ///
    /// # Panics
    /// If the next offset would decrease, or go beyond what was taken.
    pub fn finished_below(&mut self, next: i64) {
        self.tracker.finished_below(next);
    }

    /// Whether the first message was written by a later leader than the messages before it. Called for each message;
    /// returns `true` for the first one at most.
    pub fn is_of_another_leader(&mut self, first: &impl SourceMessage) -> bool {
        let Some(before) = self.unverified.take() else {
            return false;
        };
        let is_later = first.leader_epoch().is_some_and(|of| of > before);
        if is_later {
            self.unverified = Some(before);
        }
        is_later
    }

    /// Asks librdkafka to check, by the epoch, that the log still has what was read before the first message. The log
    /// may have been cut while nobody read it, and may since have grown past the group's offset. librdkafka checks by
    /// itself only if the leader changes while it fetches. If the log was cut, the offset is reported as gone
    /// (`offset_gone`). Returns `false` if the check is not made.
    pub fn verify(&mut self, source: &impl Source) -> bool {
        let (Some(epoch), Some(begun_at)) = (self.unverified.take(), self.begun_at) else {
            return false;
        };
        let partition = source.partition();
        match source.seek(begun_at, epoch) {
            Ok(()) => {
                debug!("kafka: a new leader, the log is verified {partition} offset={begun_at} epoch={epoch}");
                true
            }
            Err(error) => {
                warn!(
                    "kafka: cannot verify whether the log was cut below the group's offset {partition} \
                     offset={begun_at} error=\"{error}\""
                );
                false
            }
        }
    }

    pub fn commit_if_due<S: Source>(&mut self, env: &Env<'_, S>) -> CommitEnd {
        let interval = env.shared.times.commit_interval;
        if self.last_commit.elapsed() < interval || env.stop.kind() == Some(StopKind::Abandon) {
            return CommitEnd::NotDue;
        }
        self.last_commit = Instant::now();
        self.advance(env);
        let Some(next) = self.tracker.due() else {
            return CommitEnd::NotDue;
        };
        env.shared.letters.look_if_old(env.stop);
        let tag = self.tag(next, env);
        let sent = env.source.send_commit(self.commit(next, &tag, env));
        self.sent(env, next, sent, |error| {
            warn!(
                "kafka: commit not sent, tried again {} error=\"{error}\"",
                env.partition()
            );
        })
    }

    /// The last commit of a worker. Waits for the coordinator's answer. Sends the offset even if an earlier commit
    /// contained it: only an answer makes sure that it is stored.
    pub fn commit_last<S: Source>(&mut self, env: &Env<'_, S>) -> CommitEnd {
        self.advance(env);
        let Some(next) = self.tracker.next() else {
            return CommitEnd::NotDue;
        };
        // Nothing more is written, so the partition can be given back without the answer. The deadline is before the
        // main thread stops waiting for this worker.
        let deadline = || env.stop.requested_at().unwrap_or_else(Instant::now) + env.shared.times.commit_max;
        let mut tag = self.tag(next, env);
        let sent = loop {
            match env.source.commit_by(self.commit(next, &tag, env), deadline()) {
                Err(CommitFailure::Epoch(_)) if !env.progress.is_epoch_refused() => env.progress.set_epoch_refused(),
                Err(CommitFailure::Metadata(_)) if !env.progress.is_metadata_refused() => {
                    env.progress.set_metadata_refused();
                    tag = self.tag(next, env);
                }
                sent => break sent,
            }
        };
        let end = self.sent(env, next, sent, |error| env.source.last_commit_failed(next, error));
        if end == CommitEnd::Sent {
            debug!("worker: left {} committed={next}", env.partition());
        }
        end
    }

    /// Called before the worker hands over a letter. If the group's offset does not say from where on letters are (a new
    /// group, a new partition), commits the first offset that is not finished together with it, and waits for the
    /// answer. Otherwise, after a kill before the first commit, nobody would look for the letter. Tries until it is
    /// committed or the stop flag is raised.
    ///
    /// # Errors
    /// The letter must not be sent: the stop flag was raised, or the partition was taken away.
    pub fn tell_letters<S: Source>(&mut self, env: &Env<'_, S>) -> Result<(), Broken> {
        let Some(next) = self.next().filter(|_| !self.are_letters_told) else {
            return Ok(());
        };
        let told = Retry::new(env.stop, TELL_PAUSE).quiet_for(TELL_TIMEOUT).run(
            || {
                env.fetching.pass_time();
                self.commit_letters(next, env)
            },
            |error, waited, repeated| {
                warn!(
                    "kafka: a dead letter waits for the partition's first commit; it is tried again {} next={next} \
                     waited={waited} error=\"{error}\"{repeated}",
                    env.partition(),
                    waited = Seconds(waited)
                );
            },
        );
        env.fetching.resume();
        told.map_err(|ended| match ended {
            RetryError::Final(broken) => broken,
            RetryError::Stopped | RetryError::TooLate(_) => Broken::Stopped,
        })
    }

    fn commit_letters<S: Source>(
        &mut self,
        next: i64,
        env: &Env<'_, S>,
    ) -> Result<(), AttemptError<KafkaError, Broken>> {
        loop {
            if env.stop.kind() == Some(StopKind::Abandon) {
                return Err(AttemptError::Final(Broken::Stopped));
            }
            let tag = self.tag(next, env);
            if env.shared.letters.known_now().is_none() || tag == self.tag.plain {
                // The topic may not be read, or the brokers take no such metadata.
                return Ok(());
            }
            let soon = Instant::now() + TELL_TIMEOUT;
            let last = env.stop.requested_at().map(|at| at + env.shared.times.commit_max);
            let deadline = last.map_or(soon, |last| last.min(soon));
            match env.source.commit_by(self.commit(next, &tag, env), deadline) {
                Err(CommitFailure::Epoch(_)) if !env.progress.is_epoch_refused() => env.progress.set_epoch_refused(),
                Err(CommitFailure::Metadata(_)) if !env.progress.is_metadata_refused() => {
                    env.progress.set_metadata_refused();
                }
                sent => {
                    let mut failed = None;
                    self.are_letters_told = sent.is_ok();
                    return match self.sent(env, next, sent, |error| failed = Some(error.clone())) {
                        CommitEnd::Lost => Err(AttemptError::Final(Broken::Lost)),
                        CommitEnd::Sent | CommitEnd::NotDue => failed.map_or(Ok(()), |e| Err(AttemptError::Passing(e))),
                    };
                }
            }
        }
    }

    /// Advances to the offset that can be committed now.
    fn advance<S: Source>(&mut self, env: &Env<'_, S>) {
        if env.progress.take_commit_failed() {
            self.tracker.commit_failed();
        }
        if self.tracker.is_clear()
            && !self.is_held
            && let Some((position, epoch)) = env.source.position()
        {
            self.tracker.all_finished_at(position);
            // If the tracker accepted the position.
            if self.tracker.next() == Some(position)
                && let Some(epoch) = epoch
            {
                self.epochs.stands_at(position, epoch);
            }
        }
        if let Some(next) = self.tracker.next() {
            env.progress.set_next(next);
        }
    }

    /// The metadata of a commit: the topic's id, and from where on the letters of messages are that are not committed.
    fn tag<S: Source>(&mut self, next: i64, env: &Env<'_, S>) -> String {
        self.letters.finished_below(next);
        let letters = self.letters.bounds(next, env.shared.letters.known_now().as_deref());
        if letters.is_empty() {
            return self.tag.plain.clone();
        }
        let is_refused = env.progress.is_metadata_refused();
        if let Some(tag) = self.tag.with_letters(&letters).filter(|_| !is_refused) {
            return tag;
        }
        let can_be_written = self.tag.before_letters.is_some();
        if can_be_written && !std::mem::replace(&mut self.is_tag_too_long_told, true) {
            warn!(
                "kafka: what commits say about dead letters is too long for the brokers, and is left out; messages that \
                 have dead letters and come again after a crash are processed again {} cure=\"raise \
                 offset.metadata.max.bytes of the brokers, or give the topic of dead letters fewer partitions\"",
                env.partition()
            );
        }
        self.tag.plain.clone()
    }

    /// The worker ends: tells the next worker of this process from where on the letters of messages are.
    pub fn leave_letters<S: Source>(&self, env: &Env<'_, S>) {
        if !self.letters.is_begun() {
            return;
        }
        let next = self.next();
        let now = env.shared.letters.known_now();
        let from = self.letters.bounds(next.unwrap_or(0), now.as_deref());
        env.progress.set_letters(next, from, self.letters.at_start());
    }

    /// A commit of the next offset with this metadata, and with the leader epoch unless the coordinator refuses epochs.
    fn commit<'t, S: Source>(&self, next: i64, tag: &'t str, env: &Env<'_, S>) -> Commit<'t> {
        Commit {
            next,
            tag,
            epoch: self.epochs.up_to(next).filter(|_| !env.progress.is_epoch_refused()),
        }
    }

    fn sent<S: Source>(
        &mut self,
        env: &Env<'_, S>,
        next: i64,
        sent: Result<(), CommitFailure>,
        tell: impl FnOnce(&KafkaError),
    ) -> CommitEnd {
        let partition = env.partition();
        match sent {
            Ok(()) => {
                trace!("kafka: commit {partition} next={next}");
                env.shared.counters.commits.add(1);
                self.tracker.committed(next);
                CommitEnd::Sent
            }
            Err(CommitFailure::Invalid(error)) => {
                error!("kafka: an offset that cannot be committed {partition} next={next} error=\"{error}\"");
                CommitEnd::NotDue
            }
            Err(CommitFailure::NotOurs(error)) => {
                warn!(
                    "kafka: the partition is no longer ours, nothing is committed {partition} next={next} \
                     error=\"{error}\""
                );
                CommitEnd::Lost
            }
            Err(CommitFailure::Epoch(error) | CommitFailure::Metadata(error) | CommitFailure::Failed(error)) => {
                env.shared.counters.commit_errors.add(1);
                tell(&error);
                CommitEnd::Sent
            }
        }
    }
}

/// Logs that the log went back. A truncated log assigns offsets again, to other messages; guards know messages only by
/// their offsets. `from`: the first offset that was not finished. What was taken in one call can come again after a
/// rebalance (`kafka/consumer/intake.rs`); those are the same messages.
pub(super) fn tell_went_back(partition: &Partition, is_guarded: bool, from: Option<i64>, to: i64) {
    let is_far = from.is_some_and(|from| to < from - AHEAD_MAX as i64);
    let from = from.map_or_else(|| "unknown".to_owned(), |from| from.to_string());
    if is_guarded && is_far {
        error!(
            "kafka: offsets went back, reading on from there; what this partition now holds at offsets that were read \
             before is taken for applied by the guards {partition} from={from} to={to} cure=\"if the log was truncated \
             (an unclean leader election), stop the service, set run.guard_epoch to another number, and set the \
             group's offsets to where the log is new\""
        );
    } else {
        warn!(
            "kafka: offsets went back, reading on from there: the partition was truncated, its topic created again, \
             or (by a few) a rebalance came in between {partition} from={from} to={to}"
        );
    }
}
