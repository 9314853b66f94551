//! What to do with a message: the trait that the configuration's rules implement, and that your own program can
//! implement.
//!
//! A worker passes each message of its partition to the [`Processor`] of its topic, in offset order. Then it does what
//! the output asks for: rows first, then publications, then the offset. Everything else (batches, retries, guards,
//! back-pressure, commits, dead letters) is the same for a processor in code as for one from a file.

use crate::message::{Message, Rejection};
use crate::output::{Output, Verdict};

/// Takes a message and returns a verdict and operations.
///
/// The partitions' threads call it, several at once. It must not block: no I/O, and no lock that is held for long.
/// While it runs, nothing else of the partition proceeds, and it does not see a stop. It must be a function of the
/// message: after a crash the same message comes again, and the processor must ask for the same operations.
///
/// The methods other than `process` are called once, at the start. An invalid answer is an error (exit code 78).
pub trait Processor: Send + Sync {
    /// Evaluates and maps one message: adds what it asks for to `output`.
    ///
    /// `now_ms` is the time in milliseconds since the epoch, the same for the whole batch. Use it instead of a clock.
    ///
    /// If something cannot be done, the message is rejected with the reason `processor_output`. The detail says which
    /// row or publication it is and why. Examples: a namespace or a topic that is not named below, a name that is too
    /// long, a row without operations, a number that is not finite. A panic rejects the message with `processor_panic`.
    ///
    /// # Errors
    /// A rejection. Then nothing of the message is done, even if it was added to `output` before. `[reject]` says what
    /// happens to the message.
    fn process<'m>(&'m self, message: &Message<'m>, now_ms: i64, output: &mut Output<'m>)
    -> Result<Verdict, Rejection>;

    /// Whether the processor reads `Message::headers`. If not, they are left out, which is faster.
    fn wants_headers(&self) -> bool {
        true
    }

    /// How many rows a typical message makes, from 1 to [`ROWS_MAX`](crate::output::ROWS_MAX). The size of batches
    /// depends on it.
    fn rows_per_message(&self) -> usize {
        1
    }

    /// Whether any row may be guarded. The default is `true`. If the log of a partition was truncated, guards take new
    /// messages for applied ones, so the service must know. `false` is a promise: a guarded row then rejects its
    /// message.
    fn is_guarded(&self) -> bool {
        true
    }

    /// The namespaces and sets in which every row that changes values is guarded. Dead letters name them, so a replay
    /// knows that the guards of their records tell of all later messages. Only asked of the rules of a file.
    #[doc(hidden)]
    fn guarded_sets(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The namespaces and sets in which every row that changes values has a version, and the bin that stores it. Dead letters
    /// name them, so a replay knows that later messages have stored theirs. Only asked of the rules of a file.
    #[doc(hidden)]
    fn versioned_sets(&self) -> Vec<(String, String, String)> {
        Vec::new()
    }

    /// The namespaces to which rows may go. The start checks that they exist. A row for another namespace rejects its
    /// message.
    fn namespaces(&self) -> Vec<String>;

    /// The topics that are produced to. The start checks that they exist, and creates a producer if there are any. A
    /// publication to another topic rejects its message. None of these topics may be consumed.
    fn produced_topics(&self) -> Vec<String> {
        Vec::new()
    }
}
