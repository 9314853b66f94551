//! Passes what librdkafka's callbacks report about partitions on to the workers.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rdkafka::error::KafkaError;

use crate::kafka::consumer::committed::Committed;
use crate::kafka::consumer::context::Readers;
use crate::kafka::consumer::group::GroupAssignment;
use crate::kafka::consumer::source::SourceOptions;
use crate::kafka::{Consumer, Partition};
use crate::service::assignment::Workers;
use crate::util::exit::Exit;
use crate::util::stop::StopKind;

/// The workers of a consumer.
#[derive(Debug)]
pub struct GroupReaders {
    pub workers: Arc<Workers>,
    pub options: SourceOptions,
}

impl Readers for GroupReaders {
    fn assign(&self, consumer: &Arc<Consumer>, partitions: &[Partition], committed: &HashMap<Partition, Committed>) {
        let options = &self.options;
        self.workers
            .begin(&GroupAssignment { consumer, options }, partitions, committed);
    }

    fn revoke(&self, partitions: &[Partition], kind: StopKind) {
        self.workers.revoke(partitions, kind);
    }

    fn commit_failed(&self, partition: &Partition, error: &KafkaError) {
        self.workers.commit_failed(partition, error);
    }

    fn positions(&self) -> Vec<(Partition, Option<i64>, i64)> {
        self.workers.positions()
    }

    fn fatal(&self, exit: Exit, why: fmt::Arguments<'_>) {
        self.workers.fatal(exit, why);
    }
}
