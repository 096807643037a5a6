//! W3C trace context: the one header that ties our work to the caller's.
//!
//! In scope: reading, continuing and writing `traceparent`. Out of scope: `tracestate`, which we do not change.

use crate::encoding::{from_hex, to_hex};

/// A `traceparent`: the trace, the span that calls, and whether it is sampled. Neither id is all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    flags: u8,
}

/// Sampled (level 1) and random (level 2); what later levels add is not ours to pass on.
const KNOWN_FLAGS: u8 = 0b11;

impl Traceparent {
    /// Reads a header of version 00, or the part of a later version that means the same. `None` if it is not one.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.splitn(5, '-');
        let [version] = from_hex::<1>(parts.next()?)?;
        let trace_id = from_hex::<16>(parts.next()?)?;
        let parent_id = from_hex::<8>(parts.next()?)?;
        let [flags] = from_hex::<1>(parts.next()?)?;
        let longer = parts.next().is_some();
        let valid = version != 0xff && !(version == 0 && longer) && trace_id != [0; 16] && parent_id != [0; 8];
        valid.then_some(Self { trace_id, parent_id, flags: flags & KNOWN_FLAGS })
    }

    /// A new trace of 24 random bytes, not sampled.
    #[must_use]
    pub fn new(random: [u8; 24]) -> Self {
        let trace_id = random.first_chunk().copied().unwrap_or_default();
        let parent_id = random.last_chunk().copied().unwrap_or_default();
        Self { trace_id: never_zero(trace_id), parent_id: never_zero(parent_id), flags: 0 }
    }

    /// The same trace, with a span of our own.
    #[must_use]
    pub fn child(self, random: [u8; 8]) -> Self {
        Self { parent_id: never_zero(random), ..self }
    }

    /// The trace's id, in hex.
    #[must_use]
    pub fn trace_id(&self) -> String {
        to_hex(&self.trace_id)
    }
}

/// An id of zeros means "none" on the wire.
fn never_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id.iter().all(|byte| *byte == 0) {
        id.fill(1);
    }
    id
}

impl std::fmt::Display for Traceparent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{}-{}-{:02x}", to_hex(&self.trace_id), to_hex(&self.parent_id), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_child_keeps_the_trace() {
        let child = Traceparent::parse(HEADER).expect("valid").child([7; 8]);
        assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01");
        assert_eq!(child.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn later_versions_are_read_and_broken_ones_are_not() {
        assert!(Traceparent::parse(&HEADER.replacen("00", "cc", 1)).is_some());
        assert!(Traceparent::parse(&format!("{}-more", HEADER.replacen("00", "cc", 1))).is_some());
        for header in [
            "",
            "00",
            &HEADER.replacen("00", "ff", 1),
            &HEADER.to_uppercase(),
            &format!("{HEADER}-more"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(header), None, "{header}");
        }
    }

    #[test]
    fn a_new_trace_is_never_zero() {
        let text = Traceparent::new([0; 24]).to_string();
        assert_eq!(Traceparent::parse(&text).map(|parent| parent.to_string()), Some(text));
    }
}
