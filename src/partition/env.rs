//! What a worker works with: its partition's source, the state that all workers share, the stop flag, and where it
//! reports its progress. The stages of a batch borrow it; it does not change from batch to batch.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::delivery::guard::Guard;
use crate::delivery::reject::{guarded_sets, versioned_sets};
use crate::kafka::Partition;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::consumer::source::Source;
use crate::message::Reason;
use crate::observe::snapshot::RecentReject;
use crate::partition::fetching::Fetching;
use crate::partition::progress::Progress;
use crate::partition::shared::Shared;
use crate::rules::code::TopicProcessor;
use crate::util::stop::Stop;

pub(super) struct Env<'w, S: Source> {
    pub shared: &'w Shared,
    pub source: &'w S,
    pub processor: &'w TopicProcessor,
    pub stop: &'w Stop,
    pub progress: &'w Progress,
    pub fetching: Fetching<'w, S>,
    /// Id of the topic that has this name now. Known before the first batch.
    pub topic_id: TopicId,
    /// Derived from the topic's id, among others.
    pub guard: Guard,
    /// What dead letters say of the sets that are guarded.
    pub guarded: String,
    /// What they say of the sets that have versions.
    pub versioned: String,
}

impl<'w, S: Source> Env<'w, S> {
    pub fn new(
        shared: &'w Shared,
        source: &'w S,
        processor: &'w TopicProcessor,
        stop: &'w Stop,
        progress: &'w Progress,
    ) -> Self {
        Env {
            shared,
            source,
            processor,
            stop,
            progress,
            fetching: Fetching::new(shared, source, progress),
            topic_id: TopicId::NONE,
            guard: shared.group.guard(source.partition(), TopicId::NONE),
            guarded: guarded_sets(&processor.guarded_sets()),
            versioned: versioned_sets(&processor.versioned_sets()),
        }
    }

    pub fn partition(&self) -> &'w Partition {
        self.source.partition()
    }

    /// Sets the topic's id, when it is known.
    pub fn identified(&mut self, topic_id: TopicId) {
        self.topic_id = topic_id;
        self.guard = self.shared.group.guard(self.partition(), topic_id);
    }

    /// Remembers where a rejected message is: the status page shows the last ones.
    pub fn remember_reject(&self, offset: i64, reason: Reason) {
        let Partition { topic, number } = self.partition();
        self.shared.rejecting.counts.remember(RecentReject {
            at: SystemTime::now(),
            topic: topic.clone(),
            partition: *number,
            offset,
            reason: reason.as_str().to_owned(),
        });
    }

    /// Counts messages that are given back. Kafka delivers them again, to this member or another one.
    pub fn give_back(&self, messages: usize) {
        self.shared.counters.messages_in_hand.add(-signed(messages));
        self.shared.counters.messages_returned.add(messages as u64);
    }
}

/// Milliseconds since 1970. A clock that is set before 1970 gives 0.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A count as a signed number. Our counts are far below the limit.
pub(super) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
