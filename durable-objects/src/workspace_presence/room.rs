//! The room with its sockets: what `drey_core::presence` decides is done here.
//!
//! In scope: restoring a room from its sockets, performing effects. Out of scope: deciding.

use std::collections::BTreeMap;

use drey_core::presence::{
    Connection, Effect, Identity, Links, Peer, Places, Room, ServerFrame, Settings, close, spread,
};
use drey_core::refusal::{Code, Refusal};
use serde::{Deserialize, Serialize};
use worker::{Date, State, WebSocket};

use super::beats::Beats;
use super::socket;
use super::streams::Streams;
use super::told::Occupants;
use crate::scope_feed::outlet::Outlet;

/// A page of who is present, between object and client.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Present<View, Key> {
    pub(super) data: Vec<View>,
    pub(super) next: Option<Key>,
}

/// A room and the sockets its effects go to.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) room: Room,
    sockets: BTreeMap<Connection, WebSocket>,
    /// The sockets that are elsewhere.
    pub(super) links: Links,
    beats: Beats,
    streams: Streams,
}

/// Somebody who wants to hear.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) identity: Identity,
    /// The last event he has.
    pub(super) last_event: Option<String>,
    /// What he wants to hear of; none for the whole room.
    pub(super) at: Option<Places>,
    pub(super) now_ms: u64,
}

impl Hall {
    /// The hall as the runtime kept its sockets over a hibernation. A socket whose attachment cannot be read, as after a
    /// change of its shape, is closed: its client connects again. One whose attachment is empty is already closing.
    pub(super) fn restore(state: &State, settings: Settings, now_ms: u64) -> Self {
        let beats = Beats::new(state.storage().sql());
        let (mut sockets, mut peers, mut unknown) = (BTreeMap::new(), beats.all(), Vec::new());
        for socket in socket::all(state) {
            let text = socket::attachment(&socket);
            match Peer::from_attachment(&text) {
                Some(peer) => {
                    sockets.insert(peer.connection, socket);
                    peers.push(peer);
                }
                None if text.is_empty() => {}
                None => unknown.push(socket),
            }
        }
        send_away(&unknown, &settings);
        let (room, links) = (Room::restore(settings, peers, now_ms), Links::new(now_ms));
        Self { room, sockets, links, beats, streams: Streams::new(now_ms) }
    }

    /// Lets a client in and keeps its socket.
    pub(super) fn join(
        &mut self,
        state: &State,
        identity: Identity,
        server: &WebSocket,
        now_ms: u64,
    ) -> Result<Vec<Effect>, Refusal> {
        let (connection, effects) = self.room.join(identity, now_ms)?;
        if socket::accept(state, server, connection).is_err() {
            self.room.closed(connection);
            return Err(Refusal::new(Code::Overloaded, "The room takes no more sockets.").with_retry_after(5));
        }
        self.sockets.insert(connection, server.clone());
        Ok(effects)
    }

    /// How many sockets and streams are open.
    pub(super) fn sockets(&self) -> usize {
        self.sockets.len() + self.streams.count()
    }

    pub(super) fn occupants(&self) -> Occupants {
        (self.room.peers().next().map(|peer| peer.identity.workspace), self.sockets() + self.links.count())
    }

    /// Lets somebody in who only hears; the frames for him, unless he was told what he has missed.
    pub(super) fn listen(
        &mut self,
        new: Listener,
        open: impl FnOnce(Connection) -> Option<Outlet>,
    ) -> Result<(), Refusal> {
        let Listener { identity, last_event, at, now_ms } = new;
        let whole = at.is_none();
        let (connection, told) = self.room.listen(identity, at, now_ms)?;
        let Some(outlet) = open(connection) else {
            self.room.closed(connection);
            return Err(Refusal::new(Code::Overloaded, "The room takes no more streams.").with_retry_after(5));
        };
        if self.streams.begin(connection, outlet, last_event.as_deref().filter(|_| whole)) {
            return Ok(());
        }
        let last = told.len().saturating_sub(1);
        for (at, effect) in told.into_iter().enumerate() {
            if let Effect::Send { to, text } = effect {
                self.send_event(to, &text, at == last);
            }
        }
        Ok(())
    }

