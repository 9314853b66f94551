//! What is done with a message: the trait that the configuration's rules implement, and that a program of your own can.
//!
//! A worker hands each message of its partition to the [`Processor`] of its topic, in offset order, and does what the
//! output asks for: rows first, then publications, then the offset. Everything else (batches, retries, guards,
//! back-pressure, commits, dead letters) is the same for a processor in code as for one from a file.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::pipeline::map::{Mapping, Message, Rejection};
use crate::pipeline::output::{Output, Verdict};

/// Message in, verdict and operations out.
///
/// Called on the partitions' threads, from several at once; must not block: no I/O, no lock that is held for long, for
/// nothing else of the partition moves meanwhile, and a stop is not seen. Must be a function of the message: the
/// same message comes again after a crash, and has to ask for the same then.
pub trait Processor: Send + Sync {
    /// Judges and maps one message: what it asks for is added to `output`.
    ///
    /// `now_ms` is the time, in milliseconds since the epoch, one for a whole batch: take it rather than a clock.
    ///
    /// # Errors
    /// A rejection: nothing of the message is done then, whatever was added to `output` before, and `[reject]` says
    /// what becomes of it.
    fn process<'m>(&'m self, message: &Message<'m>, now_ms: i64, output: &mut Output<'m>)
    -> Result<Verdict, Rejection>;

    /// Whether `Message::headers` is looked at; they are left out where not, which is faster.
    fn wants_headers(&self) -> bool {
        true
    }

    /// How many rows a plain message makes; sizes the batches.
    fn rows_per_message(&self) -> usize {
        1
    }

    /// Whether any row is guarded.
    fn is_guarded(&self) -> bool {
        false
    }

    /// The namespaces that rows may go to: looked for at the start.
    fn namespaces(&self) -> Vec<String>;

    /// The topics that are produced to: looked for at the start, and a producer is made where there is one.
    fn produced_topics(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The processor of each topic.
#[derive(Clone, Default)]
pub struct Processors(HashMap<String, Arc<dyn Processor>>);

impl Processors {
    /// One for all topics.
    pub fn same_for(topics: &[String], processor: &Arc<dyn Processor>) -> Processors {
        Processors(topics.iter().map(|topic| (topic.clone(), processor.clone())).collect())
    }

    /// That of a topic.
    pub fn topic(&self, topic: &str) -> Option<&dyn Processor> {
        self.0.get(topic).map(|processor| &**processor)
    }

    /// The namespaces of all of them, each once.
    pub fn namespaces(&self) -> Vec<String> {
        each_once(self.0.values().flat_map(|processor| processor.namespaces()))
    }

    /// The topics that any of them produces to, each once.
    pub fn produced_topics(&self) -> Vec<String> {
        each_once(self.0.values().flat_map(|processor| processor.produced_topics()))
    }
}

impl From<Mapping> for Processors {
    fn from(mapping: Mapping) -> Self {
        let topics = mapping.into_topics();
        Processors(
            topics
                .map(|(topic, rules)| (topic, Arc::new(rules) as Arc<dyn Processor>))
                .collect(),
        )
    }
}

impl fmt::Debug for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}
