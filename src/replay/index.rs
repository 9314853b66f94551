//! The letters of a topic, by the message that was rejected: which one is the newest, and whether it is selected.
//!
//! A message whose replay fails again has several letters. Only the newest one is replayed: the one with the most
//! tries, then the latest. So letters do not multiply with every run.
//!
//! Memory: 49 bytes for a message, and the spare room of the table: 56 to 112 bytes ([`MESSAGES_MAX`]). Ids of topics can
//! be forged: an entry for one counts like a message.

use std::collections::HashMap;

use crate::delivery::letter::Letter;
use crate::kafka::admin::topic_id::TopicId;
use crate::message::Message;

/// At most so many messages: about 800 MiB.
pub const MESSAGES_MAX: usize = 10_000_000;

/// Where a letter is in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
}

impl Place {
    /// Where this message is.
    pub fn of(message: &Message<'_>) -> Place {
        Place {
            partition: message.partition,
            offset: message.offset,
        }
    }
}

/// A topic of rejected messages: one incarnation of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Id(TopicId),
    /// The letter has no id. Then the name says which topic it is.
    Name(Box<str>),
}

impl Source {
    fn of(letter: &Letter<'_>) -> Source {
        match letter.topic_id.and_then(TopicId::parse) {
            Some(id) => Source::Id(id),
            None => Source::Name(letter.topic.into()),
        }
    }
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
    /// The topics, each with its number.
    sources: HashMap<Source, u32>,
    newest: HashMap<Key, Newest>,
}

impl Index {
    /// Adds a letter. `is_selected`: it is replayed if it is the newest.
    ///
    /// # Errors
    /// If there are [`MESSAGES_MAX`] messages already.
    pub fn add(&mut self, letter: &Letter<'_>, place: Place, is_selected: bool) -> Result<(), Full> {
        self.add_below(MESSAGES_MAX, letter, place, is_selected)
    }

    fn add_below(&mut self, max: usize, letter: &Letter<'_>, place: Place, is_selected: bool) -> Result<(), Full> {
        let room = max.saturating_sub(self.newest.len() + self.sources.len());
        let source = Source::of(letter);
        let number = match self.sources.get(&source) {
            Some(number) => *number,
            None if room < 2 => return Err(Full),
            None => {
                let number = u32::try_from(self.sources.len()).map_err(|_| Full)?;
                self.sources.insert(source, number);
                number
            }
        };
        let key = key(number, letter);
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
        if room < 1 {
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
        let source = self.sources.get(&Source::of(letter));
        let known = source.and_then(|source| self.newest.get(&key(*source, letter)));
        known.is_some_and(|newest| newest.place == place)
    }
}

fn key(source: u32, letter: &Letter<'_>) -> Key {
    Key {
        source,
        partition: letter.partition,
        offset: letter.offset,
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
    fn topics_count_like_messages_so_forged_ids_find_an_end() {
        let forged: Vec<String> = (1..=6).map(|byte| TopicId::new([byte; 16]).to_string()).collect();
        let mut index = Index::default();
        let mut added = Vec::new();
        for id in &forged {
            let letter = Letter {
                topic_id: Some(id.as_str()),
                ..letter(7, 0, 0)
            };
            added.push(index.add_below(9, &letter, at(0), true).is_ok());
        }
        assert_eq!(added, [true, true, true, true, false, false]);
        // One more message of a topic that is known, and another letter of a known message.
        let of = |offset, tries| Letter {
            topic_id: Some(forged[0].as_str()),
            ..letter(offset, tries, 0)
        };
        assert_eq!(index.add_below(9, &of(8, 0), at(1), true), Ok(()));
        assert_eq!(index.add_below(9, &of(9, 0), at(2), true), Err(Full));
        assert_eq!(index.add_below(9, &of(7, 1), at(3), true), Ok(()));
        assert!(index.is_newest(&of(7, 1), at(3)));
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
