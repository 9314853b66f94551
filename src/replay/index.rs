//! The letters of a topic, by the message that was rejected: which one is the newest, and whether it is selected.
//!
//! A message whose replay fails again has several letters. Only the newest one is replayed: the one with the most
//! tries, then the latest. So letters do not multiply with every run.
//!
//! Memory: 49 bytes for a message, and the spare room of the table: 56 to 112 bytes ([`MESSAGES_MAX`]).

use std::collections::HashMap;

use crate::delivery::letter::Letter;

/// At most so many messages: about 800 MiB.
pub const MESSAGES_MAX: usize = 10_000_000;

/// Where a letter is in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

/// A topic of rejected messages: one incarnation of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    topic: String,
    /// As the letter writes it; empty if it has none. Then the name says which topic it is.
    id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: u32,
    partition: i32,
    offset: i64,
}

/// The newest letter of a message. The fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Newest {
    tries: u32,
    time_ms: i64,
    place: Place,
    is_selected: bool,
}

/// The index has no room for another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// All messages that have letters.
#[derive(Debug, Default)]
pub struct Index {
    sources: Vec<Source>,
    newest: HashMap<Key, Newest>,
}

impl Index {
    /// Adds a letter. `is_selected`: it is replayed if it is the newest.
    ///
    /// # Errors
    /// If there are [`MESSAGES_MAX`] messages already.
    pub fn add(&mut self, letter: &Letter<'_>, place: Place, is_selected: bool) -> Result<(), Full> {
        let key = self.key_or_new(letter);
        let this = Newest {
            tries: letter.tries,
            time_ms: letter.time.as_millisecond(),
            place,
            is_selected,
        };
        if let Some(known) = self.newest.get_mut(&key) {
            *known = this.max(*known);
            return Ok(());
        }
        if self.newest.len() >= MESSAGES_MAX {
            return Err(Full);
        }
        self.newest.insert(key, this);
        Ok(())
    }

    /// Number of messages.
    pub fn messages(&self) -> usize {
        self.newest.len()
    }

    /// Number of messages whose newest letter is selected.
    pub fn selected(&self) -> u64 {
        self.newest.values().filter(|newest| newest.is_selected).count() as u64
    }

    /// Whether this is the newest letter of its message.
    pub fn is_newest(&self, letter: &Letter<'_>, place: Place) -> bool {
        let known = self.key(letter).and_then(|key| self.newest.get(&key));
        known.is_some_and(|newest| newest.place == place)
    }

    fn source(&self, letter: &Letter<'_>) -> Option<u32> {
        let id = letter.topic_id.unwrap_or_default();
        let is_it = |source: &Source| source.id == id && (!id.is_empty() || source.topic == letter.topic);
        let place = self.sources.iter().position(is_it)?;
        u32::try_from(place).ok()
    }

    fn key(&self, letter: &Letter<'_>) -> Option<Key> {
        Some(Key {
            source: self.source(letter)?,
            partition: letter.partition,
            offset: letter.offset,
        })
    }

    fn key_or_new(&mut self, letter: &Letter<'_>) -> Key {
        let source = self.source(letter).unwrap_or_else(|| {
            self.sources.push(Source {
                topic: letter.topic.to_owned(),
                id: letter.topic_id.unwrap_or_default().to_owned(),
            });
            u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
        });
        Key {
            source,
            partition: letter.partition,
            offset: letter.offset,
        }
    }
}
