//! From where on a topic of dead letters can have the letters of messages that are not committed.
//!
//! It is pure. Each commit carries it in its metadata (`origin.rs`), so it is a stored format: later releases must
//! understand offsets that were committed with it.

use std::fmt;

use crate::kafka::admin::topic_id::TopicId;

/// For each partition of a topic of dead letters, an offset. The letters of certain messages, as far as there are any,
/// are at this offset or above it, or in a part of the log that later leaders have written.
///
/// A log that was cut (an unclean leader election, a lost disk) gives offsets to other messages. So an offset alone
/// does not say where letters are that are stored later. With the leader epoch it does: below the first message of a
/// later epoch the log is the one that the offset was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LettersFrom {
    /// The name of the topic of dead letters.
    pub topic: String,
    /// Its id. [`TopicId::NONE`]: not known.
    pub id: TopicId,
    /// By partition. A partition that is not here counts as 0: from its beginning.
    pub offsets: Vec<i64>,
    /// By partition, the leader epoch for which the offset was true. `None`, or no entry: not known.
    pub epochs: Vec<Option<i32>>,
}

impl LettersFrom {
    /// From the beginning: always true, and the most to read.
    pub fn beginning(topic: &str, id: TopicId) -> LettersFrom {
        LettersFrom {
            topic: topic.to_owned(),
            id,
            offsets: Vec::new(),
            epochs: Vec::new(),
        }
    }

    pub fn of(&self, partition: usize) -> i64 {
        self.offsets.get(partition).copied().unwrap_or(0)
    }

    /// The leader epoch of a partition's offset, if it is known.
    pub fn epoch(&self, partition: usize) -> Option<i32> {
        self.epochs.get(partition).copied().flatten()
    }

    /// Sets the offset of a partition, higher or lower, and its leader epoch.
    pub fn set(&mut self, partition: usize, offset: i64, epoch: Option<i32>) {
        self.raise(partition, offset);
        self.offsets[partition] = offset;
        if self.epochs.len() <= partition {
            self.epochs.resize(partition + 1, None);
        }
        self.epochs[partition] = epoch;
    }

    /// Lowers the offset of a partition. Never raises it.
    pub fn lower(&mut self, partition: usize, offset: i64) {
        if let Some(before) = self.offsets.get_mut(partition) {
            *before = offset.min(*before);
        }
    }

    /// Raises the offset of a partition, for the same leader epoch. Never lowers it.
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
        // Of an earlier epoch, no more is still in the log than of a later one.
        let epochs = (0..partitions).map(|partition| {
            let known = [self.epoch(partition), other.epoch(partition)];
            known.into_iter().flatten().min()
        });
        LettersFrom {
            offsets: offsets.collect(),
            epochs: epochs.collect(),
            ..self.clone()
        }
    }

    /// Parses what [`fmt::Display`] writes. The epochs are not in it.
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
            epochs: Vec::new(),
        })
    }

    /// The leader epochs as text, `<topic>:<epoch>,<epoch>`: empty where one is not known. `None`: none is known.
    pub fn epochs_text(&self) -> Option<String> {
        let epoch = |epoch: &Option<i32>| epoch.map_or_else(String::new, |epoch| epoch.to_string());
        let epochs: Vec<String> = self.epochs.iter().map(epoch).collect();
        let is_known = self.epochs.iter().any(Option::is_some);
        is_known.then(|| format!("{}:{}", self.topic, epochs.join(",")))
    }

    /// Takes the epochs from a text of [`LettersFrom::epochs_text`], if it is about this topic.
    pub fn take_epochs(&mut self, text: &str) {
        let Some((topic, epochs)) = text.split_once(':') else {
            return;
        };
        // A leader's number is never below zero.
        let epoch = |text: &str| match text {
            "" => Some(None),
            text => text.parse::<i32>().ok().filter(|epoch| *epoch >= 0).map(Some),
        };
        if topic == self.topic
            && let Some(epochs) = epochs.split(',').map(epoch).collect()
        {
            self.epochs = epochs;
        }
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
            epochs: vec![None; offsets.len()],
        };
        assert_eq!(from(&[5, 7, 9]).and(&from(&[6, 2])), from(&[5, 2]));
        let other = LettersFrom::beginning("d", TopicId::from_halves(0, 2));
        assert_eq!(from(&[5]).and(&other), LettersFrom::beginning("d", TopicId::NONE));
    }

    #[test]
    fn of_two_leader_epochs_the_earlier_one_counts() {
        let from = |epochs: &[Option<i32>]| LettersFrom {
            offsets: vec![5; epochs.len()],
            epochs: epochs.to_vec(),
            ..LettersFrom::beginning("d", TopicId::NONE)
        };
        let (one, other) = (from(&[Some(3), Some(3), None, None]), from(&[Some(2), None, Some(4)]));
        assert_eq!(one.and(&other), from(&[Some(2), Some(3), Some(4)]));
        assert_eq!(other.and(&one), one.and(&other));
    }

    #[test]
    fn epochs_are_a_text_of_their_own_and_are_read_again() {
        let mut from = LettersFrom::beginning("d", TopicId::NONE);
        assert_eq!(from.epochs_text(), None);
        from.set(3, 70, Some(12));
        from.set(1, 9, Some(0));
        from.set(3, 60, Some(13));
        assert_eq!(from.to_string(), "d:-:0,9,0,60");
        assert_eq!(from.epochs_text().unwrap(), "d:,0,,13");
        let mut read = LettersFrom::parse("d:-:0,9,0,60").unwrap();
        read.take_epochs("d:,0,,13");
        assert_eq!(read, from);
        for text in ["", "d", "other:1,1,1,1", "d:1,x", "d:-1", "d:1;1"] {
            read.take_epochs(text);
            assert_eq!(read, from, "{text}");
        }
        from.lower(3, 61);
        from.lower(9, 0);
        assert_eq!((from.of(3), from.epoch(3), from.epoch(9)), (60, Some(13), None));
        from.lower(3, 2);
        assert_eq!(from.of(3), 2);
    }
}
