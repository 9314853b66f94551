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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::letter::LetterRows;

    fn letter(offset: i64, tries: u32, time_s: i64) -> Letter<'static> {
        Letter {
            tries,
            time: jiff::Timestamp::from_second(time_s).unwrap(),
            ..Letter::for_tests("events", offset, LetterRows::All)
        }
    }

    fn at(offset: i64) -> Place {
        Place { partition: 0, offset }
    }

    #[test]
    fn the_newest_letter_of_a_message_has_the_most_tries_then_the_latest_time_then_the_last_place() {
        let mut index = Index::default();
        let letters = [
            (letter(7, 1, 50), at(3), true),
            (letter(7, 0, 90), at(0), true),
            (letter(7, 1, 50), at(1), true),
            (letter(7, 1, 40), at(9), true),
            (letter(8, 0, 1), at(2), false),
        ];
        for (letter, place, is_selected) in &letters {
            assert_eq!(index.add(letter, *place, *is_selected), Ok(()));
        }
        let newest: Vec<bool> = letters
            .iter()
            .map(|(letter, place, _)| index.is_newest(letter, *place))
            .collect();
        assert_eq!(newest, [true, false, false, false, true]);
        assert_eq!((index.messages(), index.selected()), (2, 1));
    }

    #[test]
    fn a_topic_is_known_by_its_id_and_by_its_name_where_it_has_none() {
        let of = |topic, topic_id| Letter {
            topic,
            topic_id,
            ..letter(7, 0, 0)
        };
        let mut index = Index::default();
        for (number, (letter, messages)) in [
            (of("events", None), 1),
            (of("orders", None), 2),
            (of("events", Some("AAAAAAAAAAAAAAAAAAAAAQ")), 3),
            (of("renamed", Some("AAAAAAAAAAAAAAAAAAAAAQ")), 3),
            (of("events", Some("AAAAAAAAAAAAAAAAAAAAAg")), 4),
            (of("events", None), 4),
        ]
        .into_iter()
        .enumerate()
        {
            index.add(&letter, at(number as i64), true).unwrap();
            assert_eq!(index.messages(), messages, "{letter:?}");
        }
    }
}
