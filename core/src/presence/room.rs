//! The room: events in, effects out.
//!
//! In scope: who is present, whose update counts, whom a silence or a narrowing ends. Out of scope: performing effects;
//! the shell does that, in order, and nothing waits between.

use std::collections::BTreeMap;

use super::{ClientFrame, Connection, FrameError, Identity, Limits, MAX_STATE, PAGE, PING, PONG, Peer, PeerView, ServerFrame, close};
use crate::id::UserId;
use crate::refusal::{Code, Refusal};
use crate::sync::ClientId;

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After so many milliseconds without a sign of life a socket is over.
    pub ttl_ms: u64,
    /// An occupied room looks around at least this often, in milliseconds.
    pub alarm_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ttl_ms: 90_000, alarm_ms: 60_000 }
    }
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this text to one socket.
    Send {
        /// To whom.
        to: Connection,
        /// The frame.
        text: String,
    },
    /// Send this text to every open socket but one.
    Broadcast {
        /// Who already knows.
        except: Connection,
        /// The frame, encoded once.
        text: String,
    },
    /// Attach the peer to its socket anew ([`Room::peer`], [`Peer::to_attachment`]).
    Save {
        /// Whose.
        of: Connection,
    },
    /// Close one socket.
    Close {
        /// Which.
        connection: Connection,
        /// See [`close`](super::close).
        code: u16,
        /// A few words.
        reason: &'static str,
    },
}

/// A page of who is present.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By client id.
    pub data: Vec<PeerView>,
    /// The last client id of the page, if more follow.
    pub next: Option<ClientId>,
}

/// A room of one workspace: its sockets, one per client.
#[derive(Clone, Debug, Default)]
pub struct Room {
    peers: BTreeMap<ClientId, Peer>,
    settings: Settings,
    last: Connection,
}

impl Room {
    /// The room as its sockets remember it. Of two sockets of one client the newer has the place.
    #[must_use]
    pub fn restore(settings: Settings, peers: impl IntoIterator<Item = Peer>) -> Self {
        let mut room = Self { settings, ..Self::default() };
        for peer in peers {
            room.last = room.last.max(peer.connection);
            let held = room.peers.get(&peer.identity.client_id);
            if held.is_none_or(|held| held.connection < peer.connection) {
                room.peers.insert(peer.identity.client_id.clone(), peer);
            }
        }
        room
    }

    /// A client connects. One of the same id and user takes the older socket's place, state and clock included.
    ///
    /// # Errors
    /// `client-mismatch` if the id is in use by another user; `token-expired` if the credential is already over.
    pub fn join(&mut self, identity: Identity, now_ms: u64) -> Result<(Connection, Vec<Effect>), Refusal> {
        if identity.expires_at_ms <= now_ms {
            return Err(Refusal::new(Code::TokenExpired, "The token has expired."));
        }
        let held = self.peers.get(&identity.client_id);
        if held.is_some_and(|held| held.identity.user_id != identity.user_id) {
            return Err(Refusal::new(Code::ClientMismatch, "The client id is in use by another user."));
        }
        let replaced = held.map(|held| held.connection);
        let (clock, state) = held.map(|held| (held.clock, held.state.clone())).unwrap_or_default();
        let connection = self.next_connection(now_ms);
        let hello = self.hello(&identity.client_id);
        let peer = Peer { connection, identity, clock, state, seen_at_ms: now_ms };
        self.peers.insert(peer.identity.client_id.clone(), peer);
        let mut effects = vec![Effect::Save { of: connection }, Effect::Send { to: connection, text: hello.to_text() }];
        if let Some(older) = replaced {
            effects.push(Effect::Close { connection: older, code: close::REPLACED, reason: "replaced by a newer connection" });
        }
        Ok((connection, effects))
    }

