//! Callbacks of a client that asks whether Kafka is reached: a request that is not answered says nothing of why.
//!
//! They keep what librdkafka says on its threads, for whoever asks to look at.

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::kafka::admin::advertised::{COORDINATOR, Learned, is_other_cluster, named};
use crate::kafka::diagnosis::{Complaint, Complaints, Diagnosis};
use crate::kafka::log::{tell_error, tell_line};

/// What becomes of librdkafka's errors, beside being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errors {
    Told,
    /// Whoever asks reports them with its answer.
    Untold,
}

pub(super) struct Asking {
    errors: Errors,
    complaints: Complaints,
    learned: Learned,
    /// What was complained of last.
    complaint: Mutex<Option<String>>,
    /// About the group's coordinator.
    coordinator: Mutex<Option<String>>,
    /// About a broker of another cluster.
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

    /// What librdkafka complained of last, since this was last asked.
    pub fn complaint(&self) -> Option<String> {
        self.complaint.lock().take()
    }

    /// The same about the group's coordinator.
    pub fn coordinator(&self) -> Option<String> {
        self.coordinator.lock().take()
    }

    /// The same about a broker of another cluster.
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

/// Whether a broker refuses the credentials: that comes as an event, while the request itself just times out.
pub(super) fn is_refused_login<T>(event: &KafkaResult<T>) -> bool {
    matches!(
        event,
        Err(KafkaError::MessageConsumption(RDKafkaErrorCode::Authentication)
            | KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::Authentication))
    )
}
