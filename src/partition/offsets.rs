//! A worker's offsets: committing what is finished, and what is done where the log does not go on as it should.
//!
//! Which offset is next is `pipeline::commit`'s to compute; here it is stored, sent, and told.

use std::time::{Duration, Instant};

use log::{debug, error, trace, warn};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::delivery::commit::OffsetTracker;
use crate::kafka::Partition;
use crate::kafka::consumer::commits::{commit_by, refuses_epoch, send};
use crate::kafka::consumer::{cut, epoch, origin};
use crate::partition::gone::{Case, Found, decide};
use crate::partition::worker::{Worker, WorkerEnd};
use crate::util::exit::Exit;
use crate::util::stop::StopKind;
use crate::util::throttle::Throttle;

/// How many failed reads of where a log was cut end the search (a broker that is away does not count), and the pause between.
const CUT_ATTEMPTS: u32 = 3;
const CUT_PAUSE: Duration = Duration::from_secs(1);
/// librdkafka's own threads answer.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(2);

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
            && let Some((position, epoch)) = self.position()
        {
            self.tracker.all_finished_at(position);
            // Where it was believed.
            if self.tracker.next() == Some(position)
                && let Some(epoch) = epoch
            {
                self.epochs.stands_at(position, epoch);
            }
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
        let offsets = match self.offsets(next) {
            Ok(offsets) => offsets,
            Err(error) => {
                error!("kafka: an offset that cannot be committed {partition} next={next} error=\"{error}\"");
                return Commit::NotDue;
            }
        };
        // The fence: an explicit commit is accepted from anybody, storing an offset only from the owner.
        if let Err(error) = self.consumer.store_offsets(&offsets) {
            warn!(
                "kafka: the partition is no longer ours, nothing is committed {partition} next={next} error=\"{error}\""
            );
            return Commit::Lost;
        }
        let sent = match mode {
            CommitMode::Async => send(self.consumer, &offsets),
            CommitMode::Sync => commit_by(self.consumer, &offsets, self.commit_deadline()).or_else(|error| {
                if !refuses_epoch(&error) || self.progress.is_epoch_refused() {
                    return Err(error);
                }
                self.progress.set_epoch_refused();
                commit_by(self.consumer, &self.offsets(next)?, self.commit_deadline())
            }),
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

    /// What is committed: the next offset, the topic's id, and the leader epoch of the message before it, unless the
    /// coordinator refuses that.
    fn offsets(&self, next: i64) -> KafkaResult<TopicPartitionList> {
        let partition = self.partition;
        let mut offsets = TopicPartitionList::with_capacity(1);
        offsets.add_partition_offset(&partition.topic, partition.number, Offset::Offset(next))?;
        if let Some(mut element) = offsets.find_partition(&partition.topic, partition.number)
            && !self.offset_tag.is_empty()
        {
            element.set_metadata(&self.offset_tag);
        }
        if let Some(of) = self.epochs.up_to(next)
            && !self.progress.is_epoch_refused()
        {
            epoch::set(&mut offsets, of);
        }
        Ok(offsets)
    }

    /// Nothing is written any more, so the partition may be given back without the answer: in time, before the main
    /// thread loses its patience.
    fn commit_deadline(&self) -> Instant {
        self.stop.requested_at().unwrap_or_else(Instant::now) + self.shared.commit_max
    }

    /// Where the consumer stands: behind the last message it was handed, and behind the gaps that follow it
    /// (transaction markers move it too). With the leader epoch of what moved it there last.
    fn position(&self) -> Option<(i64, Option<i32>)> {
        let Partition { topic, number } = self.partition;
        let positions = self.consumer.position().ok()?;
        let epochs = epoch::of_list(&positions);
        let elements = positions.elements();
        let mut found = elements.iter().zip(epochs);
        let (element, epoch) =
            found.find(|(element, _)| element.topic() == &**topic && element.partition() == *number)?;
        match element.offset() {
            Offset::Offset(offset) => Some((offset, epoch)),
            _ => None,
        }
    }

    /// Whether the first message that comes was written by a later leader than what was read before it.
    pub(super) fn is_of_another_leader(&mut self, first: &BorrowedMessage<'_>) -> bool {
        let Some(before) = self.unverified.take() else {
            return false;
        };
        let is_later = epoch::of_message(first).is_some_and(|of| of > before);
        if is_later {
            self.unverified = Some(before);
        }
        is_later
    }

    /// Has librdkafka ask the brokers whether the log has what was read before the first message, by its epoch: it may have
    /// been cut while nobody read it, and have grown past the group's offset since. librdkafka asks by itself only when
    /// the leader changes while it fetches. If it was cut, the offset is gone (`offset_gone`). `false`: it is not asked.
    pub(super) fn verify(&mut self) -> bool {
        let (Some(epoch), Some(begun_at)) = (self.unverified.take(), self.begun_at) else {
            return false;
        };
        let partition = self.partition;
        let mut begin = TopicPartitionList::with_capacity(1);
        let sought = begin
            .add_partition_offset(&partition.topic, partition.number, Offset::Offset(begun_at))
            .and_then(|()| {
                epoch::set(&mut begin, epoch);
                self.consumer.seek_partitions(begin, VERIFY_TIMEOUT)
            })
            .and_then(|list| {
                for element in list.elements() {
                    element.error()?;
                }
                Ok(())
            });
        match sought {
            Ok(()) => {
                debug!("kafka: a new leader, the log is verified {partition} offset={begun_at} epoch={epoch}");
                true
            }
            Err(error) => {
                warn!(
                    "kafka: whether the log was cut below the group's offset is not verified {partition} \
                     offset={begun_at} error=\"{error}\""
                );
                false
            }
        }
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
        let cut = match self.epochs.up_to(next) {
            Some(epoch) if next >= oldest => self.cut(next, epoch)?,
            _ => None,
        };
        let found = Found {
            next,
            oldest,
            end,
            cut,
            is_guarded: self.processor.is_guarded(),
        };
        let decision = decide(found, self.shared.offset_gone);
        match decision.case {
            Case::Below => self.tell_below(found, decision.to),
            Case::Beyond => self.tell_beyond(found, decision.to),
            Case::There => warn!(
                "kafka: a broker said that the next offset is not in the log, and it is: begun again there {partition} \
                 next={next} oldest={oldest} end={end}"
            ),
        }
        Ok(match decision.to {
            Some(to) => self.again(to),
            None => WorkerEnd::Fatal(Exit::Rejected),
        })
    }

    /// Where the log was cut; `None` where that cannot be read. A broker that is not there is waited for: what is said of
    /// the log without it would end the service.
    fn cut(&self, next: i64, epoch: i32) -> Result<Option<i64>, WorkerEnd> {
        let Partition { topic, number } = self.partition;
        let mut unreadable = 0;
        let mut lines = Throttle::default();
        loop {
            match cut::find(&self.shared.kafka, topic, *number, next, epoch, self.stop) {
                Ok(Some(cut)) => return Ok(Some(cut)),
                Ok(None) => return Err(WorkerEnd::Stopped),
                Err(error) => {
                    unreadable += u32::from(!cut::passes(&error));
                    if lines.pass().is_some() {
                        warn!(
                            "kafka: where the log was cut cannot be read, nothing is read before {} error=\"{error}\"",
                            self.partition
                        );
                    }
                }
            }
            if unreadable >= CUT_ATTEMPTS {
                return Ok(None);
            }
            if self.stop.wait(CUT_PAUSE) {
                return Err(WorkerEnd::Stopped);
            }
        }
    }

    fn tell_below(&self, found: Found, to: Option<i64>) {
        let (partition, Found { next, oldest, end, .. }) = (self.partition, found);
        // With what is there and is not read either.
        let count = to.unwrap_or(oldest) - next;
        self.shared.counters.offsets_lost.add(count.unsigned_abs());
        let (done, cure) = match to {
            None => (
                "the service stops, and nothing is committed past this",
                format!(
                    "look for what is missing elsewhere; then, to go on at the oldest message, set the group's offset of \
                     this partition to {oldest} (kafka-consumer-groups.sh --reset-offsets --to-offset), or \
                     kafka.offset_gone = \"earliest\", and start it"
                ),
            ),
            Some(to) => (
                if to == oldest {
                    "reading goes on at the oldest message"
                } else {
                    "reading goes on at the end of the log, and what is there is not read either"
                },
                "look for what is missing elsewhere; let the topic keep its messages for longer than an outage lasts"
                    .into(),
            ),
        };
        error!(
            "kafka: messages are gone before they were read; {done} {partition} from={next} to={} gone={count} end={end} \
             cure=\"{cure}\"",
            to.unwrap_or(oldest)
        );
    }

    fn tell_beyond(&self, found: Found, to: Option<i64>) {
        let Found {
            next,
            oldest,
            end,
            cut,
            is_guarded,
        } = found;
        let partition = self.partition;
        let done = match (to, cut) {
            (None, _) => "the service stops, and nothing is committed".to_owned(),
            (Some(to), Some(_)) => format!("reading goes on where it was cut, at {to}"),
            (Some(to), None) if to == oldest => {
                format!("where is not known; reading goes on at the oldest message, {to}, and all is read again")
            }
            (Some(to), None) => format!(
                "where is not known; reading goes on at the end of the log, {to}, and what is new below it is not read"
            ),
        };
        let go_on = match (to, cut) {
            (Some(_), _) => String::new(),
            (None, Some(cut)) => {
                format!("; to go on where it was cut, set the group's offset of this partition to {cut}")
            }
            (None, None) => format!(
                "; where it was cut is not known: set the group's offset of this partition to {oldest} (all that is there \
                 is read again) or to {end} (nothing of it is), or to where its messages are new"
            ),
        };
        let by = if to.is_none() {
            " (kafka-consumer-groups.sh --reset-offsets --to-offset), and start the service"
        } else {
            ""
        };
        // New messages have the offsets of others that the guards have counted.
        let guards = if is_guarded {
            "; guards take other messages at offsets that were read before for applied: set run.guard_epoch to another \
             number before the start"
        } else {
            ""
        };
        error!(
            "kafka: the log was cut below what was read of it, or the group's offset was set beyond its end; {done} \
             {partition} from={next} cut={} oldest={oldest} end={end} cure=\"an unclean leader election does this, or a \
             broker that lost its disk: records may have what the log has no longer{go_on}{by}{guards}\"",
            cut.map_or_else(|| "unknown".to_owned(), |cut| cut.to_string()),
        );
    }
}
