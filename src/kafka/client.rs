//! What clients have in common that ask and read outside of the group.

use std::thread;
use std::time::{Duration, Instant};

use log::debug;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};

use crate::config::model::Kafka;
use crate::kafka::connection_config;
use crate::kafka::log::{tell_error, tell_line};

/// Callbacks of a client that has nothing to hear: what becomes of its log and of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum LogContext {
    /// Both are logged as those of all clients.
    Told,
    /// The log as that of all clients. Errors at level debug: the caller reports its own.
    ErrorsAtDebug,
    /// Both at level debug: the group's consumer logs the same of the same brokers.
    AtDebug,
}

impl ClientContext for LogContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match self {
            LogContext::Told | LogContext::ErrorsAtDebug => tell_line(level, facility, message),
            LogContext::AtDebug => debug!(target: "librdkafka", "{facility} {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match self {
            LogContext::Told => tell_error(&error, reason),
            LogContext::ErrorsAtDebug | LogContext::AtDebug => debug!("kafka: {error} reason=\"{reason}\""),
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for LogContext {}

/// Settings of a client that asks or reads under the group's name, and does not join the group.
pub(in crate::kafka) fn outside_config(kafka: &Kafka) -> ClientConfig {
    let mut config = connection_config(kafka);
    config.set("group.id", &kafka.group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("allow.auto.create.topics", "false");
    config
}

/// Lets the callbacks have what waits for them, and returns the events beside. `poll` returns nothing for a log line that it
/// has handed over, as it does for an empty queue, so it is called long enough; and without any time-out it hands over
/// nothing.
pub(in crate::kafka) fn serve<C: ConsumerContext>(client: &BaseConsumer<C>) -> Vec<KafkaResult<()>> {
    const LONG_ENOUGH: Duration = Duration::from_millis(64);
    let until = Instant::now() + LONG_ENOUGH;
    let mut events = Vec::new();
    // A line that is handed over takes no time.
    while Instant::now() < until {
        events.extend(client.poll(Duration::from_millis(1)).map(|event| event.map(drop)));
    }
    events
}

/// Drops the client on a thread of its own, since the drop waits for librdkafka's threads, and one of them may wait for a
/// name server. `of`: what the client is for, at most 10 bytes.
pub(in crate::kafka) fn leave_behind<C: ConsumerContext + 'static>(client: BaseConsumer<C>, of: &str) {
    let thread = thread::Builder::new().name(format!("drop-{of}"));
    if let Err(error) = thread.spawn(move || drop(client)) {
        debug!("kafka: the client of {of} is dropped in place error=\"{error}\"");
    }
}
