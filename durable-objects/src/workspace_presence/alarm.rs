//! The room's alarm: it wakes the object when nothing else has by then.

use std::cell::Cell;

use worker::Storage;

/// An object has one alarm, which outlives its memory.
#[derive(Debug)]
pub(super) struct Alarm {
    storage: Storage,
    known: Cell<Known>,
}

/// What this object knows of its alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    /// Not asked since it woke.
    Nothing,
    /// None is set.
    Unset,
    /// Set for this time, in milliseconds since 1970.
    At(u64),
}

impl Alarm {
    pub(super) fn new(storage: Storage) -> Self {
        Self { storage, known: Cell::new(Known::Nothing) }
    }

    /// The runtime has called; the next one is to be set.
    pub(super) fn gone_off(&self) {
        self.known.set(Known::Unset);
    }

    /// Sets the alarm if none comes early enough; an alarm that comes too early finds nothing to do and sets the next.
    /// An empty room has none.
    pub(super) async fn set(&self, next: Option<u64>, now_ms: u64) -> worker::Result<()> {
        if self.known.get() == Known::Nothing {
            let set = self.storage.get_alarm().await?.and_then(|at| u64::try_from(at).ok());
            self.known.set(set.map_or(Known::Unset, Known::At));
        }
        match (next, self.known.get()) {
            (Some(next), Known::At(set)) if set <= next => Ok(()),
            (Some(next), _) => {
                self.known.set(Known::At(next));
                self.storage.set_alarm(i64::try_from(next.saturating_sub(now_ms)).unwrap_or(i64::MAX)).await
            }
            (None, Known::At(_)) => {
                self.known.set(Known::Unset);
                self.storage.delete_alarm().await
            }
            (None, _) => Ok(()),
        }
    }
}
