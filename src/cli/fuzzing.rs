//! What the fuzz targets call (`crates/penstock-fuzz`): the readers of messages in files, and `init`, which are private
//! otherwise.

use serde_json::value::RawValue;

use super::init;
use super::message::{Defaults, OwnedMessage, enveloped};
use crate::config::model::Format;

/// Reads an envelope, writes the message as one, and reads that. Returns both messages as texts, without what an envelope
/// does not keep: the order of headers with different names, and white space around JSON.
///
/// # Errors
/// What is wrong with the envelope, in words.
pub fn envelope_and_back(line: &[u8], format: Format) -> Result<[String; 2], String> {
    let defaults = Defaults {
        topic: Some("events".to_owned()),
        offset: 7,
        timestamp_ms: 1_767_225_600_000,
        format,
    };
    let message = enveloped(line, &defaults)?;
    let again = OwnedMessage::from_envelope(
        &message.envelope(format),
        &Defaults {
            topic: None,
            timestamp_ms: 0,
            offset: 0,
            ..defaults
        },
    );
    Ok([kept(message), again.map_or_else(|why| why, kept)])
}

fn kept(mut message: OwnedMessage) -> String {
    message.headers.sort_by(|one, other| one.0.cmp(&other.0));
    if let Some(payload) = &mut message.payload
        && serde_json::from_slice::<&RawValue>(payload).is_ok()
    {
        *payload = payload.trim_ascii().to_vec();
    }
    format!("{message:?}")
}

/// The configuration that `init` makes of these payloads, with everything that it takes from messages.
///
/// # Errors
/// Its text and what is wrong with it: a bug.
pub fn init(payloads: &[&[u8]]) -> Result<String, String> {
    init::fuzzing::proposed(payloads)
}
