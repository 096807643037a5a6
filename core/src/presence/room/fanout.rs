//! What the others are told, and when.
//!
//! Changes are collected and go out together, once a tick: of a peer that changed ten times the others hear the last
//! state, and of one that has gone meanwhile only that. A room that was quiet for a tick tells at once.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rate::Rate;
use super::super::{Limits, MAX_STATE, PAGE, Peer, PeerView};
use super::{Connection, Effect, Room, ServerFrame};
use crate::presence::Gone;
use crate::sync::ClientId;

/// Less than the idle time after which an object hibernates.
const RECENT_MS: u64 = 5_000;

/// A socket and what it may say.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) client_id: ClientId,
    pub(super) rate: Rate,
    /// The newest state that came faster than the rate.
    pub(super) held: Option<(u64, Option<String>)>,
}

/// What is to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Fanout {
    /// Who changed: by which socket, and the clock to leave with.
    changed: BTreeMap<ClientId, (Connection, u64)>,
    /// Sockets that hold a state back.
    holding: BTreeSet<Connection>,
    /// When the last frames went out.
    told_ms: u64,
}

impl Fanout {
    pub(super) fn note(&mut self, client_id: ClientId, by: Connection, clock: u64) {
        self.changed.insert(client_id, (by, clock));
    }
}

impl Room {
    /// When to call [`Room::flush`], in milliseconds since 1970; `None` while there is nothing to tell.
    #[must_use]
    pub fn flush_ms(&self) -> Option<u64> {
        let idle = self.fanout.changed.is_empty() && self.fanout.holding.is_empty();
        (!idle).then(|| self.fanout.told_ms.saturating_add(self.settings.tick_of(self.peers.len())))
    }

    /// Tells everybody what has changed since the last time.
    pub fn flush(&mut self, now_ms: u64) -> Vec<Effect> {
        self.fanout.told_ms = now_ms;
        let mut effects = self.release(now_ms);
        let changed = std::mem::take(&mut self.fanout.changed);
        let mut by: BTreeSet<Connection> = BTreeSet::new();
        let (mut shown, mut gone) = (Vec::new(), Vec::new());
        for (client_id, (connection, clock)) in changed {
            by.insert(connection);
            match self.peers.get(&client_id).and_then(Peer::view) {
                Some(view) => shown.push(view),
                None => gone.push(Gone { client_id, clock }),
            }
        }
        // What one socket alone has caused it need not hear.
        let except = by.pop_first().filter(|_| by.is_empty());
        effects.extend(pages(shown).map(|peers| tell(except, &ServerFrame::Patch { peers })));
        effects.extend(pages(gone).map(|peers| tell(except, &ServerFrame::Leave { peers })));
        effects
    }

    /// After a hibernation everybody has been told everything: a pending tick keeps a room awake. After a crash within a
    /// tick somebody may not have been: whoever has just spoken is told again. It takes ten idle seconds to hibernate.
    pub(super) fn retell(&mut self, now_ms: u64) {
        let recent = self.peers.values().filter(|peer| now_ms.saturating_sub(peer.seen_at_ms) < RECENT_MS);
        for peer in recent.filter(|peer| peer.clock > 0) {
            self.fanout.note(peer.identity.client_id.clone(), peer.connection, peer.clock);
        }
    }

    pub(super) fn hello(&self, client_id: &ClientId) -> ServerFrame {
        let others = self.peers.values().filter(|peer| peer.identity.client_id != *client_id);
        let mut peers: Vec<PeerView> = others.filter_map(Peer::view).take(PAGE + 1).collect();
        let more = peers.len() > PAGE;
        peers.truncate(PAGE);
        let limits =
            Limits { state_bytes: MAX_STATE, frames_per_s: self.settings.frames_per_s, tick_ms: self.settings.tick_ms };
        ServerFrame::Hello { v: 1, client_id: client_id.clone(), peers, limits, more }
    }

    pub(super) fn update(&mut self, connection: Connection, clock: u64, state: Option<String>) -> Vec<Effect> {
        let Some(peer) = self.peer_mut(connection).filter(|peer| clock > peer.clock) else { return Vec::new() };
        let shows = peer.state.is_some() || state.is_some();
        (peer.clock, peer.state) = (clock, state);
        let client_id = peer.identity.client_id.clone();
        if shows {
            self.fanout.note(client_id, connection, clock);
        }
        vec![Effect::Save { of: connection }]
    }

    /// Keeps the newest of the states that come too fast.
    pub(super) fn hold(&mut self, connection: Connection, clock: u64, state: Option<String>) -> Vec<Effect> {
        if let Some(seat) = self.seats.get_mut(&connection) {
            let newer = seat.held.as_ref().is_none_or(|(held, _)| *held < clock);
            if newer {
                seat.held = Some((clock, state));
                self.fanout.holding.insert(connection);
            }
        }
        Vec::new()
    }

    /// Takes the states held back of those sockets that have slowed down.
    fn release(&mut self, now_ms: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for connection in std::mem::take(&mut self.fanout.holding) {
            let settings = self.settings;
            let Some(seat) = self.seats.get_mut(&connection) else { continue };
            if !seat.rate.allow(&settings, now_ms) {
                self.fanout.holding.insert(connection);
            } else if let Some((clock, state)) = seat.held.take() {
                effects.extend(self.update(connection, clock, state));
            }
        }
        effects
    }
}

fn tell(except: Option<Connection>, frame: &ServerFrame) -> Effect {
    Effect::Broadcast { except, text: frame.to_text() }
}

/// At most [`PAGE`] of them a frame.
fn pages<T>(all: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let page: Vec<T> = rest.by_ref().take(PAGE).collect();
        (!page.is_empty()).then_some(page)
    })
}
