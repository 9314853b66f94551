//! The processors of a service, of rules in a file or in code, and what keeps the service whole whatever code does.
//!
//! Code of a user is input, as a message is. What a processor says of itself is asked once, at the start, and checked
//! ([`Processors::check`]); what it asks for a message is looked at before anything of it is done (`vetting`), and rejects
//! the message where it cannot be done. So does a panic in it. What can still stop a partition is code that does not come
//! back: the watchdog tells that (`run.stall_after`).

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::message::{Message, Reason, Rejection};
use crate::output::{Output, Verdict};
use crate::processor::Processor;
use crate::rules::mapping::Mapping;

mod start;
mod vetting;

pub use start::{Checked, Refused, TopicProcessor};
pub use vetting::{OPERATIONS_MAX, PUBLICATIONS_MAX, ROW_BYTES_MAX, TTL_SECONDS_MAX};

/// The processor of each topic.
#[derive(Clone, Default)]
pub struct Processors(HashMap<String, Given>);

/// A processor, and where it is from.
#[derive(Clone)]
struct Given {
    processor: Arc<dyn Processor>,
    /// It was made of a file, which is checked already.
    is_of_file: bool,
}

impl Processors {
    /// One for all topics.
    pub fn same_for(topics: &[String], processor: &Arc<dyn Processor>) -> Processors {
        topics.iter().map(|topic| (topic.clone(), processor.clone())).collect()
    }
}

/// Each topic with its own.
impl FromIterator<(String, Arc<dyn Processor>)> for Processors {
    fn from_iter<T: IntoIterator<Item = (String, Arc<dyn Processor>)>>(processors: T) -> Self {
        let given = |processor| Given {
            processor,
            is_of_file: false,
        };
        let processors = processors.into_iter();
        Processors(processors.map(|(topic, of)| (topic, given(of))).collect())
    }
}

impl From<Mapping> for Processors {
    fn from(mapping: Mapping) -> Self {
        let given = |rules| Given {
            processor: Arc::new(rules) as Arc<dyn Processor>,
            is_of_file: true,
        };
        let topics = mapping.into_topics();
        Processors(topics.map(|(topic, rules)| (topic, given(rules))).collect())
    }
}

impl fmt::Debug for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl TopicProcessor {
    /// Judges and maps one message. What it asks for is in `output` then; of one that is rejected, nothing. `scratch`: for
    /// code to be given, empty before and after.
    ///
    /// # Errors
    /// Why the message is rejected.
    pub fn process<'m>(
        &'m self,
        message: &Message<'m>,
        now_ms: i64,
        output: &mut Output<'m>,
        scratch: &mut Output<'m>,
    ) -> Result<Verdict, Rejection> {
        if self.is_of_file {
            return self.processor.process(message, now_ms, output);
        }
        // On its own: what earlier messages of the batch ask for is out of its reach.
        scratch.begin(0);
        let verdict = self.judge(message, now_ms, scratch);
        match verdict {
            Ok(_) => output.take_over(scratch),
            Err(_) => vetting::discard(scratch),
        }
        verdict
    }

    fn judge<'m>(&'m self, message: &Message<'m>, now_ms: i64, output: &mut Output<'m>) -> Result<Verdict, Rejection> {
        // A panic is this message's: the next one finds the processor as it is, and is judged by itself. (A lock that was
        // held is poisoned, and each message is rejected then, up to the limits of `[reject]`.)
        let process = AssertUnwindSafe(|| self.processor.process(message, now_ms, output));
        match catch_unwind(process) {
            Ok(Ok(verdict)) => vetting::vet(self.promised(), verdict, output).map(|()| verdict),
            Ok(Err(rejection)) => Err(vetting::told(rejection)),
            // What it says may have been made of the message: it is on standard error, with the place, and not here.
            Err(_) => Err(Rejection::new(
                Reason::ProcessorPanic,
                "the processor panicked over it; standard error says where",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
