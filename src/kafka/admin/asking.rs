//! Callbacks of a client that asks whether Kafka is reachable. A request without an answer does not say why.
//!
//! So they keep what librdkafka reports on its threads, for the code that asks.

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::kafka::admin::advertised::{COORDINATOR, Learned, is_other_cluster, named};
use crate::kafka::diagnosis::{Complaint, Complaints, Diagnosis};
use crate::kafka::log::{tell_error, tell_line};

/// What happens to librdkafka's errors, besides being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errors {
    Told,
    /// Not logged: the caller reports them with its result.
    Untold,
}

pub(super) struct Asking {
    errors: Errors,
    complaints: Complaints,
    learned: Learned,
    /// The last complaint.
    complaint: Mutex<Option<String>>,
    /// The last complaint about the group's coordinator.
    coordinator: Mutex<Option<String>>,
    /// The last complaint about a broker of another cluster.
    other_cluster: Mutex<Option<String>>,
}

impl Asking {
    pub fn new(diagnosis: &Diagnosis, errors: Errors) -> Asking {
        Asking {
            errors,
            complaints: diagnosis.complaints(),
            learned: Learned::default(),
            complaint: Mutex::default(),
            coordinator: Mutex::default(),
            other_cluster: Mutex::default(),
        }
    }

    /// The brokers that the client has learned of.
    pub fn learned(&self) -> &Learned {
        &self.learned
    }

    /// librdkafka's last complaint since the previous call.
    pub fn complaint(&self) -> Option<String> {
        self.complaint.lock().take()
    }

    /// The same, about the group's coordinator.
    pub fn coordinator(&self) -> Option<String> {
        self.coordinator.lock().take()
    }

    /// The same, about a broker of another cluster.
    pub fn other_cluster(&self) -> Option<Complaint> {
        let line = self.other_cluster.lock().take()?;
        Some(Complaint::other_cluster(&line))
    }
}

impl ClientContext for Asking {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.hear(message);
        if is_other_cluster(message) {
            *self.other_cluster.lock() = Some(message.to_owned());
        }
        tell_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.hear(reason);
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.complaint.lock() = Some(reason.to_owned());
        }
        if reason.starts_with(COORDINATOR) {
            *self.coordinator.lock() = Some(named(reason));
        }
        if self.errors == Errors::Told {
            tell_error(&error, reason);
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.learned.hear(statistics);
    }
}

impl ConsumerContext for Asking {}

/// Whether a broker refuses the credentials. This comes as an event; the request itself just times out.
pub(super) fn is_refused_login<T>(event: &KafkaResult<T>) -> bool {
    matches!(
        event,
        Err(KafkaError::MessageConsumption(RDKafkaErrorCode::Authentication)
            | KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::Authentication))
    )
}
