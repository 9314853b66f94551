//! Instants in messages and files: RFC 3339, up to the last second of the calendar.
//!
//! Pure. The last instant of the crate `jiff` is 9999-12-30T22:00:00Z, so that each instant has a date in every time
//! zone. But many systems write 9999-12-31T23:59:59Z for "never", so that must be accepted, too.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};

const NANOSECONDS: i128 = 1_000_000_000;

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(i128);

impl From<Timestamp> for Instant {
    fn from(timestamp: Timestamp) -> Self {
        Instant(timestamp.as_nanosecond())
    }
}

impl Instant {
    /// 2001-01-01T00:00:00Z. No record ends before this time. An earlier value has another meaning.
    pub const ENDS_FROM: Instant = Instant(978_307_200 * NANOSECONDS);

    /// A value before this time is not an expired life either, but means "no value": 0001-01-01T00:00:00Z is the zero
    /// time of Go and .NET.
    pub const OF_1900: Instant = Instant(-2_208_988_800 * NANOSECONDS);

    /// Parses RFC 3339.
    pub fn parse(text: &str) -> Option<Instant> {
        match text.parse::<Timestamp>() {
            Ok(timestamp) => Some(timestamp.into()),
            Err(_) => Self::with_a_long_fraction(text).or_else(|| Self::of_the_last_day(text)),
        }
    }

    /// RFC 3339 does not limit the digits of a fraction. `jiff` accepts nine.
    #[cold]
    fn with_a_long_fraction(text: &str) -> Option<Instant> {
        const DIGITS_MAX: usize = 9;
        let (before, fraction) = text.split_once('.')?;
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, behind) = fraction.split_at(digits);
        let kept = digits.get(..DIGITS_MAX).filter(|kept| kept.len() < digits.len())?;
        Self::parse(&format!("{before}.{kept}{behind}"))
    }

    #[cold]
    fn of_the_last_day(text: &str) -> Option<Instant> {
        if !text.starts_with("9999-12-3") {
            return None;
        }
        let pieces = Pieces::parse(text).ok()?;
        let offset = i128::from(pieces.to_numeric_offset()?.seconds()) * NANOSECONDS;
        let there = pieces.date().to_datetime(pieces.time()?);
        Some(Instant(since_1970(there) - offset))
    }

    /// `None` outside of the calendar (the years -9999 to 9999).
    pub fn of_calendar(nanoseconds: i128) -> Option<Instant> {
        // The last nanosecond of the year 9999.
        const LAST: i128 = 253_402_300_800 * NANOSECONDS - 1;
        let calendar = Timestamp::MIN.as_nanosecond()..=LAST;
        calendar.contains(&nanoseconds).then_some(Instant(nanoseconds))
    }

    pub fn nanoseconds(self) -> i128 {
        self.0
    }

    /// Formats it with `format`, in UTC.
    ///
    /// # Errors
    /// Beyond the year 9999. On the calendar's last day, if a conversion needs what that day does not have (`%s`).
    pub fn formatted(self, format: &str) -> Result<String, jiff::Error> {
        if let Ok(timestamp) = Timestamp::from_nanosecond(self.0) {
            return strtime::format(format, &timestamp.to_zoned(TimeZone::UTC));
        }
        let last = Timestamp::MAX;
        let further = std::time::Duration::from_nanos(
            u64::try_from(self.0.saturating_sub(last.as_nanosecond())).unwrap_or(u64::MAX),
        );
        let there = Offset::UTC.to_datetime(last).checked_add(further)?;
        let mut time = strtime::BrokenDownTime::from(there);
        time.set_offset(Some(Offset::UTC));
        time.to_string(format)
    }
}

fn since_1970(there: DateTime) -> i128 {
    there
        .duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0))
        .as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_of_the_calendar_is_a_time() {
        for (text, seconds) in [
            ("1970-01-01T00:00:01Z", Some(1)),
            ("9999-12-30T22:00:00Z", Some(253_402_207_200)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("9999-12-31T23:59:59.999Z", Some(253_402_300_799)),
            ("9999-12-31T23:59:59.999999999999Z", Some(253_402_300_799)),
            ("1970-01-01T00:00:01.0000000000001+00:00", Some(1)),
            ("1970-01-01T00:00:01.000000000000", None),
            ("9999-12-31T00:00:00+02:00", Some(253_402_207_200)),
            ("9999-12-31T23:59:59-01:00", Some(253_402_304_399)),
            ("9999-12-31T23:59:59", None),
            ("9999-12-31", None),
            ("9999-12-32T00:00:00Z", None),
            ("9999-12-31 soon Z", None),
            ("10000-01-01T00:00:00Z", None),
        ] {
            let instant = Instant::parse(text).map(|instant| instant.nanoseconds() / NANOSECONDS);
            assert_eq!(instant, seconds, "{text}");
        }
    }

    #[test]
    fn a_time_of_the_last_day_is_written_as_any_other() {
        let written = |text: &str, format: &str| Instant::parse(text).unwrap().formatted(format).ok();
        for text in ["9999-12-31T23:59:59Z", "9999-12-30T22:00:00.5Z"] {
            let date = text.get(..10).map(str::to_owned);
            assert_eq!(written(text, "%Y-%m-%d"), date, "{text}");
            assert_eq!(written(text, "%H %z").unwrap().get(3..), Some("+0000"), "{text}");
        }
        assert_eq!(written("9999-12-31T23:59:59-01:00", "%Y"), None);
    }
}
