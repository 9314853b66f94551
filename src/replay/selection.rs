//! Which letters are replayed: by the time when they were made, by reason, and how many.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::values::units;
use crate::delivery::letter::Letter;

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Letters made at this time or later.
    pub since: Option<Timestamp>,
    /// Letters made before this time.
    pub until: Option<Timestamp>,
    /// Letters with one of these reasons. Empty: with any.
    pub reasons: Vec<String>,
    /// At most so many.
    pub limit: Option<u64>,
}

impl Selection {
    /// What is wrong with it: no letter can match.
    #[must_use]
    pub fn mistake(&self) -> Option<String> {
        let (since, until) = self.since.zip(self.until)?;
        (since >= until).then(|| format!("--since is not before --until, so no letter can match: {since} and {until}"))
    }

    /// Whether the letter is selected, apart from the limit.
    pub fn takes(&self, letter: &Letter<'_>) -> bool {
        !self.is_before(letter)
            && self.until.is_none_or(|until| letter.time < until)
            && (self.reasons.is_empty() || self.reasons.iter().any(|reason| reason == letter.reason))
    }

    /// Whether the letter was made before the first one that is selected.
    pub fn is_before(&self, letter: &Letter<'_>) -> bool {
        self.since.is_some_and(|since| letter.time < since)
    }
}

/// Reads a time: RFC 3339, a date (its beginning in UTC), or how long ago.
///
/// # Errors
/// What is wrong with it.
pub fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(begin) = date.to_zoned(TimeZone::UTC)
    {
        return Ok(begin.timestamp());
    }
    let ago = units::duration(text)
        .ok()
        .and_then(|ago| SignedDuration::try_from(ago).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        "a time is RFC 3339 (2026-11-28T10:00:00Z), a date (2026-11-28), or how long ago (2h, 3d)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_an_instant_a_date_or_how_long_ago() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-28T12:00:00Z");
        for (text, expected) in [
            ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z"),
            ("2026-11-28T10:00:00+02:00", "2026-11-28T08:00:00Z"),
            ("2026-11-28", "2026-11-28T00:00:00Z"),
            ("2h", "2026-11-28T10:00:00Z"),
            ("3d", "2026-11-25T12:00:00Z"),
        ] {
            assert_eq!(time(text, now), Ok(at(expected)), "{text}");
        }
        for text in ["", "yesterday", "2", "-1h", "2026-13-01", "10:00", "99999999999d"] {
            assert!(time(text, now).is_err(), "{text}");
        }
    }
}
