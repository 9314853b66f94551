//! What processors declare about themselves: read once, at the start, on the main thread, and checked.
//!
//! If an answer changes later, that has no effect. A fault in one of them is a bug of the program, which then does not
//! start (78).

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::config::names;
use crate::output::ROWS_MAX;
use crate::processor::Processor;
use crate::rules::code::vetting::Promised;
use crate::rules::code::{Given, Processors};

/// The processors as the service uses them.
#[derive(Clone, Default)]
pub struct Checked(HashMap<String, Arc<TopicProcessor>>);

/// The processor of a topic, and what it declares about itself.
pub struct TopicProcessor {
    pub(super) processor: Arc<dyn Processor>,
    pub(super) is_of_file: bool,
    wants_headers: bool,
    rows_per_message: usize,
    is_guarded: bool,
    namespaces: Vec<String>,
    produced_topics: Vec<String>,
}

/// All faults in what processors declare about themselves.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the processor in code: {}", self.0.join("; "))
    }
}

impl std::error::Error for Refused {}

impl Processors {
    /// Asks each processor what it declares about itself. `topics`: the topics that are consumed.
    ///
    /// # Errors
    /// All faults, and how to fix each.
    pub fn check(&self, topics: &[String]) -> Result<Checked, Refused> {
        let mut faults = Vec::new();
        let mut checked = HashMap::with_capacity(self.0.len());
        // In the order of the configuration.
        for topic in topics {
            let Some(given) = self.0.get(topic) else {
                faults.push(format!(
                    "there is none for the topic {topic}: give Processors one for each of kafka.topics"
                ));
                continue;
            };
            let asked = catch_unwind(AssertUnwindSafe(|| TopicProcessor::ask(given)));
            match asked {
                Ok(processor) => {
                    if !given.is_of_file {
                        processor.faults(topics, &mut faults);
                    }
                    checked.insert(topic.clone(), Arc::new(processor));
                }
                Err(_) => faults.push("a method beside process() panicked; standard error says where".to_owned()),
            }
        }
        let mut unread: Vec<&String> = self.0.keys().filter(|topic| !topics.contains(topic)).collect();
        unread.sort();
        for topic in unread {
            faults.push(format!("there is one for {topic:?}, which is not among kafka.topics"));
        }
        // If one processor serves many topics, each of its faults is listed once.
        let mut told: Vec<String> = Vec::new();
        for fault in faults {
            if !told.contains(&fault) {
                told.push(fault);
            }
        }
        if told.is_empty() {
            Ok(Checked(checked))
        } else {
            Err(Refused(told))
        }
    }
}

impl Checked {
    /// The processor of a topic.
    pub fn topic(&self, topic: &str) -> Option<&TopicProcessor> {
        self.0.get(topic).map(|processor| &**processor)
    }

    /// The namespaces of all processors, without duplicates.
    pub fn namespaces(&self) -> Vec<String> {
        each_once(
            self.0
                .values()
                .flat_map(|processor| processor.namespaces.iter().cloned()),
        )
    }

    /// The topics to which any processor produces, without duplicates.
    pub fn produced_topics(&self) -> Vec<String> {
        each_once(
            self.0
                .values()
                .flat_map(|processor| processor.produced_topics.iter().cloned()),
        )
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl TopicProcessor {
    fn ask(given: &Given) -> TopicProcessor {
        let processor = given.processor.clone();
        TopicProcessor {
            is_of_file: given.is_of_file,
            wants_headers: processor.wants_headers(),
            rows_per_message: processor.rows_per_message(),
            is_guarded: processor.is_guarded(),
            namespaces: processor.namespaces(),
            produced_topics: processor.produced_topics(),
            processor,
        }
    }

    fn faults(&self, topics: &[String], faults: &mut Vec<String>) {
        let rows = self.rows_per_message;
        if !(1..=ROWS_MAX).contains(&rows) {
            faults.push(format!(
                "rows_per_message() is {rows}: answer how many rows a plain message makes, from 1 to {ROWS_MAX}"
            ));
        }
        for namespace in &self.namespaces {
            if let Err(problem) = names::namespace(namespace) {
                faults.push(format!("namespaces() names {namespace:?}: {problem}"));
            }
        }
        for topic in &self.produced_topics {
            if let Err(problem) = names::topic(topic) {
                faults.push(format!("produced_topics() names {topic:?}: {problem}"));
            }
            if topics.contains(topic) {
                faults.push(format!(
                    "produced_topics() names {topic:?}, which is among kafka.topics: what is produced would be read again, \
                     without end"
                ));
            }
        }
    }

    pub(super) fn promised(&self) -> Promised<'_> {
        Promised {
            namespaces: &self.namespaces,
            produced_topics: &self.produced_topics,
            is_guarded: self.is_guarded,
        }
    }

    /// Whether the processor reads headers.
    pub fn wants_headers(&self) -> bool {
        self.wants_headers
    }

    /// How many rows a typical message makes: at least 1.
    pub fn rows_per_message(&self) -> usize {
        self.rows_per_message
    }

    /// The sets in which every row that changes values is guarded. None for a processor in code.
    pub fn guarded_sets(&self) -> Vec<(String, String)> {
        match self.is_of_file {
            true => self.processor.guarded_sets(),
            false => Vec::new(),
        }
    }

    /// The sets in which every row that changes values has a version, with its bin. None for a processor in code.
    pub fn versioned_sets(&self) -> Vec<(String, String, String)> {
        match self.is_of_file {
            true => self.processor.versioned_sets(),
            false => Vec::new(),
        }
    }

    /// Whether any row may be guarded.
    pub fn is_guarded(&self) -> bool {
        self.is_guarded
    }
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}