    /// Tells streams that the room lives, and finds out who has gone.
    pub(super) fn comment(&mut self) {
        let gone = self.streams.comment();
        self.left(gone);
    }

    /// Streams whose readers have gone, or do not read.
    pub(super) fn left(&mut self, gone: Vec<Connection>) {
        for connection in gone {
            let effects = self.room.closed(connection);
            self.perform(effects);
        }
    }

    /// Tells the room of the pings that the runtime answered without waking the object.
    pub(super) fn hear_pings(&mut self, state: &State) {
        for (connection, socket) in &self.sockets {
            if let Some(at_ms) = socket::last_ping_ms(state, socket) {
                self.room.seen(*connection, at_ms);
            }
        }
    }

    /// Does what the room decided, in order. A socket that cannot be sent to is ending: its own event will say so.
    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if self.is_elsewhere(&effect) {
                continue;
            }
            match effect {
                Effect::Send { to, text } => match self.sockets.get(&to) {
                    Some(socket) => socket::send(socket, &text),
                    None => self.send_event(to, &text, false),
                },
                Effect::Broadcast { to, text } => {
                    socket::send_to(&self.sockets, &to, &text);
                    let gone = self.streams.tell(&to, &text);
                    self.left(gone);
                }
                Effect::Save { of } => self.save(of),
                Effect::Close { connection, code, reason } => self.close(connection, code, &reason),
                Effect::Forget { connection } => self.forget(connection),
            }
        }
    }

    /// A stream that takes no more has missed this, and ends.
    fn send_event(&mut self, to: Connection, text: &str, last: bool) {
        if !self.streams.send(to, text, last) {
            self.left(vec![to]);
        }
    }

    /// Whether an effect is for a shard, which is told with the next orders.
    fn is_elsewhere(&mut self, effect: &Effect) -> bool {
        if self.links.is_empty() {
            return false;
        }
        let of = if let Effect::Save { of } = effect { self.room.peer(*of) } else { None };
        let is_elsewhere = self.links.take(effect, of);
        let now_ms = Date::now().as_millis();
        for shard in self.links.overflown() {
            self.room.lag(shard, now_ms);
        }
        for connection in self.links.skipped() {
            let effects = self.room.postpone(connection, now_ms);
            self.perform(effects);
        }
        is_elsewhere
    }

    fn save(&self, of: Connection) {
        match (self.sockets.get(&of), self.room.peer(of)) {
            (Some(socket), Some(peer)) => socket::attach(socket, &peer.to_attachment()),
            (None, Some(peer)) if !self.streams.has(of) => self.beats.put(peer),
            (None, Some(_)) | (_, None) => {}
        }
    }

    /// The runtime lists a closing socket until the close is answered, so its attachment goes first: a room that is
    /// restored meanwhile must not find it present.
    fn close(&mut self, connection: Connection, code: u16, reason: &str) {
        if let Some(socket) = self.sockets.remove(&connection) {
            socket::attach(&socket, "");
            socket::close(&socket, code, reason);
        } else if !self.streams.end(connection) {
            self.beats.forget(connection);
        }
    }

    fn forget(&mut self, connection: Connection) {
        if self.sockets.remove(&connection).is_none() && !self.streams.end(connection) {
            self.beats.forget(connection);
        }
    }
}

/// Sockets whose clients are to connect again, each at another time.
fn send_away(sockets: &[WebSocket], settings: &Settings) {
    let (code, detail) = (close::RESTART, "the room was restarted");
    for (index, socket) in sockets.iter().enumerate() {
        let retry_after_ms = Some(spread(settings.drain_ms, index, sockets.len()));
        let text = ServerFrame::Error { code, detail, retry_after_ms }.to_text();
        socket::send(socket, &text);
        socket::close(socket, code, detail);
    }
}
