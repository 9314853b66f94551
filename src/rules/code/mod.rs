//! The processors of a service, from a file or in code, and the checks that protect the service from a processor's
//! code.
//!
//! A user's code is input, like a message. What a processor declares about itself is read once, at the start, and
//! checked ([`Processors::check`]). What it asks for in a message is checked before any of it is done (`vetting`). If
//! it cannot be done, the message is rejected. A panic in the code rejects the message too. Only code that does not
//! return can still stop a partition; the watchdog reports that (`run.stall_after`).

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

/// A processor and its origin.
#[derive(Clone)]
struct Given {
    processor: Arc<dyn Processor>,
    /// It was made from a file, which is checked already.
    is_of_file: bool,
}

impl Processors {
    /// The same processor for all topics.
    pub fn same_for(topics: &[String], processor: &Arc<dyn Processor>) -> Processors {
        topics.iter().map(|topic| (topic.clone(), processor.clone())).collect()
    }
}

/// A processor for each topic.
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
    /// Evaluates and maps one message. Puts what the message asks for into `output`, or nothing if the message is
    /// rejected. `scratch`: a buffer for processors in code, empty before and after.
    ///
    /// # Errors
    /// The reason why the message is rejected.
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
        // The processor writes to a buffer of its own, so it cannot reach the output of earlier messages of the batch.
        scratch.begin(0);
        let verdict = self.call(message, now_ms, scratch);
        match verdict {
            Ok(_) => output.take_over(scratch),
            Err(_) => vetting::discard(scratch),
        }
        verdict
    }

    fn call<'m>(&'m self, message: &Message<'m>, now_ms: i64, output: &mut Output<'m>) -> Result<Verdict, Rejection> {
        // A panic rejects only this message; the next one is processed as usual. (A lock that was held is poisoned.
        // Then every message is rejected, up to the limits of `[reject]`.)
        let process = AssertUnwindSafe(|| self.processor.process(message, now_ms, output));
        match catch_unwind(process) {
            Ok(Ok(verdict)) => vetting::vet(self.promised(), verdict, output).map(|()| verdict),
            Ok(Err(rejection)) => Err(vetting::told(rejection)),
            // The text of a panic may contain data of the message. So it goes to standard error, with the source line,
            // and not into the rejection.
            Err(_) => Err(Rejection::new(
                Reason::ProcessorPanic,
                "the processor panicked over it; standard error says where",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
