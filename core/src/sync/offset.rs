//! Where a reader stands in the stream of a scope.
//!
//! In scope: `{generation}_{epoch}`, with the epoch in 16 digits so that, within a generation, text order is stream order
//! (Durable Streams demands that), and the two sentinels. Out of scope: whether the place still exists.

/// One above the largest epoch that fits 16 digits: no message is after it.
pub const EPOCH_END: i64 = 10_000_000_000_000_000;

/// A text that is no offset of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `-1`, `now`, or an offset that an answer carried")]
pub struct OffsetError;

/// After which epoch of which generation a reader continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset {
    generation: i64,
    epoch: i64,
}

impl Offset {
    /// The place after `epoch` in `generation`; both come from the database. `None` below 1 and 0, or above 16 digits.
    #[must_use]
    pub fn new(generation: i64, epoch: i64) -> Option<Self> {
        (generation >= 1 && (0..EPOCH_END).contains(&epoch)).then_some(Self { generation, epoch })
    }

    /// Reads exactly the text that [`Display`](std::fmt::Display) writes.
    ///
    /// # Errors
    /// [`OffsetError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, OffsetError> {
        let (generation, epoch) = text.split_once('_').ok_or(OffsetError)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(generation) || !digits(epoch) || generation.starts_with('0') || epoch.len() != 16 {
            return Err(OffsetError);
        }
        let number = |part: &str| part.parse().map_err(|_| OffsetError);
        Self::new(number(generation)?, number(epoch)?).ok_or(OffsetError)
    }

    /// The life of the scope it belongs to.
    #[must_use]
    pub const fn generation(self) -> i64 {
        self.generation
    }

    /// The last epoch already read.
    #[must_use]
    pub const fn epoch(self) -> i64 {
        self.epoch
    }
}

impl std::fmt::Display for Offset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{:016}", self.generation, self.epoch)
    }
}

/// From where a reader asks. The sentinels are never answered as offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// `-1`: the beginning.
    Start,
    /// `now`: only what comes after.
    Now,
    /// After this place.
    At(Offset),
}

impl ReadFrom {
    /// Reads the query parameter.
    ///
    /// # Errors
    /// [`OffsetError`] for what is neither a sentinel nor an offset.
    pub fn parse(text: &str) -> Result<Self, OffsetError> {
        match text {
            "-1" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            text => Offset::parse(text).map(Self::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients keep offsets for months: another text would send every reader back to the beginning.
    #[test]
    fn the_text_of_an_offset_is_fixed() {
        let offset = Offset::new(3, 42).expect("offset");
        assert_eq!(offset.to_string(), "3_0000000000000042");
        assert_eq!(ReadFrom::parse("3_0000000000000042"), Ok(ReadFrom::At(offset)));
        assert_eq!((ReadFrom::parse("-1"), ReadFrom::parse("now")), (Ok(ReadFrom::Start), Ok(ReadFrom::Now)));
    }

    #[test]
    fn what_is_no_offset_is_refused() {
        for text in [
            "",
            "_",
            "0",
            "-2",
            "Now",
            "3_42",
            "03_0000000000000042",
            "0_0000000000000042",
            "3_00000000000000042",
            "3_000000000000004a",
            "+3_0000000000000042",
            "3_0000000000000042_",
            "99999999999999999999_0000000000000042",
        ] {
            assert_eq!(ReadFrom::parse(text), Err(OffsetError), "{text}");
        }
    }
}