    /// A text frame came. A bad one closes its sender, and nobody else notices more than a leave.
    pub fn frame(&mut self, connection: Connection, text: &str, now_ms: u64) -> Vec<Effect> {
        if self.peer(connection).is_none() {
            return vec![Effect::Close { connection, code: close::RESTART, reason: "unknown connection" }];
        }
        self.seen(connection, now_ms);
        if text == PING {
            return vec![Effect::Send { to: connection, text: PONG.to_owned() }];
        }
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Update { clock, state }) => self.update(connection, clock, state),
            Err(error) => self.fault(connection, error),
        }
    }

    /// A binary frame came: there are none in this protocol.
    pub fn binary(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, Some((close::UNSUPPORTED, "binary frames are not supported")))
    }

    /// The socket is closed, or broken.
    pub fn closed(&mut self, connection: Connection) -> Vec<Effect> {
        self.end(connection, None)
    }

    /// A sign of life that woke nobody, such as an answered ping. An older one than the last known changes nothing.
    pub fn seen(&mut self, connection: Connection, at_ms: u64) {
        if let Some(peer) = self.peers.values_mut().find(|peer| peer.connection == connection) {
            peer.seen_at_ms = peer.seen_at_ms.max(at_ms);
        }
    }

    /// Access of a user was narrowed: his sockets close.
    pub fn narrow(&mut self, user_id: UserId) -> Vec<Effect> {
        self.end_where(|peer| peer.identity.user_id == user_id, |_| (close::FORBIDDEN, "access was narrowed"))
    }

    /// The workspace is gone: everyone's sockets close.
    pub fn clear(&mut self) -> Vec<Effect> {
        self.end_where(|_| true, |_| (close::GONE, "the workspace is gone"))
    }

    /// Time has passed: what is over ends. Note signs of life first.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Effect> {
        let settings = self.settings;
        self.end_where(
            |peer| peer.ends_at_ms(&settings) <= now_ms,
            |peer| {
                if peer.identity.expires_at_ms <= now_ms {
                    (close::EXPIRED, "the credential has expired")
                } else {
                    (close::SILENT, "no sign of life")
                }
            },
        )
    }

    /// When to call [`Room::tick`] next, in milliseconds since 1970; `None` for an empty room, which costs nothing.
    #[must_use]
    pub fn next_tick_ms(&self, now_ms: u64) -> Option<u64> {
        let earliest = self.peers.values().map(|peer| peer.ends_at_ms(&self.settings)).min()?;
        Some(earliest.min(now_ms.saturating_add(self.settings.alarm_ms)).max(now_ms))
    }

    /// The peer of a socket.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<&Peer> {
        self.peers.values().find(|peer| peer.connection == connection)
    }

    /// Every open socket's peer, present or not.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// A page of those present, by client id, after the one named. At least 1 and at most [`PAGE`].
    #[must_use]
    pub fn snapshot(&self, after: Option<&ClientId>, limit: usize) -> Snapshot {
        let limit = limit.clamp(1, PAGE);
        let later = self.peers.values().filter(|peer| after.is_none_or(|after| peer.identity.client_id > *after));
        let mut data: Vec<PeerView> = later.filter_map(Peer::view).take(limit + 1).collect();
        let more = data.len() > limit;
        data.truncate(limit);
        let next = data.last().filter(|_| more).map(|view| view.client_id.clone());
        Snapshot { data, next }
    }

    /// Never a number used before: the end of an old socket may be heard after a new one has come. Milliseconds since
    /// 1970, or one more than the last; so a room that forgot the last one still gives a later one.
    fn next_connection(&mut self, now_ms: u64) -> Connection {
        self.last = Connection(now_ms.max(self.last.0.saturating_add(1)));
        self.last
    }

    fn hello(&self, client_id: &ClientId) -> ServerFrame {
        let others = self.peers.values().filter(|peer| peer.identity.client_id != *client_id);
        let mut peers: Vec<PeerView> = others.filter_map(Peer::view).take(PAGE + 1).collect();
        let more = peers.len() > PAGE;
        peers.truncate(PAGE);
        ServerFrame::Hello { v: 1, client_id: client_id.clone(), peers, limits: Limits { state_bytes: MAX_STATE }, more }
    }

    fn update(&mut self, connection: Connection, clock: u64, state: Option<String>) -> Vec<Effect> {
        let Some(peer) = self.peers.values_mut().find(|peer| peer.connection == connection) else { return Vec::new() };
        if clock <= peer.clock {
            return Vec::new();
        }
        let was_present = peer.state.is_some();
        peer.clock = clock;
        peer.state = state;
        let frame = match peer.view() {
            Some(view) => Some(ServerFrame::Patch { peers: vec![view] }),
            None if was_present => Some(ServerFrame::Leave { client_id: peer.identity.client_id.clone(), clock }),
            None => None,
        };
        let mut effects = vec![Effect::Save { of: connection }];
        effects.extend(frame.map(|frame| Effect::Broadcast { except: connection, text: frame.to_text() }));
        effects
    }

    fn fault(&mut self, connection: Connection, error: FrameError) -> Vec<Effect> {
        let (code, reason) = match error {
            FrameError::TooBig => (error.close_code(), "frame too large"),
            FrameError::Invalid => (error.close_code(), "not a presence frame"),
        };
        self.end(connection, Some((code, reason)))
    }

    fn end(&mut self, connection: Connection, why: Option<(u16, &'static str)>) -> Vec<Effect> {
        let client_id = self.peer(connection).map(|peer| peer.identity.client_id.clone());
        let peer = client_id.and_then(|client_id| self.peers.remove(&client_id));
        let mut effects = Vec::new();
        if let Some((code, reason)) = why {
            effects.push(Effect::Send { to: connection, text: ServerFrame::Error { code, detail: reason }.to_text() });
            effects.push(Effect::Close { connection, code, reason });
        }
        effects.extend(peer.and_then(leave));
        effects
    }

    fn end_where(
        &mut self,
        over: impl Fn(&Peer) -> bool,
        why: impl Fn(&Peer) -> (u16, &'static str),
    ) -> Vec<Effect> {
        let ended: Vec<_> = self.peers.values().filter(|peer| over(peer)).map(|peer| (peer.connection, why(peer))).collect();
        ended.into_iter().flat_map(|(connection, why)| self.end(connection, Some(why))).collect()
    }
}

/// The others learn of the end of those who were present.
fn leave(peer: Peer) -> Option<Effect> {
    peer.state?;
    let frame = ServerFrame::Leave { client_id: peer.identity.client_id, clock: peer.clock };
    Some(Effect::Broadcast { except: peer.connection, text: frame.to_text() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::WorkspaceRole;

    fn identity(client: &str, user: u128) -> Identity {
        Identity {
            client_id: ClientId::parse(client).expect("client"),
            user_id: UserId::from_uuid(uuid::Uuid::from_u128(user)),
            name: None,
            role: WorkspaceRole::Viewer,
            expires_at_ms: 1_000_000,
        }
    }

    fn join(room: &mut Room, client: &str, user: u128, now_ms: u64) -> Connection {
        room.join(identity(client, user), now_ms).expect("joined").0
    }

    fn update(clock: u64, state: &str) -> String {
        format!(r#"{{"kind":"update","clock":{clock},"state":{state}}}"#)
    }

    fn closes(effects: &[Effect]) -> Vec<(Connection, u16)> {
        effects.iter().filter_map(|effect| if let Effect::Close { connection, code, .. } = effect { Some((*connection, *code)) } else { None }).collect()
    }

    fn kinds(effects: &[Effect]) -> Vec<&'static str> {
        let kind = |text: &str| ["hello", "patch", "leave", "error"].into_iter().find(|kind| text.contains(&format!(r#""kind":"{kind}""#))).unwrap_or("text");
        effects.iter().filter_map(|effect| match effect {
            Effect::Send { text, .. } | Effect::Broadcast { text, .. } => Some(kind(text)),
            Effect::Save { .. } | Effect::Close { .. } => None,
        }).collect()
    }

    #[test]
    fn the_others_learn_of_states_and_leaves() {
        let mut room = Room::default();
        let ada = join(&mut room, "ada", 1, 10);
        assert_eq!(kinds(&room.frame(ada, &update(1, r#"{"x":1}"#), 20)), ["patch"]);
        assert_eq!(kinds(&room.frame(ada, &update(1, r#"{"x":2}"#), 30)), [""; 0]);
        let (bob, effects) = room.join(identity("bob", 2), 40).expect("joined");
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Send { to, text } if *to == bob && text.contains(r#""x":1"#))));
        assert_eq!(kinds(&room.frame(ada, &update(2, "null"), 50)), ["leave"]);
        assert_eq!(room.snapshot(None, 100).data.len(), 0);
        assert_eq!(kinds(&room.closed(ada)), [""; 0]);
    }

    #[test]
    fn a_newer_socket_takes_the_place_and_the_state() {
        let mut room = Room::default();
        let old = join(&mut room, "ada", 1, 10);
        room.frame(old, &update(5, r#"{"x":1}"#), 20);
        let (new, effects) = room.join(identity("ada", 1), 10).expect("joined");
        assert_eq!(closes(&effects), [(old, close::REPLACED)]);
        assert_eq!(room.closed(old), []);
        assert_eq!(room.peer(new).map(|peer| peer.clock), Some(5));
        assert_eq!(room.join(identity("ada", 2), 30).expect_err("another user").code, Code::ClientMismatch);
    }

    #[test]
    fn a_late_end_of_an_old_socket_ends_no_new_one() {
        let mut room = Room::default();
        let old = join(&mut room, "ada", 1, 10);
        assert_eq!(closes(&room.binary(old)), [(old, close::UNSUPPORTED)]);
        let new = join(&mut room, "ada", 1, 10);
        assert_ne!(old, new);
        assert_eq!(room.closed(old), []);
        assert!(room.peer(new).is_some());
    }

    #[test]
    fn silence_and_the_end_of_the_credential_close() {
        let mut room = Room::default();
        let ada = join(&mut room, "ada", 1, 10);
        assert_eq!(room.next_tick_ms(10), Some(60_010));
        room.seen(ada, 950_000);
        assert_eq!(room.next_tick_ms(950_000), Some(1_000_000));
        assert_eq!(room.tick(999_999), []);
        assert_eq!(closes(&room.tick(1_000_000)), [(ada, close::EXPIRED)]);
        let bob = join(&mut room, "bob", 2, 10);
        assert_eq!(closes(&room.tick(90_010)), [(bob, close::SILENT)]);
        assert_eq!(room.next_tick_ms(90_010), None);
    }

    #[test]
    fn a_narrowing_closes_every_socket_of_its_user() {
        let mut room = Room::default();
        let (first, second) = (join(&mut room, "a1", 1, 10), join(&mut room, "a2", 1, 10));
        join(&mut room, "b", 2, 10);
        let effects = room.narrow(identity("x", 1).user_id);
        assert_eq!(closes(&effects), [(first, close::FORBIDDEN), (second, close::FORBIDDEN)]);
        assert_eq!(room.peers().count(), 1);
        assert_eq!(closes(&room.clear()).len(), 1);
    }

    #[test]
    fn a_bad_frame_closes_its_sender_alone() {
        let mut room = Room::default();
        join(&mut room, "good", 1, 10);
        for (text, code) in [("{", close::INVALID), ("x".repeat(5000).as_str(), close::TOO_BIG)] {
            let bad = join(&mut room, "bad", 2, 10);
            assert_eq!(closes(&room.frame(bad, text, 20)), [(bad, code)]);
        }
        assert_eq!(room.peers().count(), 1);
        assert_eq!(closes(&room.frame(Connection(99), "ping", 20)), [(Connection(99), close::RESTART)]);
    }

    #[test]
    fn a_snapshot_comes_in_pages() {
        let mut room = Room::default();
        for client in ["a", "b", "c"] {
            let connection = join(&mut room, client, 1, 10);
            room.frame(connection, &update(1, "{}"), 10);
        }
        let first = room.snapshot(None, 2);
        let second = room.snapshot(first.next.as_ref(), 2);
        let ids: Vec<String> = first.data.iter().chain(&second.data).map(|view| view.client_id.to_string()).collect();
        assert_eq!((ids, second.next), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], None));
    }
}
