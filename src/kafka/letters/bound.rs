//! From where on a topic of dead letters can have the letters of messages that are not committed.
//!
//! It is pure. Each commit carries it in its metadata (`origin.rs`), so it is a stored format: later releases must
//! understand offsets that were committed with it.

use std::fmt;

use crate::kafka::admin::topic_id::TopicId;

/// For each partition of a topic of dead letters, an offset. The letters of certain messages, as far as there are any,
/// are at this offset or above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LettersFrom {
    /// The name of the topic of dead letters.
    pub topic: String,
    /// Its id. [`TopicId::NONE`]: not known.
    pub id: TopicId,
    /// By partition. A partition that is not here counts as 0: from its beginning.
    pub offsets: Vec<i64>,
}

impl LettersFrom {
    /// From the beginning: always true, and the most to read.
    pub fn beginning(topic: &str, id: TopicId) -> LettersFrom {
        LettersFrom {
            topic: topic.to_owned(),
            id,
            offsets: Vec::new(),
        }
    }

    pub fn of(&self, partition: usize) -> i64 {
        self.offsets.get(partition).copied().unwrap_or(0)
    }

    /// Raises the offset of a partition. Never lowers it.
    pub fn raise(&mut self, partition: usize, offset: i64) {
        if self.offsets.len() <= partition {
            self.offsets.resize(partition + 1, 0);
        }
        self.offsets[partition] = self.offsets[partition].max(offset);
    }

    /// From where both have their letters. Two topics with the same name: from the beginning of the later one, whichever
    /// that is, since the id of the other one shows that it is gone.
    #[must_use]
    pub fn and(&self, other: &LettersFrom) -> LettersFrom {
        if self.id != other.id {
            return LettersFrom::beginning(&self.topic, TopicId::NONE);
        }
        let partitions = self.offsets.len().min(other.offsets.len());
        let offsets = (0..partitions).map(|partition| self.of(partition).min(other.of(partition)));
        LettersFrom {
            offsets: offsets.collect(),
            ..self.clone()
        }
    }

    /// Parses what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<LettersFrom> {
        let mut parts = text.splitn(3, ':');
        let (topic, id, offsets) = (parts.next()?, parts.next()?, parts.next()?);
        let id = match id {
            "-" => TopicId::NONE,
            id => TopicId::parse(id)?,
        };
        let offset = |text: &str| text.parse::<i64>().ok().filter(|offset| *offset >= 0);
        let offsets: Option<Vec<i64>> = match offsets {
            "" => Some(Vec::new()),
            offsets => offsets.split(',').map(offset).collect(),
        };
        (!topic.is_empty()).then_some(LettersFrom {
            topic: topic.to_owned(),
            id,
            offsets: offsets?,
        })
    }
}

/// `<topic>:<id>:<offset>,<offset>`. The id is `-` where it is not known. Without blanks: a topic's name has none.
impl fmt::Display for LettersFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.topic)?;
        if self.id.is_none() {
            f.write_str("-:")?;
        } else {
            write!(f, "{}:", self.id)?;
        }
        for (partition, offset) in self.offsets.iter().enumerate() {
            let comma = if partition > 0 { "," } else { "" };
            write!(f, "{comma}{offset}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_stored_format_and_is_read_again() {
        let mut from = LettersFrom::beginning("events.dead", TopicId::from_halves(0, 1));
        from.raise(2, 77);
        from.raise(0, 5);
        from.raise(0, 3);
        assert_eq!(from.to_string(), "events.dead:AAAAAAAAAAAAAAAAAAAAAQ:5,0,77");
        assert_eq!(LettersFrom::parse(&from.to_string()), Some(from.clone()));
        assert_eq!((from.of(2), from.of(3)), (77, 0));
        let unknown = LettersFrom::beginning("d", TopicId::NONE);
        assert_eq!(unknown.to_string(), "d:-:");
        assert_eq!(LettersFrom::parse("d:-:"), Some(unknown));
    }

    #[test]
    fn what_does_not_have_the_form_is_not_read() {
        for text in [
            "", "d", "d:-", ":-:1", "d:x:1", "d:-:1,", "d:-:-1", "d:-:1;2", "d:-:1:2",
        ] {
            assert_eq!(LettersFrom::parse(text), None, "{text}");
        }
    }

    #[test]
    fn both_are_found_from_the_lower_offsets_on() {
        let id = TopicId::from_halves(0, 1);
        let from = |offsets: &[i64]| LettersFrom {
            topic: "d".to_owned(),
            id,
            offsets: offsets.to_vec(),
        };
        assert_eq!(from(&[5, 7, 9]).and(&from(&[6, 2])), from(&[5, 2]));
        let other = LettersFrom::beginning("d", TopicId::from_halves(0, 2));
        assert_eq!(from(&[5]).and(&other), LettersFrom::beginning("d", TopicId::NONE));
    }
}
