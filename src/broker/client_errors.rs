//! What librdkafka complains of, as lines: each kind at once, and then every 10 seconds with how often it came.
//!
//! While no broker answers, every attempt to connect is an error of its own, several a second; the operator wants to know
//! that it lasts.

use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Errors by kind. librdkafka has some hundred codes, and few of them come here.
#[derive(Debug, Default)]
pub struct ClientErrors {
    told: Mutex<Vec<Told>>,
}

#[derive(Debug)]
struct Told {
    code: Option<RDKafkaErrorCode>,
    last: Instant,
    untold: u64,
}

impl ClientErrors {
    pub fn tell(&self, error: &KafkaError, reason: &str) {
        if let Some(errors) = self.due(error.rdkafka_error_code(), Instant::now()) {
            warn!("kafka: {error} reason=\"{reason}\" errors={errors}");
        }
    }

    /// How many there were since the last line, this one included; `None` while that is too fresh.
    fn due(&self, code: Option<RDKafkaErrorCode>, now: Instant) -> Option<u64> {
        let mut told = self.told.lock();
        let Some(known) = told.iter_mut().find(|told| told.code == code) else {
            told.push(Told {
                code,
                last: now,
                untold: 0,
            });
            return Some(1);
        };
        known.untold += 1;
        if now.duration_since(known.last) < LINE_INTERVAL {
            return None;
        }
        known.last = now;
        Some(std::mem::take(&mut known.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_lasts_is_told_at_once_and_every_10_seconds() {
        let errors = ClientErrors::default();
        let began = Instant::now();
        let down = Some(RDKafkaErrorCode::AllBrokersDown);
        let told: Vec<Option<u64>> = (0..=100)
            .map(|tenths| errors.due(down, began + Duration::from_millis(100 * tenths)))
            .collect();
        assert_eq!(told[0], Some(1));
        assert!(told[1..100].iter().all(Option::is_none), "{told:?}");
        assert_eq!(told[100], Some(100));
        assert_eq!(errors.due(Some(RDKafkaErrorCode::Resolve), began), Some(1));
    }
}
