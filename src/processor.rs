//! What is done with a message: the trait that the configuration's rules implement, and that a program of your own can.
//!
//! A worker hands each message of its partition to the [`Processor`] of its topic, in offset order, and does what the
//! output asks for: rows first, then publications, then the offset. Everything else (batches, retries, guards,
//! back-pressure, commits, dead letters) is the same for a processor in code as for one from a file.
//!
//! Code of a user is input, as a message is. What a processor says of itself is asked once, at the start, and checked
//! ([`Processors::check`]); what it asks for a message is looked at before anything of it is done (`vetting`), and rejects
//! the message where it cannot be done. So does a panic in it. What can still stop a partition is code that does not come
//! back: the watchdog tells that (`run.stall_after`).

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::pipeline::map::{Mapping, Message, Reason, Rejection};
use crate::pipeline::output::{Output, Verdict};

mod start;
mod vetting;

pub use start::{Checked, Refused, TopicProcessor};
pub use vetting::{OPERATIONS_MAX, PUBLICATIONS_MAX, ROW_BYTES_MAX, TTL_SECONDS_MAX};

/// Message in, verdict and operations out.
///
/// Called on the partitions' threads, from several at once; must not block: no I/O, no lock that is held for long, for
/// nothing else of the partition moves meanwhile, and a stop is not seen. Must be a function of the message: the
/// same message comes again after a crash, and has to ask for the same then.
///
/// The methods beside `process` are asked once, at the start. An answer that cannot be is an error then (exit code 78).
pub trait Processor: Send + Sync {
    /// Judges and maps one message: what it asks for is added to `output`.
    ///
    /// `now_ms` is the time, in milliseconds since the epoch, one for a whole batch: take it rather than a clock.
    ///
    /// What cannot be done rejects the message with the reason `processor_output`, and a detail that says which row or
    /// publication it is and why: a namespace or a topic that is not named below, a name that is too long, a row without
    /// operations, a number that is not finite, and the like. A panic rejects it with `processor_panic`.
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

    /// How many rows a plain message makes; sizes the batches. From 1 to [`ROWS_MAX`](crate::pipeline::output::ROWS_MAX).
    fn rows_per_message(&self) -> usize {
        1
    }

    /// Whether any row may be guarded. `true` unless told otherwise: where the log of a partition was cut, guards take
    /// new messages for applied, and the service must know. `false` is a promise: a guarded row rejects its message then.
    fn is_guarded(&self) -> bool {
        true
    }

    /// The namespaces that rows may go to: looked for at the start. A row for another rejects its message.
    fn namespaces(&self) -> Vec<String>;

    /// The topics that are produced to: looked for at the start, and a producer is made where there is one. A
    /// publication to another rejects its message. None of them may be consumed.
    fn produced_topics(&self) -> Vec<String> {
        Vec::new()
    }
}

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
