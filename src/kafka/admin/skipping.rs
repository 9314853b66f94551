//! Moves the group's offset of one partition past one message, for `penstock skip`. From outside of the group.
//!
//! Joins no group. Kafka accepts a commit from outside only while the group has no members. The commit is like one of
//! the service: it has the topic's id (`consumer/origin.rs`) and the leader epoch of the message before it.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::Offset;

use crate::config::model::Kafka;
use crate::delivery::letter::Letter;
pub use crate::kafka::admin::describe_group::Member;
use crate::kafka::admin::describe_group::{DescribedGroup, describe};
use crate::kafka::admin::newest::{is_passing, reading_config};
use crate::kafka::admin::survey::{NOT_READY_PAUSE, is_not_ready};
use crate::kafka::admin::topic_ends::{Told, ends};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::{ReadError, TopicIds};
use crate::kafka::client::{LogContext, outside_config};
use crate::kafka::consumer::commits::{commit_by, refuses_epoch};
use crate::kafka::consumer::committed::{Committed, is_refusal};
use crate::kafka::consumer::epoch;
use crate::kafka::consumer::origin::{next_tag, tagged_letters, tagged_topic};
use crate::kafka::letters::bound::LettersFrom;
use crate::kafka::letters::log::LetterLog;
use crate::kafka::letters::{NoLetters, Search};
use crate::kafka::{Partition, view};
use crate::message::Message;
use crate::util::retry::{Retry, RetryError};
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

/// Time-out of a request. The first one also finds the group's coordinator.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_WAIT: Duration = Duration::from_millis(100);
/// If neither a message nor the end of the partition comes for this long, reading fails.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Why something was not done.
#[derive(Debug)]
pub enum SkippingError {
    /// Kafka refuses access.
    Refused(String),
    /// The group has members, so it takes no commit from outside.
    Members(String),
    /// No answer in time, or an error that may pass.
    Failed(String),
}

impl fmt::Display for SkippingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (SkippingError::Refused(why) | SkippingError::Members(why) | SkippingError::Failed(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for SkippingError {}

impl SkippingError {
    fn of(what: &str, error: &KafkaError) -> SkippingError {
        use RDKafkaErrorCode as Code;
        let why = format!("kafka: cannot {what}: {error}");
        match error.rdkafka_error_code() {
            _ if is_refusal(error) => SkippingError::Refused(why),
            Some(
                Code::UnknownMemberId
                | Code::IllegalGeneration
                | Code::RebalanceInProgress
                | Code::FencedInstanceId
                | Code::FencedMemberEpoch
                | Code::StaleMemberEpoch,
            ) => SkippingError::Members(why),
            _ => SkippingError::Failed(why),
        }
    }
}

/// What the group and the log say about the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The group's offset. `None`: it has none.
    pub committed: Option<Committed>,
    /// The group's offset belongs to a former topic of this name.
    pub is_of_former: bool,
    /// The oldest offset of the log, and its end.
    pub log: (i64, i64),
}

/// The group and the partition that are asked about.
pub struct Skipping<'k> {
    kafka: &'k Kafka,
    partition: Partition,
    client: BaseConsumer<LogContext>,
    topic_id: TopicId,
    ids: Arc<TopicIds>,
}

impl fmt::Debug for Skipping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skipping {
            partition, topic_id, ..
        } = self;
        f.debug_struct("Skipping")
            .field("partition", partition)
            .field("topic_id", topic_id)
            .finish_non_exhaustive()
    }
}

