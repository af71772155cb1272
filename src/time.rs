//! Instants in UTC with second precision, in the form of the catalogue, statements and policies: RFC 3339 with `Z`.
//!
//! Pure modules take `now` as an argument; only `cli/` and the servers read the clock.

use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// A text is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time such as 2026-06-30T00:00:00Z")]
pub struct TimestampError {
    text: String,
}

/// An instant in UTC with second precision, between the years 1 and 9999; written as `2026-06-30T00:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The first second of the year 1.
const FIRST: i64 = -62_135_596_800;
/// The last second of the year 9999 in every time zone, the last that `jiff` can format.
const LAST: i64 = 253_402_207_200;

const HOUR: i64 = 3600;

impl Timestamp {
    /// Reads the system clock.
    pub fn now() -> Self {
        Self::from_unix_seconds(jiff::Timestamp::now().as_second())
    }

    /// Converts seconds since 1970-01-01T00:00:00Z, clamped to the range of the type.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.clamp(FIRST, LAST))
    }

    /// Returns seconds since 1970-01-01T00:00:00Z.
    pub fn unix_seconds(self) -> i64 {
        self.0
    }

    /// Adds days of 24 hours.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        self.plus_seconds(i64::from(days) * 24 * HOUR)
    }

    /// Adds hours.
    #[must_use]
    pub fn plus_hours(self, hours: u32) -> Self {
        self.plus_seconds(i64::from(hours) * HOUR)
    }

    /// Adds seconds, which may be negative.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix_seconds(self.0.saturating_add(seconds))
    }

    /// Returns the seconds from `earlier` to `self`; negative if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Returns the date in UTC, such as `2026-06-30`.
    pub fn date(self) -> String {
        self.to_string().chars().take_while(|c| *c != 'T').collect()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every constructor clamps the value to jiff's range.
        let time = jiff::Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.0}")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let refusal = || TimestampError { text: text.chars().take(80).collect() };
        if text.len() > 40 {
            return Err(refusal());
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| refusal())?;
        Ok(Self::from_unix_seconds(time.as_second()))
    }
}

serde_as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        for text in ["2019-02-14T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-30T21:59:59Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        let time: Timestamp = "2019-11-05T10:00:00+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2019-11-05T08:00:00Z");
        assert_eq!(time.date(), "2019-11-05");
        assert_eq!(time.plus_days(1).plus_hours(1).seconds_since(time), 25 * 3600);
    }

    #[test]
    fn the_edges_of_the_range_hold() {
        for seconds in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_unix_seconds(seconds);
            assert_eq!(time.to_string().parse(), Ok(time));
            assert_eq!(time.plus_seconds(seconds), time);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "2019", "2019-02-14", "2019-02-30T00:00:00Z", "now", &"1".repeat(100)] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
