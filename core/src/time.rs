//! An instant, to the microsecond, as Postgres keeps it.
//!
//! In scope: reading what Postgres and clients write, and the one text we write. Out of scope: what time it is now.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, SecondsFormat, SubsecRound as _, Utc};

/// A text that is not an instant between the years 1 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 timestamp such as `2026-11-20T21:39:07.326361Z`")]
pub struct TimeError;

/// An instant in UTC, cut to the microsecond. Its text is RFC 3339 with six decimals and `Z`, so text order is time order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Reads RFC 3339, or what Postgres prints for a `timestamptz` (`2026-11-20 21:39:07.326361+00`).
    ///
    /// # Errors
    /// [`TimeError`] for anything else, `infinity` and years outside 1 to 9999 included.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let time = DateTime::parse_from_rfc3339(&whole_offset(text)).map_err(|_| TimeError)?.with_timezone(&Utc);
        if (1..=9999).contains(&time.year()) { Ok(Self(time.trunc_subsecs(6))) } else { Err(TimeError) }
    }

    /// The instant so many milliseconds after 1970 began. What lies beyond the year 9999 is its last microsecond.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        /// 9999-12-31T23:59:59.999999Z, in microseconds since 1970.
        const LAST: i64 = 253_402_300_799_999_999;
        let micros = i64::try_from(millis).ok().and_then(|ms| ms.checked_mul(1000)).map_or(LAST, |us| us.min(LAST));
        Self(DateTime::from_timestamp_micros(micros).unwrap_or_default())
    }

    /// Milliseconds since 1970 began, the rest cut off; 0 before that.
    #[must_use]
    pub fn to_millis(self) -> u64 {
        u64::try_from(self.0.timestamp_millis()).unwrap_or(0)
    }
}

/// Postgres leaves out the minutes of an offset that has none (`+00`), RFC 3339 does not.
fn whole_offset(text: &str) -> Cow<'_, str> {
    match text.as_bytes() {
        [.., b'+' | b'-', a, b] if text.contains(':') && a.is_ascii_digit() && b.is_ascii_digit() => {
            Cow::Owned(format!("{text}:00"))
        }
        _ => Cow::Borrowed(text),
    }
}

// Neither way goes through chrono's format strings: their interpreter is dead weight in the Worker.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Timestamp::parse(text).map(|time| time.to_string()).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn postgres_and_rfc_3339_are_read() {
        check("2026-11-20 21:39:07.326361+00", "2026-11-20T21:39:07.326361Z");
        check("2026-11-20 21:39:07+00", "2026-11-20T21:39:07.000000Z");
        check("2026-11-20 21:39:07.3+00", "2026-11-20T21:39:07.300000Z");
        check("2026-11-21 03:09:07.3+05:30", "2026-11-20T21:39:07.300000Z");
        check("2026-11-20T21:39:07.326361Z", "2026-11-20T21:39:07.326361Z");
        check("2026-11-20T21:39:07.326361999Z", "2026-11-20T21:39:07.326361Z");
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in
            ["", "infinity", "-infinity", "2026-11-20", "2026-11-20 21:39:07", "2026-13-01T00:00:00Z", "20261120"]
        {
            assert_eq!(Timestamp::parse(text), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn millis_stop_at_the_end_of_the_calendar() {
        assert_eq!(Timestamp::from_millis(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123000Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::from_millis(1_700_000_000_123).to_millis(), 1_700_000_000_123);
    }
}
