//! A line of `penstock try --envelope`, also of a dead letter that a person saved: it is a message or a refusal with words,
//! and a message that is written as an envelope is the same when it is read again.

use penstock::cli::fuzzing::envelope_and_back;
use penstock::config::model::Format;

pub fn run(input: &[u8]) {
    match envelope_and_back(input, Format::Json) {
        Ok([message, again]) => assert_eq!(message, again),
        Err(why) => assert!(!why.is_empty()),
    }
    // The prefix of a registry is written anew.
    let _ = envelope_and_back(input, Format::JsonSchemaRegistry);
}
