//! What the async designs share: the runtime in which rdkafka's `StreamConsumer` runs, and messages as they are there.

use std::future::Future;
use std::time::Duration;

use rdkafka::consumer::{DefaultConsumerContext, StreamConsumer};
use rdkafka::util::AsyncRuntime;

/// rdkafka has the same, behind a feature that would change the build of the service.
pub struct Tokio;

impl AsyncRuntime for Tokio {
    type Delay = tokio::time::Sleep;

    fn spawn<T>(task: T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(task);
    }

    fn delay_for(duration: Duration) -> Self::Delay {
        tokio::time::sleep(duration)
    }
}

pub type Stream = StreamConsumer<DefaultConsumerContext, Tokio>;
