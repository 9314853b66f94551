//! What the clients that ask and read outside of the group have in common.

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

/// Callbacks of a client outside of the group. They only decide how its log lines and errors are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum LogContext {
    /// Log lines and errors are logged like those of all clients.
    Told,
    /// Log lines are logged like those of all clients. Errors are logged at level debug: the caller reports its own.
    ErrorsAtDebug,
    /// Both are logged at level debug: the group's consumer logs the same about the same brokers.
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

/// Settings of a client that asks or reads with the group's name but does not join the group.
pub(in crate::kafka) fn outside_config(kafka: &Kafka) -> ClientConfig {
    let mut config = connection_config(kafka);
    config.set("group.id", &kafka.group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("allow.auto.create.topics", "false");
    config
}

/// Runs the callbacks that are waiting, and returns the other events. `poll` returns nothing both after it has handed
/// over a log line and when the queue is empty, so it is called repeatedly for a fixed time. With a time-out of zero it
/// would hand over nothing.
pub(in crate::kafka) fn serve<C: ConsumerContext>(client: &BaseConsumer<C>) -> Vec<KafkaResult<()>> {
    const LONG_ENOUGH: Duration = Duration::from_millis(64);
    let until = Instant::now() + LONG_ENOUGH;
    let mut events = Vec::new();
    // Handing over a line takes almost no time.
    while Instant::now() < until {
        events.extend(client.poll(Duration::from_millis(1)).map(|event| event.map(drop)));
    }
    events
}

/// Drops the client on a separate thread. The drop waits for librdkafka's threads, and one of them may wait for a name
/// server. `of`: what the client is for, at most 10 bytes.
pub(in crate::kafka) fn leave_behind<C: ConsumerContext + 'static>(client: BaseConsumer<C>, of: &str) {
    let thread = thread::Builder::new().name(format!("drop-{of}"));
    if let Err(error) = thread.spawn(move || drop(client)) {
        debug!("kafka: the client of {of} is dropped in place error=\"{error}\"");
    }
}
