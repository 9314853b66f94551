//! What surrounds a worker: its partition's source, what all workers share, the stop flag, and whom it tells of its
//! progress. The stages of a batch borrow it; none of it changes from one batch to the next.

use crate::delivery::guard::Guard;
use crate::kafka::Partition;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::consumer::source::Source;
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
    /// The topic that bears this name now; found before the first batch.
    pub topic_id: TopicId,
    /// Made of it.
    pub guard: Guard,
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
        }
    }

    pub fn partition(&self) -> &'w Partition {
        self.source.partition()
    }

    /// It is known which topic this is.
    pub fn identified(&mut self, topic_id: TopicId) {
        self.topic_id = topic_id;
        self.guard = self.shared.group.guard(self.partition(), topic_id);
    }

    /// Counts messages that are given back: Kafka delivers them again, here or to another member.
    pub fn give_back(&self, messages: usize) {
        self.shared.counters.messages_in_hand.add(-signed(messages));
        self.shared.counters.messages_returned.add(messages as u64);
    }
}

/// A count as a signed number; none of ours comes near the bound.
pub(super) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
