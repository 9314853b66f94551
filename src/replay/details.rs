//! The causes in words of letters with the same reason. Two causes can share a reason, and the second must not hide
//! behind the first one's example. Pure, and bounded: further causes are only counted.

use crate::message;
use crate::replay::index::Place;

/// At most this many distinct causes are told apart.
pub const DETAILS_MAX: usize = 5;

/// A cause, and the letters that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    pub letters: u64,
    pub detail: String,
    /// The first of the letters.
    pub place: Place,
}

/// The causes of a group of letters, in the order of their first letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    pub known: Vec<Detail>,
    /// Letters with further causes.
    pub others: u64,
}

impl Details {
    /// Counts a letter.
    pub fn add(&mut self, detail: &str, place: Place) {
        if let Some(known) = self.known.iter_mut().find(|known| known.detail == detail) {
            known.letters += 1;
        } else if self.known.len() < DETAILS_MAX {
            self.known.push(Detail {
                letters: 1,
                detail: detail.to_owned(),
                place,
            });
        } else {
            self.others += 1;
        }
    }

    /// The first cause.
    #[must_use]
    pub fn first(&self) -> &str {
        self.known.first().map_or("", |known| known.detail.as_str())
    }

    /// A line for each cause but the first, and one for those that are only counted. `topic`: of the letters.
    #[must_use]
    pub fn more(&self, topic: &str) -> Vec<String> {
        let further = self.known.iter().skip(1);
        let mut lines: Vec<String> = further
            .map(|known| {
                let at = message::place(topic, known.place.partition, known.place.offset);
                format!(
                    "of these {} with another detail, e.g. {at}: {}",
                    known.letters, known.detail
                )
            })
            .collect();
        if self.others > 0 {
            lines.push(format!("of these {} with other details", self.others));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_counted_and_the_number_of_causes_is_bounded() {
        let mut details = Details::default();
        let at = |offset| Place { partition: 3, offset };
        for (offset, detail) in (0..).zip(["a", "b", "a", "b", "b"]) {
            details.add(detail, at(offset));
        }
        assert_eq!(details.first(), "a");
        let more = ["of these 3 with another detail, e.g. dead:3:1: b"];
        assert_eq!(details.more("dead"), more);
        for offset in 5..105 {
            details.add(&format!("c{offset}"), at(offset));
        }
        assert_eq!((details.known.len(), details.others), (DETAILS_MAX, 97));
        let more = details.more("dead");
        assert_eq!(more.len(), DETAILS_MAX);
        assert_eq!(more[4], "of these 97 with other details");
    }
}
