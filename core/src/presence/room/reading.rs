//! Readers that are too slow.
//!
//! The runtime takes whatever is sent to a socket and keeps it in memory until it is read, so the room asks: every few
//! seconds a socket that is sent frames has to say that it has read them. One that does not is sent nothing more, whatever
//! happens in the room. When it answers it is told once how everything is now; if it never does, it is closed.

use super::super::Audience;
use super::{Connection, Effect, Places, Room, ServerFrame};

/// What is known of a socket's reading. Forgotten by a hibernation, which nobody enters who is sent frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    is_asked: bool,
    /// When to ask, or to give up waiting for the answer.
    due_ms: u64,
}

impl Room {
    /// A socket has been told everything just now.
    pub(super) fn reads(&mut self, connection: Connection, now_ms: u64) {
        let due_ms = now_ms.saturating_add(self.settings.probe_ms);
        if let Some(seat) = self.seats.get_mut(&connection) {
            seat.reading = Reading { is_asked: false, due_ms };
        }
    }

    /// A socket has read what it was sent; one that had fallen behind is told how everything is now.
    pub(super) fn read(&mut self, connection: Connection, now_ms: u64) -> Vec<Effect> {
        self.reads(connection, now_ms);
        let Some(peer) = self.peer_mut(connection).filter(|peer| peer.behind_ms > 0) else { return Vec::new() };
        peer.behind_ms = 0;
        self.renew(connection)
    }

    /// A socket wants to hear of other places: it is told who is there. One that is behind is told when it has caught up.
    pub(super) fn subscribe(&mut self, connection: Connection, hears: Option<Places>) -> Vec<Effect> {
        let Some(peer) = self.peer_mut(connection) else { return Vec::new() };
        peer.hears = hears;
        if peer.behind_ms > 0 { vec![Effect::Save { of: connection }] } else { self.renew(connection) }
    }

    pub(super) fn renew(&self, connection: Connection) -> Vec<Effect> {
        let Some(peer) = self.peer(connection) else { return Vec::new() };
        let frames = self.everybody(&peer.identity.client_id, peer.hears.as_ref()).into_iter();
        let sent = frames.map(|frame| Effect::Send { to: connection, text: frame.to_text() });
        std::iter::once(Effect::Save { of: connection }).chain(sent).collect()
    }

    /// Asks those whose time it is, and gives those up for now who did not answer. To be called when frames go out.
    pub(super) fn probe(&mut self, now_ms: u64) -> Vec<Effect> {
        let (mut effects, mut asked) = (Vec::new(), Vec::new());
        let (period_ms, shed_ms) = (self.settings.probe_ms, self.settings.shed_ms);
        for (connection, seat) in self.seats.iter_mut().filter(|(_, seat)| seat.reading.due_ms <= now_ms) {
            let peer =
                self.peers.get_mut(&seat.client_id).filter(|peer| !peer.beats && !peer.streams && peer.behind_ms == 0);
            let Some(peer) = peer else { continue };
            if seat.reading.is_asked {
                peer.behind_ms = now_ms;
                self.ends_ms = self.ends_ms.min(now_ms.saturating_add(shed_ms));
                effects.push(Effect::Save { of: *connection });
            } else {
                asked.push(*connection);
            }
            seat.reading = Reading { is_asked: true, due_ms: now_ms.saturating_add(period_ms) };
        }
        if !asked.is_empty() {
            effects.push(Effect::Broadcast { to: Audience::Only(asked), text: ServerFrame::Probe.to_text() });
        }
        effects
    }
}