impl<'k> Skipping<'k> {
    /// Reads the topic's id. `broker`: one that answers.
    ///
    /// # Errors
    /// See [`SkippingError`].
    pub fn new(
        kafka: &'k Kafka,
        partition: Partition,
        broker: Option<i32>,
        limit: &StartLimit,
    ) -> Result<Skipping<'k>, SkippingError> {
        let settings = |error: KafkaError| SkippingError::Failed(format!("kafka client settings are refused: {error}"));
        let mut config = outside_config(kafka);
        // This client is never a member, and the commit of an instance would be compared with that instance's member.
        config.remove("group.instance.id");
        let client = config
            .create_with_context(LogContext::ErrorsAtDebug)
            .map_err(settings)?;
        let ids = Arc::new(TopicIds::new(kafka).map_err(settings)?);
        if let Some(broker) = broker {
            ids.prefer(broker);
        }
        let topic_id = ids.read_within(&partition.topic, Instant::now(), limit, &Stop::new());
        let topic_id = topic_id.map_err(|error| match error {
            ReadError::Refused(_) => SkippingError::Refused(error.to_string()),
            ReadError::Stopped | ReadError::TooLate(_) => SkippingError::Failed(error.to_string()),
        })?;
        Ok(Skipping {
            kafka,
            partition,
            client,
            topic_id,
            ids,
        })
    }

    /// The topic's id; all zero if the brokers have none.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// Whether the topic has this partition.
    ///
    /// # Errors
    /// See [`SkippingError`].
    pub fn has_partition(&self) -> Result<bool, SkippingError> {
        let topic = &self.partition.topic;
        let metadata = self.client.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
        let metadata = metadata.map_err(|error| SkippingError::of("ask about the topic", &error))?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        Ok(partitions.into_iter().any(|each| each.id() == self.partition.number))
    }

    /// The members of the group; `None`: the broker does not tell.
    pub fn members(&self) -> Option<Vec<Member>> {
        match describe(&self.client, &self.kafka.group)? {
            DescribedGroup::Refused => None,
            DescribedGroup::Seen { members, .. } => Some(members),
        }
    }

    /// What the group and the log say now.
    ///
    /// # Errors
    /// See [`SkippingError`].
    pub fn standing(&self) -> Result<Standing, SkippingError> {
        let ask = || -> KafkaResult<Standing> {
            let found = self.client.committed_offsets(self.partition.list(), REQUEST_TIMEOUT)?;
            let mut committed = None;
            for (element, epoch) in found.elements().iter().zip(epoch::of_list(&found)) {
                element.error()?;
                if let Offset::Offset(offset) = element.offset() {
                    let tag = element.metadata().to_owned();
                    committed = Some(Committed { offset, tag, epoch });
                }
            }
            let (topic, number) = (&self.partition.topic, self.partition.number);
            let log = self.client.fetch_watermarks(topic, number, REQUEST_TIMEOUT)?;
            let tagged = committed
                .as_ref()
                .and_then(|committed| tagged_topic(&committed.tag, self.ids.cluster_id()));
            Ok(Standing {
                committed,
                is_of_former: !self.topic_id.is_none() && tagged.is_some_and(|id| id != self.topic_id),
                log,
            })
        };
        let until = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match ask() {
                Err(error) if is_not_ready(&error) && Instant::now() < until => thread::sleep(NOT_READY_PAUSE),
                asked => return asked.map_err(|error| SkippingError::of("read the group's offset", &error)),
            }
        }
    }

    /// Passes the first message at `from` or later to `take`, with its leader epoch. Returns `false` if there is none
    /// now. (Messages of aborted transactions, and of open ones, count as none.)
    ///
    /// # Errors
    /// See [`SkippingError`].
    pub fn first_message(
        &self,
        from: i64,
        take: &mut dyn FnMut(&Message<'_>, Option<i32>),
    ) -> Result<bool, SkippingError> {
        self.read_first(from, take)
            .map_err(|error| SkippingError::of("read the message", &error))
    }

    fn read_first(&self, from: i64, take: &mut dyn FnMut(&Message<'_>, Option<i32>)) -> KafkaResult<bool> {
        let mut config = reading_config(self.kafka);
        config.remove("group.instance.id");
        // The offset was in the log a moment ago. If it is gone, the error says so.
        config.set("auto.offset.reset", "error");
        let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::ErrorsAtDebug)?;
        consumer.assign(&self.partition.list_at(from)?)?;
        let begun = Instant::now();
        loop {
            match consumer.poll(POLL_WAIT) {
                None if begun.elapsed() < SILENCE_MAX => {}
                None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
                Some(Err(KafkaError::MessageConsumption(code)))
                    if is_passing(code) && begun.elapsed() < SILENCE_MAX => {}
                Some(Err(error)) => return Err(error),
                Some(Ok(message)) => {
                    take(&view(&message, true), epoch::of_message(&message));
                    return Ok(true);
                }
            }
        }
    }

    /// Where the dead letter of `message` is, if the service would find it after a crash: it was stored, and the message's
    /// offset is not committed. `guard_epoch`: `run.guard_epoch`.
    ///
    /// # Errors
    /// If it cannot be known. See [`SkippingError`].
    pub fn letter_of(
        &self,
        message: &Message<'_>,
        guard_epoch: u32,
        standing: &Standing,
    ) -> Result<Option<(String, i32, i64)>, SkippingError> {
        let Some(committed) = &standing.committed else {
            return Ok(None);
        };
        let log = LetterLog::new(self.kafka, &self.ids, None);
        let (stop, mut found) = (Stop::new(), None);
        let mut take = |from: &Message<'_>| {
            let Ok(letter) = Letter::read(from) else { return };
            let is_same_topic = match letter.topic_id.and_then(TopicId::parse) {
                Some(id) if !self.topic_id.is_none() => id == self.topic_id,
                _ => letter.topic == message.topic,
            };
            let is_of_group = letter.group == self.kafka.group
                && letter.guard_epoch.is_none_or(|epoch| epoch == guard_epoch)
                && (letter.partition, letter.offset) == (message.partition, message.offset);
            if is_same_topic && is_of_group && content(&letter.message(from)) == content(message) {
                found = Some((from.topic.to_owned(), from.partition, from.offset));
            }
        };
        for from in &tagged_letters(&committed.tag, self.ids.cluster_id()) {
            let now = Instant::now();
            let retry = Retry::new(&stop, NOT_READY_PAUSE).quiet_for(REQUEST_TIMEOUT);
            let search = Search {
                from,
                partition: &self.partition,
                since: now,
                stop: &stop,
                is_needed: &|| true,
            };
            let failed = |why: &str| format!("kafka: cannot read the dead letters in {}: {why}", from.topic);
            match log.search_by(&retry.until(Some(now + REQUEST_TIMEOUT)), search, &mut take) {
                Ok(_) | Err(RetryError::Final(NoLetters::Absent)) => {}
                Err(RetryError::Final(NoLetters::Refused(why))) => return Err(SkippingError::Refused(failed(&why))),
                Err(RetryError::TooLate(why)) => return Err(SkippingError::Failed(failed(&why))),
                Err(RetryError::Final(NoLetters::Stopped) | RetryError::Stopped) => {
                    return Err(SkippingError::Failed(failed("it was stopped")));
                }
            }
        }
        Ok(found)
    }

    /// Commits the group's offset once more, as it is. This shows whether the group takes commits from outside.
    ///
    /// # Errors
    /// [`SkippingError::Members`]: the group has members.
    pub fn commit_again(&self, committed: &Committed) -> Result<(), SkippingError> {
        self.commit_with(committed.offset, &committed.tag, committed.epoch)
    }

    /// Commits the group's next offset as it is, and with it from where on letters in `topic` are. So if this call keeps
    /// the message there and ends before it is skipped, the service finds the letter, and does not apply the message. It
    /// also shows whether the group takes commits from outside.
    ///
    /// # Errors
    /// [`SkippingError::Members`]: the group has members.
    pub fn tell_letters(&self, next: i64, standing: &Standing, topic: &str) -> Result<(), SkippingError> {
        let committed = standing.committed.as_ref();
        let mut from = LettersFrom::beginning(topic, TopicId::NONE);
        // Without an answer: from its beginning, which is always right.
        if let Told::Ends(ends) = ends(&self.ids, topic, REQUEST_TIMEOUT, &Stop::new()) {
            from.id = ends.id;
            for (partition, end) in ends.ends.iter().enumerate() {
                if let Some(end) = end {
                    from.set(partition, end.offset, end.epoch);
                }
            }
        }
        let before = committed.map_or("", |committed| &committed.tag);
        let tag = next_tag(before, Some(from), self.topic_id, self.ids.cluster_id());
        let own = committed.filter(|_| !standing.is_of_former);
        self.commit_with(next, &tag, own.and_then(|committed| committed.epoch))
    }

    /// Commits `next`. `epoch`: the leader epoch of the message before it. `before`: the group's offset until now, whose
    /// words about letters stay true.
    ///
    /// # Errors
    /// [`SkippingError::Members`]: the group has members.
    pub fn commit(&self, next: i64, epoch: Option<i32>, before: Option<&Committed>) -> Result<(), SkippingError> {
        let before = before.map_or("", |committed| &committed.tag);
        let tag = next_tag(before, None, self.topic_id, self.ids.cluster_id());
        self.commit_with(next, &tag, epoch)
    }

    fn commit_with(&self, next: i64, tag: &str, epoch: Option<i32>) -> Result<(), SkippingError> {
        let commit = |epoch: Option<i32>| -> KafkaResult<()> {
            let mut list = self.partition.list_at(next)?;
            if let Some(mut element) = list.find_partition(&self.partition.topic, self.partition.number)
                && !tag.is_empty()
            {
                element.set_metadata(tag);
            }
            if let Some(epoch) = epoch {
                epoch::set(&mut list, epoch);
            }
            commit_by(&self.client, &list, Instant::now() + REQUEST_TIMEOUT)
        };
        let committed = match commit(epoch) {
            Err(error) if epoch.is_some() && refuses_epoch(&error) => commit(None),
            committed => committed,
        };
        committed.map_err(|error| SkippingError::of("commit the group's offset", &error))
    }
}

/// What tells messages apart that have the same offset: a log that was cut gives offsets to other messages. A letter does
/// not tell an empty key or payload from none.
fn content<'m>(message: &Message<'m>) -> (&'m [u8], &'m [u8], Option<i64>) {
    let [key, payload] = [message.key, message.payload].map(Option::unwrap_or_default);
    (key, payload, message.timestamp_ms)
}
