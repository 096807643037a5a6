//! The newest messages of a log, without a gap.

use std::collections::VecDeque;

/// Messages with start < epoch ≤ end, one an epoch: epochs of a scope are gapless.
#[derive(Debug)]
pub(super) struct Ring {
    messages: VecDeque<String>,
    bytes: usize,
    end: i64,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self::from(0)
    }

    /// Nothing, after this epoch.
    pub(super) const fn from(end: i64) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, end }
    }

    /// The epoch of the last message.
    pub(super) const fn end(&self) -> i64 {
        self.end
    }

    /// The epoch before the first message.
    pub(super) fn start(&self) -> i64 {
        self.end.saturating_sub(i64::try_from(self.messages.len()).unwrap_or(i64::MAX))
    }

    /// Adds what is new of messages of which the last has this epoch; nothing if some are missing in between.
    pub(super) fn append(&mut self, last: i64, messages: Vec<String>, most_bytes: usize) {
        let count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        let known = self.end.saturating_sub(last.saturating_sub(count));
        let Ok(known) = usize::try_from(known) else { return };
        for message in messages.into_iter().skip(known) {
            self.bytes = self.bytes.saturating_add(message.len());
            self.end = self.end.saturating_add(1);
            self.messages.push_back(message);
        }
        // The last message always stays: somebody waits for it.
        while self.bytes > most_bytes && self.messages.len() > 1 {
            let first = self.messages.pop_front().map_or(0, |message| message.len());
            self.bytes = self.bytes.saturating_sub(first);
        }
    }

    /// The messages after this epoch as a JSON array; `None` if there is none, or the first is not kept any more.
    pub(super) fn after(&self, epoch: i64) -> Option<String> {
        if epoch >= self.end || epoch < self.start() {
            return None;
        }
        let skip = usize::try_from(epoch.saturating_sub(self.start())).ok()?;
        let messages: Vec<&str> = self.messages.iter().skip(skip).map(String::as_str).collect();
        Some(format!("[{}]", messages.join(",")))
    }
}
