//! A length of time in a log line: in seconds, whatever its length (`waited=12s`, `after=0.4s`).

use std::fmt;
use std::time::Duration;

/// Writes the time in seconds, with as many decimal places as the format asks for, or none.
#[derive(Debug, Clone, Copy)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        write!(f, "{:.places$}s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_the_second_for_short_and_long_times() {
        let of = |ms| Seconds(Duration::from_millis(ms));
        assert_eq!(format!("{} {:.1}", of(300), of(300)), "0s 0.3s");
        assert_eq!(format!("{} {:.1}", of(7_384_000), of(61_250)), "7384s 61.2s");
    }
}
