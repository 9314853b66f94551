//! What the fuzz target of `init` calls: the configuration for samples, without a command line, a file or a question.

use super::answers;
use super::key;
use super::proposal::{self, Proposal};
use super::sampling::Samples;
use super::shape::Shape;
use super::skeleton::Answers;
use super::target::Target;
use super::text;
use super::trial;
use crate::cli::message::OwnedMessage;
use crate::config;

/// Proposes a configuration for these payloads, checks it, and tries it on them.
///
/// # Errors
/// The text, and what is wrong with it.
pub fn proposed(payloads: &[&[u8]]) -> Result<String, String> {
    let topic = "events";
    let messages = (0..).zip(payloads).map(|(offset, payload)| OwnedMessage {
        topic: topic.to_owned(),
        partition: 0,
        offset,
        timestamp_ms: Some(1_767_225_600_000),
        key: None,
        payload: Some(payload.to_vec()),
        headers: Vec::new(),
    });
    let samples = Samples {
        messages: messages.collect(),
        origin: "of a file".to_owned(),
        left_out: Vec::new(),
        are_bare: true,
    };
    let shape = Shape::of(&samples, true);
    let proposed = key::proposed(Some(&shape));
    let answers = Answers {
        brokers: "127.0.0.1:9092".to_owned(),
        topic: topic.to_owned(),
        group: answers::group_of(topic),
        hosts: "127.0.0.1:3000".to_owned(),
        namespace: "test".to_owned(),
        set: proposal::set(topic, Some(&shape)),
        key: None,
        dead_letter_topic: Some("events.dead".to_owned()),
        properties: Vec::new(),
    };
    let proposal = Proposal::of(&answers, Some(&shape), proposed);
    let text = text::text(
        &answers,
        &proposal,
        Some(&samples),
        Some(&shape),
        &Target::StandardOutput,
    );
    let config = config::parse(&text, "written").map_err(|faults| format!("{faults}\n{text}"))?;
    match trial::tried(&config, &samples, &proposal.key, 1_767_225_600_000) {
        Ok(_) => Ok(text),
        Err(exit) => Err(format!("{exit:?}\n{text}")),
    }
}
