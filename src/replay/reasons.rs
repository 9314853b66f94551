//! The reasons that are asked for (`--reason`), and those that the letters of a topic have.
//!
//! Letters of other versions and of processors in code have reasons that this version does not know, so the letters
//! decide: a word that no letter has and that is not known either is a mistake. A known word that no letter has is none:
//! there is nothing to do today.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::config::file::wording::nearest;
use crate::message::REASON_WORDS;

/// At most this many reasons are counted. Those of letters can be forged.
const COUNTED_MAX: usize = 1000;
/// At most this many are named to a person: the most frequent ones.
const NAMED_MAX: usize = 20;
/// At most this many characters of a word are shown.
const SHOWN_CHARS_MAX: usize = 64;

/// What is asked for, and what was found so far.
#[derive(Debug)]
pub struct Reasons<'a> {
    /// The words that are asked for, and whether a letter has them.
    asked: Vec<(&'a str, bool)>,
    /// How many letters have a reason, by its word as it is shown.
    found: BTreeMap<String, u64>,
}

impl<'a> Reasons<'a> {
    pub fn new(asked: &'a [String]) -> Reasons<'a> {
        Reasons {
            asked: asked.iter().map(|word| (word.as_str(), false)).collect(),
            found: BTreeMap::new(),
        }
    }

    /// Takes the reason of a letter.
    pub fn see(&mut self, reason: &str) {
        if self.asked.is_empty() {
            return;
        }
        for (word, is_found) in &mut self.asked {
            *is_found |= *word == reason;
        }
        let word = shown(reason);
        let has_room = self.found.len() < COUNTED_MAX;
        match self.found.get_mut(&word) {
            Some(count) => *count += 1,
            None if has_room => {
                self.found.insert(word, 1);
            }
            None => {}
        }
    }

    /// What to say of the words that nobody knows. `None`: there is no such word. `topic`: of the letters.
    pub fn mistake(&self, topic: &str) -> Option<String> {
        let mut text = String::new();
        for (word, is_found) in &self.asked {
            if *is_found || REASON_WORDS.contains(word) {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = write!(text, "no letter of {topic} has the reason {}", shown(word));
            let here: Vec<&str> = self.found.keys().map(String::as_str).collect();
            if let Some(meant) = nearest(word, &here).or_else(|| nearest(word, &REASON_WORDS)) {
                let _ = write!(text, "; did you mean {meant}?");
            }
            text.push('\n');
        }
        if text.is_empty() {
            return None;
        }
        let mut found: Vec<(&String, &u64)> = self.found.iter().collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named: Vec<String> = found
            .iter()
            .take(NAMED_MAX)
            .map(|(word, count)| format!("{word} ({count})"))
            .collect();
        let _ = match (named.len(), found.len() - named.len()) {
            (0, _) => write!(
                text,
                "it has no letters; reasons of this version: {}",
                REASON_WORDS.join(", ")
            ),
            (_, 0) => write!(text, "its letters have: {}", named.join(", ")),
            (_, others) => write!(text, "its letters have: {} and {others} others", named.join(", ")),
        };
        Some(text)
    }
}

/// The reason of a letter, for a terminal: headers can be forged.
pub(super) fn shown(reason: &str) -> String {
    let visible = |c: char| if c.is_control() { '?' } else { c };
    reason.chars().take(SHOWN_CHARS_MAX).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(asked: &[&str], letters: &[&str]) -> Option<String> {
        let asked: Vec<String> = asked.iter().map(|word| (*word).to_owned()).collect();
        let mut reasons = Reasons::new(&asked);
        letters.iter().for_each(|reason| reasons.see(reason));
        reasons.mistake("dead")
    }

    #[test]
    fn a_word_that_nobody_knows_is_a_mistake_and_one_of_another_version_is_not() {
        assert_eq!(mistake(&[], &["require"]), None);
        // Known, and nothing to do; known by a letter.
        assert_eq!(mistake(&["not_json"], &["require"]), None);
        assert_eq!(mistake(&["of_tomorrow"], &["require", "of_tomorrow"]), None);
        let letters = ["require", "database", "require", "of_tomorrow"];
        assert_eq!(
            mistake(
                &["database", "requires", "of_tomorow", "feild_missing", "else"],
                &letters
            )
            .unwrap(),
            "no letter of dead has the reason requires; did you mean require?\n\
             no letter of dead has the reason of_tomorow; did you mean of_tomorrow?\n\
             no letter of dead has the reason feild_missing; did you mean field_missing?\n\
             no letter of dead has the reason else\n\
             its letters have: require (2), database (1), of_tomorrow (1)"
        );
        let empty = mistake(&["else\u{1b}"], &[]).unwrap();
        let begin =
            "no letter of dead has the reason else?\nit has no letters; reasons of this version: empty_payload, ";
        assert!(empty.starts_with(begin), "{empty}");
    }

    #[test]
    fn forged_reasons_take_no_memory_without_end_and_move_no_cursor() {
        let asked = ["x".to_owned()];
        let mut reasons = Reasons::new(&asked);
        (0..5000).for_each(|forged| reasons.see(&format!("{forged:04}{}", "y".repeat(1000))));
        assert_eq!(reasons.found.len(), COUNTED_MAX);
        let told = reasons.mistake("dead").unwrap();
        assert!(told.ends_with(" and 980 others"), "{told}");
        assert_eq!(shown("field_missing"), "field_missing");
        assert_eq!(shown("a\u{1b}[2J\n"), "a?[2J?");
        assert_eq!(shown(&"x".repeat(100)).len(), 64);
    }
}
