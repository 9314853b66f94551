//! The messages that the demo sends: the generator's events, every thousandth of them broken, and the expected outcome
//! of each.
//!
//! The events are broken here and not in the generator, so that its output for a seed never changes. The expected
//! outcome is computed from the facts and the breakage, without the service.

use crate::events::{EventFacts, EventGenerator, EventType};

/// One event in this many is broken.
pub const BROKEN_EVERY: u64 = 1_000;

/// The expected outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It makes two records.
    Written,
    /// The route filters it.
    Filtered,
    /// It becomes a dead letter for this reason.
    DeadLettered(&'static str),
}

/// How an event is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breakage {
    /// It ends within its second field.
    CutOff,
    /// A byte of its id is not valid in UTF-8.
    NotUtf8,
    /// There is one bracket too many.
    TrailingBytes,
    /// 200 nested arrays.
    TooDeep,
    /// It has no bytes.
    Empty,
    /// It has no payload.
    Tombstone,
    /// `user.id` is `true`.
    UserIdType,
    /// There is no `user.id`.
    UserIdMissing,
    /// `ts` is below zero, which the route's `require` rejects.
    BeforeTime,
}

const BREAKAGES: [Breakage; 9] = [
    Breakage::CutOff,
    Breakage::NotUtf8,
    Breakage::TrailingBytes,
    Breakage::TooDeep,
    Breakage::Empty,
    Breakage::Tombstone,
    Breakage::UserIdType,
    Breakage::UserIdMissing,
    Breakage::BeforeTime,
];

impl Breakage {
    fn of(sequence: u64) -> Option<Breakage> {
        let (round, place) = (sequence / BROKEN_EVERY, sequence % BROKEN_EVERY);
        // Not the first message, so that a short run begins with valid ones.
        (place == BROKEN_EVERY / 2).then(|| BREAKAGES[(round % BREAKAGES.len() as u64) as usize])
    }

    /// The reason for which it is rejected.
    fn reason(self) -> &'static str {
        match self {
            Breakage::CutOff => "not_json",
            Breakage::NotUtf8 => "not_utf8",
            Breakage::TrailingBytes => "trailing_bytes",
            Breakage::TooDeep => "too_deep",
            Breakage::Empty => "empty_payload",
            Breakage::Tombstone => "tombstone",
            Breakage::UserIdType => "key_type",
            Breakage::UserIdMissing => "key_missing",
            Breakage::BeforeTime => "require",
        }
    }

    /// Whether the type of the event can still be read. If it can, a broken heartbeat is filtered, and nobody notices
    /// that it is broken.
    fn leaves_the_type(self) -> bool {
        matches!(
            self,
            Breakage::UserIdType | Breakage::UserIdMissing | Breakage::BeforeTime
        )
    }

    fn apply(self, facts: &EventFacts, payload: &mut Vec<u8>) {
        let id = format!(r#""id":"{}""#, facts.user_id);
        match self {
            // `{"id":"`, 24 digits, `","type":`
            Breakage::CutOff => payload.truncate(40),
            Breakage::NotUtf8 => payload[7] = 0xff,
            Breakage::TrailingBytes => payload.push(b'}'),
            Breakage::TooDeep => {
                payload.pop();
                let deep = format!(r#","deep":{}{}}}"#, "[".repeat(200), "]".repeat(200));
                payload.extend_from_slice(deep.as_bytes());
            }
            Breakage::Empty | Breakage::Tombstone => payload.clear(),
            Breakage::UserIdType => replace(payload, &id, r#""id":true"#),
            Breakage::UserIdMissing => replace(payload, &format!("{id},"), ""),
            Breakage::BeforeTime => replace(payload, r#""ts":"#, r#""ts":-"#),
        }
    }
}

/// Replaces the first `old` of a payload with `new`.
fn replace(payload: &mut Vec<u8>, old: &str, new: &str) {
    let place = payload.windows(old.len()).position(|window| window == old.as_bytes());
    if let Some(at) = place {
        payload.splice(at..at + old.len(), new.bytes());
    }
}

/// One message as it is sent.
#[derive(Debug)]
pub struct Sent<'a> {
    /// The facts of the event before it was broken. The key always follows them.
    pub facts: EventFacts,
    pub payload: Option<&'a [u8]>,
    pub fate: Fate,
}

impl Sent<'_> {
    /// Whether it must be published to the topic of purchases.
    pub fn is_published(&self) -> bool {
        self.fate == Fate::Written && self.facts.event_type == EventType::Purchase
    }
}

/// Generates messages in any order. The seed and the sequence number determine the whole message.
#[derive(Debug)]
pub struct Messages {
    generator: EventGenerator,
    payload: Vec<u8>,
}

impl Messages {
    pub fn new(seed: u64) -> Self {
        Messages {
            generator: EventGenerator::new(seed),
            payload: Vec::with_capacity(1024),
        }
    }

    pub fn message(&mut self, sequence: u64) -> Sent<'_> {
        let facts = self.generator.event(sequence, &mut self.payload);
        let is_heartbeat = facts.event_type == EventType::Heartbeat;
        let breakage = Breakage::of(sequence);
        if let Some(breakage) = breakage {
            breakage.apply(&facts, &mut self.payload);
        }
        let fate = match breakage {
            Some(breakage) if !(is_heartbeat && breakage.leaves_the_type()) => Fate::DeadLettered(breakage.reason()),
            _ if is_heartbeat => Fate::Filtered,
            _ => Fate::Written,
        };
        Sent {
            facts,
            payload: (breakage != Some(Breakage::Tombstone)).then_some(self.payload.as_slice()),
            fate,
        }
    }
}

/// The sequence number at the end of an event's id. `None` if it is not one of our events.
pub fn sequence_of(payload: &[u8]) -> Option<u64> {
    let digits = payload.strip_prefix(br#"{"id":""#)?.get(16..24)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_of_a_thousand_is_broken_and_the_others_are_as_the_generator_makes_them() {
        let mut messages = Messages::new(42);
        let mut generator = EventGenerator::new(42);
        let mut event = Vec::new();
        let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
        for sequence in 0..90_000 {
            let facts = generator.event(sequence, &mut event);
            let sent = messages.message(sequence);
            assert_eq!(sent.facts, facts);
            if sequence % BROKEN_EVERY == BROKEN_EVERY / 2 {
                assert_ne!(sent.payload, Some(event.as_slice()), "{sequence}");
            } else {
                assert_eq!(sent.payload, Some(event.as_slice()));
                assert_eq!(sequence_of(&event), Some(sequence));
            }
            if let Fate::DeadLettered(reason) = sent.fate {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        assert_eq!(reasons.len(), BREAKAGES.len(), "{reasons:?}");
        assert_eq!(reasons["not_json"], 10);
        // Some of them are heartbeats.
        assert!((1..=10).contains(&reasons["key_type"]), "{reasons:?}");
    }
}
