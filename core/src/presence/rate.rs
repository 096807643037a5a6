//! How fast one socket may speak.
//!
//! In scope: the verdict on a frame. Out of scope: what is done with the frame.

use super::{Settings, Shown};
use crate::limit::{BucketKind, BucketSpec, Gcra, Take, Tier};

/// What to do with the next frame of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Take it.
    Now,
    /// Hold it back: only the newest of those held is taken, when the socket has slowed down.
    Later,
    /// Close the socket.
    TooFast,
}

/// Two buckets of the same size, one behind the other: what overflows the first is held back, what overflows the second
/// ends the socket. So a sender is heard at the rate, coalesced up to twice the rate and closed above it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    taken: Gcra,
    held: Gcra,
}

impl Rate {
    /// A frame has come.
    pub(super) fn hear(&mut self, settings: &Settings, now_ms: u64) -> Pace {
        if self.allow(settings, now_ms) {
            return Pace::Now;
        }
        let took = self.held.take(&spec(settings), now_ms, 1);
        if matches!(took, Take::Allowed { .. }) { Pace::Later } else { Pace::TooFast }
    }

    /// Whether a frame that was held back may be taken now.
    pub(super) fn allow(&mut self, settings: &Settings, now_ms: u64) -> bool {
        matches!(self.taken.take(&spec(settings), now_ms, 1), Take::Allowed { .. })
    }
}

/// The newest of what came faster than the rate.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Option<(u64, Shown)>);

impl Held {
    /// Keeps the newest; whether this is it.
    pub(super) fn keep(&mut self, clock: u64, shown: Shown) -> bool {
        let newer = self.0.as_ref().is_none_or(|(held, _)| *held < clock);
        if newer {
            self.0 = Some((clock, shown));
        }
        newer
    }

    pub(super) fn take(&mut self) -> Option<(u64, Shown)> {
        self.0.take()
    }
}

fn spec(settings: &Settings) -> BucketSpec {
    BucketSpec {
        // Tier and kind only name a bucket in headers; this one has none.
        tier: Tier::Relaxed,
        kind: BucketKind::Principal,
        limit: settings.frames_per_s.max(1),
        window_ms: 1000,
        burst: settings.frames_burst.max(1),
        block_ms: 0,
    }
}
