//! What is done with a message: the trait that the configuration's rules implement, and that a program of your own can.
//!
//! A worker hands each message of its partition to the [`Processor`] of its topic, in offset order, and does what the
//! output asks for: rows first, then publications, then the offset. Everything else (batches, retries, guards,
//! back-pressure, commits, dead letters) is the same for a processor in code as for one from a file.

use crate::message::{Message, Rejection};
use crate::output::{Output, Verdict};

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

    /// How many rows a plain message makes; sizes the batches. From 1 to [`ROWS_MAX`](crate::output::ROWS_MAX).
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
