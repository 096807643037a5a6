//! Those who only hear, by server-sent events: for readers that can have no WebSocket.
//!
//! A stream lives and ends with the object. Each event has the number of the last frame that went to the whole room, so a reader
//! who comes back with it (`Last-Event-ID`) is told what he missed, if that is still in memory, and otherwise everything anew.

use std::collections::{BTreeMap, VecDeque};

use drey_core::presence::{Audience, Connection};

use crate::scope_feed::outlet::{self, Outlet};

/// Frames that are kept for who comes back: at 30 a second, those of the last eight seconds.
const MOST_KEPT: usize = 256;
/// And at most so many bytes of them.
const MOST_BYTES: usize = 1024 * 1024;
/// How a frame begins that says why a stream ends.
const ERROR: &str = r#"{"kind":"error""#;
/// A comment. Writing one finds out who has gone, and keeps proxies from taking the stream for dead.
const COMMENT: &str = ":\n\n";

/// The streams of one room.
#[derive(Debug)]
pub(super) struct Streams {
    open: BTreeMap<Connection, Outlet>,
    /// Tells the numbers of this object from those of one before it.
    since_ms: u64,
    /// The number of the last frame that went to the whole room.
    last: u64,
    kept: VecDeque<(u64, String)>,
    bytes: usize,
    /// Nothing is kept before the first stream: most rooms have none.
    keeps: bool,
}

impl Streams {
    pub(super) fn new(since_ms: u64) -> Self {
        Self { open: BTreeMap::new(), since_ms, last: 0, kept: VecDeque::new(), bytes: 0, keeps: false }
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    pub(super) fn has(&self, connection: Connection) -> bool {
        self.open.contains_key(&connection)
    }

    /// Keeps a new stream. Whether its reader was told what he missed since the event he names.
    pub(super) fn begin(&mut self, connection: Connection, outlet: Outlet, last_event: Option<&str>) -> bool {
        self.keeps = true;
        let missed = last_event.and_then(|id| self.missed(id));
        let resumed = missed.is_some();
        if let Some(missed) = missed.filter(|text| !text.is_empty()) {
            outlet.send(&outlet::encode(&missed));
        }
        self.open.insert(connection, outlet);
        resumed
    }

    /// The events after the one named; `None` if they are not in memory any more, or never were.
    fn missed(&self, id: &str) -> Option<String> {
        let (since, number) = id.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let oldest = self.kept.front().map_or(self.last.saturating_add(1), |(number, _)| *number);
        let known = since.parse() == Ok(self.since_ms) && number <= self.last && number.saturating_add(1) >= oldest;
        let later = self.kept.iter().filter(|(kept, _)| *kept > number);
        known.then(|| later.map(|(kept, text)| self.event(*kept, text)).collect())
    }

    /// A frame for many; those who take no more, or have gone.
    pub(super) fn tell(&mut self, to: &Audience, text: &str) -> Vec<Connection> {
        if matches!(to, Audience::AllBut(_)) && self.keeps {
            self.keep(text);
        }
        if self.open.is_empty() {
            return Vec::new();
        }
        let encoded = outlet::encode(&self.event(self.last, text));
        let heard = self.open.iter().filter(|(connection, _)| to.has(**connection));
        heard.filter(|(_, outlet)| !outlet.send(&encoded)).map(|(connection, _)| *connection).collect()
    }

    /// A frame for one; whether he took it, if he is here. Of several that say how everything is only the `last` has a number:
    /// who has not heard it comes back without one, and is told everything anew. Why a stream ends takes no number away.
    pub(super) fn send(&self, to: Connection, text: &str, last: bool) -> bool {
        let Some(outlet) = self.open.get(&to) else { return true };
        let event = match (last, text.starts_with(ERROR)) {
            (true, _) => self.event(self.last, text),
            (false, true) => data(text),
            (false, false) => event("", text),
        };
        outlet.send(&outlet::encode(&event))
    }

    /// A sign of life for everybody; those who have gone.
    pub(super) fn comment(&self) -> Vec<Connection> {
        let encoded = outlet::encode(COMMENT);
        let gone = self.open.iter().filter(|(_, outlet)| !outlet.send(&encoded));
        gone.map(|(connection, _)| *connection).collect()
    }

    /// Ends a stream, if it is one.
    pub(super) fn end(&mut self, connection: Connection) -> bool {
        let outlet = self.open.remove(&connection);
        if let Some(outlet) = &outlet {
            outlet.end();
        }
        outlet.is_some()
    }

    fn keep(&mut self, text: &str) {
        self.last = self.last.saturating_add(1);
        self.bytes = self.bytes.saturating_add(text.len());
        self.kept.push_back((self.last, text.to_owned()));
        while self.kept.len() > MOST_KEPT || self.bytes > MOST_BYTES {
            let Some((_, text)) = self.kept.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(text.len());
        }
    }

    fn event(&self, number: u64, text: &str) -> String {
        event(&format!("{}-{number}", self.since_ms), text)
    }
}

fn event(id: &str, text: &str) -> String {
    format!("id: {id}\n{}", data(text))
}

/// A frame is one line: JSON has no line feed outside of strings, and none unescaped in them. States are the clients' own
/// text, which may have them between its members.
fn data(text: &str) -> String {
    format!("data: {}\n\n", text.replace(['\r', '\n'], " "))
}
