//! What the others are told, and when.
//!
//! Changes are collected and go out together, once a tick: of a peer that changed ten times the others hear the last
//! state, and of one that has gone meanwhile only that. A small room that was quiet for a tick tells at once; in a large
//! one, where telling is dear, the first change waits for others.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rate::{Held, Rate};
use super::super::{ScopeNews, Shown};
use super::audience::News;
use super::reading::Reading;
use super::{Connection, Effect, Peer, Places, Room};
use crate::sync::ClientId;

/// A socket and what it may say.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) client_id: ClientId,
    pub(super) rate: Rate,
    pub(super) reading: Reading,
    pub(super) held: Held,
    /// With which report its shard spoke of it last: see [`Asked`](super::Asked).
    pub(super) heard: u64,
}

impl Seat {
    pub(super) fn new(client_id: ClientId) -> Self {
        Self { client_id, rate: Rate::default(), reading: Reading::default(), held: Held::default(), heard: 0 }
    }
}

/// That a client is not as it was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// The socket that caused it last.
    pub(super) by: Connection,
    /// The clock to leave with.
    pub(super) clock: u64,
    /// Where it has been since it was told.
    pub(super) was: Places,
    /// Where it has been is not known.
    pub(super) anywhere: bool,
}

/// What is to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Fanout {
    changed: BTreeMap<ClientId, Change>,
    /// Scopes that have moved, by type and id: to which generation and epoch.
    pub(super) notices: BTreeMap<(String, String), (i64, i64)>,
    /// Sockets that hold a state back.
    holding: BTreeSet<Connection>,
    /// Sockets that are to be told how everything is, when it is their turn.
    pub(super) owing: BTreeSet<Connection>,
    /// When the last frames went out.
    told_ms: u64,
    /// The latest time heard of, and when the first of what is to be told changed: by that time, so not later.
    pub(super) now_ms: u64,
    first_ms: u64,
    /// How many bytes of frames have gone out.
    pub(super) told: u64,
}

impl Fanout {
    /// A client that was in these places has changed.
    pub(super) fn note(&mut self, client_id: ClientId, by: Connection, clock: u64, was: Places) {
        if self.changed.is_empty() {
            self.first_ms = self.now_ms;
        }
        let change = self.changed.entry(client_id).or_default();
        (change.by, change.clock) = (by, clock);
        change.was.join(was);
    }

    /// A client has changed, and nobody knows where it was.
    pub(super) fn note_anywhere(&mut self, client_id: ClientId, by: Connection, clock: u64) {
        self.note(client_id.clone(), by, clock, Places::default());
        self.changed.entry(client_id).or_default().anywhere = true;
    }
}

impl Room {
    /// When to call [`Room::flush`], in milliseconds since 1970; `None` while there is nothing to tell.
    #[must_use]
    pub fn flush_ms(&self) -> Option<u64> {
        let Fanout { changed, notices, holding, owing, told_ms, first_ms, .. } = &self.fanout;
        let idle = changed.is_empty() && notices.is_empty() && holding.is_empty() && owing.is_empty();
        let count = self.peers.len();
        let tick_ms = told_ms.saturating_add(self.settings.tick_of(count));
        (!idle).then(|| tick_ms.max(first_ms.saturating_add(self.settings.gather_of(count))))
    }

    /// Tells everybody what has changed since the last time.
    pub fn flush(&mut self, now_ms: u64) -> Vec<Effect> {
        (self.fanout.told_ms, self.fanout.now_ms) = (now_ms, now_ms);
        let mut effects = self.release(now_ms);
        let changed = std::mem::take(&mut self.fanout.changed);
        let news: Vec<News> = changed
            .into_iter()
            .map(|(client_id, change)| News {
                view: self.peers.get(&client_id).and_then(Peer::view),
                client_id,
                change,
            })
            .collect();
        let mut frames = self.tell(&news);
        frames.extend(self.tell_notices());
        if !frames.is_empty() {
            let asked = self.probe(&frames, now_ms);
            frames.extend(asked);
        }
        effects.extend(frames);
        effects.extend(self.tell_owed(now_ms));
        effects
    }

    /// Scopes of sync have moved. Of a scope the newest epoch is told; nobody, if nobody is here.
    pub fn notify(&mut self, scopes: Vec<ScopeNews>) {
        if self.peers.values().all(|peer| peer.beats) {
            return;
        }
        for ScopeNews { scope_type, id, generation, epoch } in scopes {
            let told = self.fanout.notices.entry((scope_type, id)).or_default();
            *told = (*told).max((generation, epoch));
        }
    }

    /// After a hibernation everybody has been told everything: a pending tick keeps a room awake. After a crash within a
    /// tick somebody may not have been: whoever has just spoken is told again. It takes ten idle seconds to hibernate.
    pub(super) fn retell(&mut self, now_ms: u64) {
        let recent = self.peers.values().filter(|peer| peer.is_recent(now_ms)).map(|peer| peer.connection);
        self.tell_anywhere(recent.collect());
    }

    /// What these show may have been told to nobody.
    pub(super) fn tell_anywhere(&mut self, untold: Vec<Connection>) {
        for connection in untold {
            if let Some(peer) = self.peer(connection).filter(|peer| peer.clock > 0) {
                self.fanout.note_anywhere(peer.identity.client_id.clone(), connection, peer.clock);
            }
        }
    }

    pub(super) fn update(&mut self, connection: Connection, clock: u64, shown: Shown) -> Vec<Effect> {
        let Some(peer) = self.peer_mut(connection) else { return Vec::new() };
        let is_seen = peer.state.is_some() || shown.state.is_some();
        let Some(was) = peer.show(clock, shown) else { return Vec::new() };
        let client_id = peer.identity.client_id.clone();
        if is_seen {
            self.fanout.note(client_id, connection, clock, was);
        }
        vec![Effect::Save { of: connection }]
    }

    /// Keeps the newest of the states that come too fast.
    pub(super) fn hold(&mut self, connection: Connection, clock: u64, shown: Shown) -> Vec<Effect> {
        if self.seats.get_mut(&connection).is_some_and(|seat| seat.held.keep(clock, shown)) {
            self.fanout.holding.insert(connection);
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
            } else if let Some((clock, shown)) = seat.held.take() {
                effects.extend(self.update(connection, clock, shown));
            }
        }
        effects
    }
}
