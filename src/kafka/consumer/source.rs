//! What a worker asks of Kafka: the trait [`Source`], and [`PartitionSource`], which uses librdkafka.
//!
//! `partition` knows the client only as this trait, so tests can run a worker over a made-up source. Every call
//! concerns one partition. A call returns at once, has a time limit, or checks the stop flag.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::config::model::Kafka;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::TopicIds;
use crate::kafka::consumer::commits::{commit_by, refuses_epoch, refuses_metadata, send};
use crate::kafka::consumer::fetched::PartitionMessage;
pub use crate::kafka::consumer::fetched::{FetchError, QueuedMessage, SourceMessage};
use crate::kafka::consumer::intake::Intake;
pub use crate::kafka::consumer::intake::Room;
use crate::kafka::consumer::origin::{self, NoOrigin, Origin, PartitionStart};
use crate::kafka::consumer::queue::PartitionQueue;
use crate::kafka::consumer::{cut, epoch};
use crate::kafka::{Consumer, Partition};
use crate::util::retry::{AttemptError, Retry};
use crate::util::stop::Stop;

/// Short, since a stop waits for the answer.
const END_TIMEOUT: Duration = Duration::from_millis(500);
/// How many failed reads end the search for where a log was cut, and the pause between them. A broker that is not
/// reachable does not count.
const CUT_ATTEMPTS: u32 = 3;
const CUT_PAUSE: Duration = Duration::from_secs(1);

/// The content of a commit.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The next offset to read.
    pub next: i64,
    /// The metadata that is stored with the offset; may be empty.
    pub tag: &'a str,
    /// The leader epoch that is stored with the offset.
    pub epoch: Option<i32>,
}

/// Why a commit failed.
#[derive(Debug)]
pub enum CommitFailure {
    /// The partition belongs to another member.
    NotOurs(KafkaError),
    /// The offset is not valid in a request.
    Invalid(KafkaError),
    /// The coordinator refuses the leader epoch in the commit.
    Epoch(KafkaError),
    /// The coordinator refuses the metadata as too long.
    Metadata(KafkaError),
    /// Refused for another reason, not sent, or not answered in time.
    Failed(KafkaError),
}

/// One partition of the group's consumer, for the worker that reads it.
pub trait Source {
    /// Stays in librdkafka's memory until it is dropped.
    type Message<'s>: SourceMessage
    where
        Self: 's;

    fn partition(&self) -> &Partition;

    /// The next message. Waits at most `wait`. `None`: there is none yet. `room`: what the worker still takes, this
    /// message included. So much may be taken from librdkafka's queue ahead.
    fn poll(&self, wait: Duration, room: Room) -> Option<Result<Self::Message<'_>, FetchError>>;

    /// The consumer's position: behind the last message that it handed over, and behind the gaps that follow it
    /// (transaction markers also move the position). With the leader epoch of the entry that moved it last. `None`
    /// while it is not known, for example while messages were taken from the queue and not yet handed over.
    fn position(&self) -> Option<(i64, Option<i32>)>;

    /// Fetches again from `offset`, and asks the brokers to check, by the leader epoch `epoch`, that the log still has
    /// what was read before it.
    ///
    /// # Errors
    /// If librdkafka refuses, or does not answer within two seconds.
    fn seek(&self, offset: i64, epoch: i32) -> KafkaResult<()>;

    /// Stops fetching, and drops messages that are fetched but not taken.
    ///
    /// # Errors
    /// If the partition is not assigned.
    fn pause(&self) -> KafkaResult<()>;

    /// Fetches again, from behind the last message that was taken.
    ///
    /// # Errors
    /// If the partition is not assigned.
    fn resume(&self) -> KafkaResult<()>;

    /// Asks the leader for the end of the log. Takes at most half a second.
    ///
    /// # Errors
    /// If the leader does not answer in that time.
    fn log_end(&self) -> KafkaResult<i64>;

    /// Sends a commit without waiting for the answer. The answer goes to the consumer's context.
    ///
    /// # Errors
    /// Never [`CommitFailure::Epoch`] nor [`CommitFailure::Metadata`], since it does not wait for the answer.
    fn send_commit(&self, commit: Commit<'_>) -> Result<(), CommitFailure>;

    /// Commits, and waits for the answer until `deadline`.
    ///
    /// # Errors
    /// If the commit is refused or not answered.
    fn commit_by(&self, commit: Commit<'_>, deadline: Instant) -> Result<(), CommitFailure>;

    /// Logs that the worker leaves although `next` is not committed.
    fn last_commit_failed(&self, next: i64, error: &KafkaError);

    /// Finds out which topic this is, and whether the group's offset belongs to it. Waits until Kafka answers.
    ///
    /// # Errors
    /// See [`NoOrigin`].
    fn origin(&self, start: &PartitionStart, stop: &Stop) -> Result<Origin, NoOrigin>;

    /// Fails unless the topic is still the one with this id. Waits until Kafka answers.
    ///
    /// # Errors
    /// See [`NoOrigin`]; never `Former`.
    fn confirm(&self, topic_id: TopicId, stop: &Stop) -> Result<(), NoOrigin>;

    /// The oldest offset of the log, and its end. Waits until Kafka answers.
    ///
    /// # Errors
    /// If the stop flag was raised.
    fn log_ends(&self, stop: &Stop) -> Result<(i64, i64), NoOrigin>;

    /// Where the log was cut below `next`. `epoch` is the leader epoch of the last message that was read. `None` if
    /// that cannot be read. Waits for a broker that is not reachable.
    ///
    /// # Errors
    /// If the stop flag was raised.
    fn find_cut(&self, next: i64, epoch: i32, stop: &Stop) -> Result<Option<i64>, NoOrigin>;
}

/// What all sources of a consumer share.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    pub topic_ids: Arc<TopicIds>,
    /// How to reach Kafka: finding where a log was cut needs a separate client.
    pub kafka: Kafka,
}

/// One partition of the group's consumer.
pub struct PartitionSource {
    // Dropped in this order: no message outlives its consumer.
    intake: Intake<PartitionQueue>,
    consumer: Arc<Consumer>,
    partition: Partition,
    options: SourceOptions,
}

impl std::fmt::Debug for PartitionSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PartitionSource").field(&self.partition).finish()
    }
}

