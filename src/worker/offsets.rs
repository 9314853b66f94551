//! A worker's offsets: committing what is finished, and what is done where the log does not go on as it should.
//!
//! Which offset is next is `pipeline::commit`'s to compute; here it is stored, sent, and told.

use std::time::Instant;

use log::{debug, error, trace, warn};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Worker, WorkerEnd};
use crate::broker::commits::{commit_by, send};
use crate::broker::origin;
use crate::config::model::OffsetGone;
use crate::ops::exit::Exit;
use crate::pipeline::commit::OffsetTracker;
use crate::shutdown::StopKind;

pub(super) enum Commit {
    NotDue,
    Sent,
    /// The partition was taken away: what we know of it is void.
    Lost,
}

impl Worker<'_> {
    pub(super) fn commit_if_due(&mut self) -> Commit {
        if self.last_commit.elapsed() < self.shared.commit_interval || self.stop.kind() == Some(StopKind::Abandon) {
            return Commit::NotDue;
        }
        self.last_commit = Instant::now();
        self.commit(CommitMode::Async)
    }

    /// Commits the next offset. `Sync` waits for the coordinator's answer, and sends also what an asynchronous
    /// commit may have sent already: only an answer makes sure of it.
    pub(super) fn commit(&mut self, mode: CommitMode) -> Commit {
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

    /// A truncated log gives offsets anew, to other messages; guards know messages by their offsets.
    pub(super) fn went_back(&self, to: i64) {
        let (partition, from) = (self.partition, self.tracker.next());
        if self.processor.is_guarded() && from.is_some_and(|from| to < from - 1) {
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

    /// The log went back and the stop came first: the next owner begins where it went back to.
    pub(super) fn adopt_carried(&mut self) {
        if let Some(message) = self.carried.take() {
            self.tracker = OffsetTracker::starting_at(message.offset());
            self.progress.set_next(message.offset());
        }
    }

    /// What was to be read next is not in the log, and everything before it is finished. Told in any case; then the
    /// configuration decides.
    pub(super) fn offset_gone(&mut self) -> Result<WorkerEnd, WorkerEnd> {
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
            let guards = if self.processor.is_guarded() {
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
}
