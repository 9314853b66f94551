//! The newest messages of a topic, for commands: errors are printed, with the exit code that belongs to them.
//!
//! No group is joined, and nothing is committed.

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use crate::aerospike::chain;
use crate::config::model::{Config, Kafka};
use crate::kafka::admin::newest::newest;
use crate::kafka::admin::probe::{ClusterView, ProbeError, probe};
use crate::message::Message;
use crate::util::exit::Exit;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

/// How long Kafka may be unreachable if `run.start_timeout` is not set.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long Kafka may be unreachable.
pub(super) fn timeout(config: &Config) -> Duration {
    config.run.start_timeout.unwrap_or(REACH_TIMEOUT)
}

/// Waits until Kafka answers and has one of the topics.
pub(super) fn reach(config: &Config) -> Result<ClusterView, Exit> {
    let limit = StartLimit::new(Some(timeout(config)));
    probe(&config.kafka, &limit, &Stop::new()).map_err(|error| {
        let _ = writeln!(io::stderr().lock(), "{error}");
        match error {
            ProbeError::Credentials(_) => Exit::Credentials,
            ProbeError::Configuration(_) => Exit::Configuration,
            ProbeError::Listener(complaint) => complaint.exit.unwrap_or(Exit::Unreachable),
            ProbeError::Unreachable(_) | ProbeError::Advertised(_) | ProbeError::Stopped => Exit::Unreachable,
        }
    })
}

/// Passes the last `count` messages of each partition to `take`, until it says that it has enough.
pub(super) fn read(
    kafka: &Kafka,
    topic: &str,
    count: u32,
    take: &mut dyn FnMut(&Message<'_>) -> ControlFlow<()>,
) -> Result<(), Exit> {
    newest(kafka, topic, count, take).map_err(|error| {
        let _ = writeln!(io::stderr().lock(), "{}", chain(&error));
        if error.is_refusal() {
            Exit::Credentials
        } else {
            Exit::Unreachable
        }
    })
}
