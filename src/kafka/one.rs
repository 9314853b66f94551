//! Produces one message and waits until it is acknowledged, for commands. The service uses `producer.rs`.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};

use super::log::tell_line;
use super::producer::delivery_config;
use crate::config::model::Kafka;
use crate::output::publication::Publication;

/// How long the message may take.
const DELIVERY_MAX: Duration = Duration::from_secs(30);
/// After its own time-out, librdkafka reports the message as failed. Then no report is expected any more.
const GRACE: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(50);

/// Why the message is not known to be stored. (If no answer came, it may be stored all the same.)
#[derive(Debug)]
pub struct NotProduced(KafkaError);

impl NotProduced {
    /// Whether the reason is a missing right.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.0.rdkafka_error_code(),
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)
        )
    }
}

impl fmt::Display for NotProduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NotProduced {}

type Report = Result<(i32, i64), KafkaError>;

#[derive(Default)]
struct Reported(Mutex<Option<Report>>);

impl ClientContext for Reported {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::debug!("kafka: {error} reason=\"{reason}\"");
    }
}

impl ProducerContext for Reported {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        *self.0.lock() = Some(match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        });
    }
}

/// Produces the message. Returns its partition and offset.
///
/// # Errors
/// If it is not acknowledged in time, or refused.
pub fn produce(kafka: &Kafka, message: &Publication<'_>) -> Result<(i32, i64), NotProduced> {
    let mut config = delivery_config(kafka);
    config.set("message.timeout.ms", DELIVERY_MAX.as_millis().to_string());
    let producer: BaseProducer<Reported> = config.create_with_context(Reported::default()).map_err(NotProduced)?;
    let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(message.topic);
    record.key = message.key.as_deref();
    record.payload = message.payload.as_deref();
    record.timestamp = message.timestamp_ms;
    let owned = OwnedHeaders::new_with_capacity(message.headers.len());
    record.headers = Some(message.headers.iter().fold(owned, |headers, (key, value)| {
        let value = value.as_deref();
        headers.insert(Header { key, value })
    }));
    producer.send(record).map_err(|(error, _)| NotProduced(error))?;
    let deadline = Instant::now() + DELIVERY_MAX + GRACE;
    loop {
        producer.poll(POLL_WAIT);
        if let Some(report) = producer.context().0.lock().take() {
            return report.map_err(NotProduced);
        }
        if Instant::now() >= deadline {
            producer.purge(PurgeConfig::default().queue().inflight());
            return Err(NotProduced(KafkaError::MessageProduction(
                RDKafkaErrorCode::OperationTimedOut,
            )));
        }
    }
}
