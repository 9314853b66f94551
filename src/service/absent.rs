//! Topics of the configuration that Kafka does not have.

use std::sync::Arc;

use log::{info, warn};

use crate::kafka::admin::topic_ids::TopicIds;

/// The topics that do not exist now. A line is logged when that changes.
#[derive(Debug, Default)]
pub struct Absent(Vec<Arc<str>>);

impl Absent {
    /// Logs which topics have disappeared, or appeared, since the last call.
    pub fn tell(&mut self, topic_ids: &TopicIds) {
        let now = topic_ids.absent();
        if now == self.0 {
            return;
        }
        for topic in now.iter().filter(|topic| !self.0.contains(topic)) {
            warn!(
                "kafka: there is no such topic; the others are read, and it is from its beginning when it is there \
                 topic={topic}"
            );
        }
        for topic in self.0.iter().filter(|topic| !now.contains(topic)) {
            info!("kafka: the topic is there topic={topic}");
        }
        self.0 = now;
    }
}