impl PartitionSource {
    /// Splits the partition's queue; `None` if librdkafka cannot.
    pub fn split(consumer: &Arc<Consumer>, partition: &Partition, options: &SourceOptions) -> Option<PartitionSource> {
        Some(PartitionSource {
            intake: Intake::new(PartitionQueue::split(consumer, partition)?),
            consumer: consumer.clone(),
            partition: partition.clone(),
            options: options.clone(),
        })
    }

    /// Stores the offset, and returns the list to send. Kafka accepts an explicit commit from anybody, but librdkafka
    /// lets only the partition's owner store an offset: this is the fence.
    fn store(&self, commit: Commit<'_>) -> Result<TopicPartitionList, CommitFailure> {
        let mut offsets = self.partition.list_at(commit.next).map_err(CommitFailure::Invalid)?;
        if let Some(mut element) = offsets.find_partition(&self.partition.topic, self.partition.number)
            && !commit.tag.is_empty()
        {
            element.set_metadata(commit.tag);
        }
        if let Some(of) = commit.epoch {
            epoch::set(&mut offsets, of);
        }
        self.consumer.store_offsets(&offsets).map_err(CommitFailure::NotOurs)?;
        Ok(offsets)
    }
}

impl Source for PartitionSource {
    type Message<'s> = PartitionMessage<'s>;

    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn poll(&self, wait: Duration, room: Room) -> Option<Result<PartitionMessage<'_>, FetchError>> {
        let next = self.intake.poll(wait, room)?;
        Some(next.map(|message| PartitionMessage::new(message, &self.partition)))
    }

    fn position(&self) -> Option<(i64, Option<i32>)> {
        self.intake.position()
    }

    fn seek(&self, offset: i64, epoch: i32) -> KafkaResult<()> {
        self.intake.seek(offset, Some(epoch))
    }

    fn pause(&self) -> KafkaResult<()> {
        self.intake.pause()
    }

    fn resume(&self) -> KafkaResult<()> {
        self.consumer.resume(&self.partition.list())
    }

    fn log_end(&self) -> KafkaResult<i64> {
        let Partition { topic, number } = &self.partition;
        let (_, end) = self.consumer.fetch_watermarks(topic, *number, END_TIMEOUT)?;
        Ok(end)
    }

    fn send_commit(&self, commit: Commit<'_>) -> Result<(), CommitFailure> {
        let offsets = self.store(commit)?;
        send(&self.consumer, &offsets).map_err(CommitFailure::Failed)
    }

    fn commit_by(&self, commit: Commit<'_>, deadline: Instant) -> Result<(), CommitFailure> {
        let offsets = self.store(commit)?;
        commit_by(&self.consumer, &offsets, deadline).map_err(|error| {
            if refuses_epoch(&error) {
                CommitFailure::Epoch(error)
            } else if refuses_metadata(&error) {
                CommitFailure::Metadata(error)
            } else {
                CommitFailure::Failed(error)
            }
        })
    }

    fn last_commit_failed(&self, next: i64, error: &KafkaError) {
        let failed = self.consumer.context().failed_commits();
        failed.last_failed(&self.partition, next, error);
    }

    fn origin(&self, start: &PartitionStart, stop: &Stop) -> Result<Origin, NoOrigin> {
        origin::find(&self.options.topic_ids, &self.partition, start, stop)
    }

    fn confirm(&self, topic_id: TopicId, stop: &Stop) -> Result<(), NoOrigin> {
        origin::confirm(&self.options.topic_ids, &self.partition, topic_id, stop)
    }

    fn log_ends(&self, stop: &Stop) -> Result<(i64, i64), NoOrigin> {
        origin::log_ends(&self.consumer, &self.partition, stop)
    }

    // Retries while a broker is not reachable. A decision about the log without that broker could end the service.
    fn find_cut(&self, next: i64, epoch: i32, stop: &Stop) -> Result<Option<i64>, NoOrigin> {
        let Partition { topic, number } = &self.partition;
        let mut unreadable = 0;
        let found = Retry::new(stop, CUT_PAUSE).run(
            || match cut::find(&self.options.kafka, topic, *number, next, epoch, stop) {
                Ok(Some(cut)) => Ok(Some(cut)),
                Ok(None) => Err(AttemptError::Final(NoOrigin::Stopped)),
                Err(error) => {
                    unreadable += u32::from(!cut::passes(&error));
                    if unreadable < CUT_ATTEMPTS {
                        Err(AttemptError::Passing(error))
                    } else {
                        Ok(None)
                    }
                }
            },
            |error, _, repeated| {
                warn!(
                    "kafka: cannot find out where the log was cut; nothing is read until then {} error=\"{error}\"{repeated}",
                    self.partition
                );
            },
        );
        found.map_err(NoOrigin::of_retry)
    }
}
