//! The world around a room: sockets with their attachments, readers, and what happens to them.

use std::collections::{BTreeMap, VecDeque};

use drey_core::id::{UserId, WorkspaceId};
use drey_core::presence::{Connection, Effect, Identity, Peer, Places, Room, Settings};
use drey_core::role::WorkspaceRole;
use drey_core::sync::ClientId;
use proptest::prelude::*;
use uuid::Uuid;

pub(super) const SETTINGS: Settings = Settings {
    beat_ms: 500,
    ttl_ms: 900,
    alarm_ms: 600,
    probe_ms: 300,
    shed_ms: 700,
    frames_per_s: 10,
    frames_burst: 10,
    ..Settings::DEFAULT
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Join { client: u8, expires_in: u64 },
    Update { socket: prop::sample::Index, clock: u64, state: Option<u8>, at: u8 },
    Subscribe { socket: prop::sample::Index, to: u8 },
    Read { socket: prop::sample::Index },
    Drain,
    Garbage { socket: prop::sample::Index },
    Close { socket: prop::sample::Index },
    Seen { socket: prop::sample::Index },
    Narrow { user: u8 },
    Tick,
    Hibernate,
}

pub(super) fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let socket = any::<prop::sample::Index>;
    let event = prop_oneof![
        4 => (0_u8..6, 1_u64..3000).prop_map(|(client, expires_in)| Event::Join { client, expires_in }),
        8 => (socket(), 0_u64..20, any::<Option<u8>>(), 0_u8..4).prop_map(|(socket, clock, state, at)| Event::Update { socket, clock, state, at }),
        2 => (socket(), 0_u8..4).prop_map(|(socket, to)| Event::Subscribe { socket, to }),
        4 => socket().prop_map(|socket| Event::Read { socket }),
        1 => Just(Event::Drain),
        1 => socket().prop_map(|socket| Event::Garbage { socket }),
        2 => socket().prop_map(|socket| Event::Close { socket }),
        2 => socket().prop_map(|socket| Event::Seen { socket }),
        1 => (0_u8..3).prop_map(|user| Event::Narrow { user }),
        2 => Just(Event::Tick),
        2 => Just(Event::Hibernate),
    ];
    prop::collection::vec((0_u64..400, event), 1..80)
}

/// What one knows of a room: clients with the clock and the state they show.
pub(super) type Known = BTreeMap<String, (u64, String)>;

/// The other end of a socket: what has been sent and not yet read, and what its reader knows.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) client: String,
    pub(super) inbox: VecDeque<String>,
    pub(super) known: Known,
}

/// The world around a room: its sockets with their attachments and readers, and somebody who hears every broadcast.
#[derive(Default)]
pub(super) struct World {
    pub(super) attachments: BTreeMap<Connection, String>,
    pub(super) sockets: Vec<Connection>,
    pub(super) readers: BTreeMap<Connection, Reader>,
    pub(super) heard: Known,
}

impl World {
    pub(super) fn perform(&mut self, room: &Room, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Save { of } => {
                    self.attachments.insert(of, room.peer(of).map(Peer::to_attachment).unwrap_or_default());
                }
                Effect::Close { connection, .. } | Effect::Forget { connection } => {
                    self.attachments.remove(&connection);
                    self.readers.remove(&connection);
                }
                Effect::Broadcast { to, text } => {
                    let readers = self.readers.iter_mut().filter(|(connection, _)| to.has(**connection));
                    readers.for_each(|(_, reader)| reader.inbox.push_back(text.clone()));
                    // Who listens to some places only is told other things than the room.
                    if to.has(Connection(u64::MAX)) {
                        hear(&mut self.heard, &text);
                    }
                }
                Effect::Send { to, text } => {
                    if let Some(reader) = self.readers.get_mut(&to) {
                        reader.inbox.push_back(text);
                    }
                }
            }
        }
    }

    /// A reader reads all that was sent, and answers.
    pub(super) fn read(&mut self, room: &mut Room, socket: Connection, now: u64) {
        while let Some(text) = self.readers.get_mut(&socket).and_then(|reader| reader.inbox.pop_front()) {
            if let Some(ack) = answer(&text) {
                let effects = room.frame(socket, &ack, now);
                self.perform(room, effects);
            } else if let Some(reader) = self.readers.get_mut(&socket) {
                hear(&mut reader.known, &text);
            }
        }
    }

    pub(super) fn socket(&self, index: prop::sample::Index) -> Option<Connection> {
        (!self.sockets.is_empty()).then(|| *index.get(&self.sockets))
    }
}

/// What a client says to a question.
pub(super) fn answer(text: &str) -> Option<String> {
    text.starts_with(r#"{"kind":"probe""#).then(|| text.replace("probe", "ack"))
}

/// Applies a frame as a client does.
pub(super) fn hear(known: &mut Known, text: &str) {
    let frame: serde_json::Value = serde_json::from_str(text).expect("a frame is JSON");
    if frame["kind"] == "hello" {
        known.clear();
    }
    for peer in frame["peers"].as_array().into_iter().flatten() {
        let client = peer["client_id"].as_str().unwrap_or_default().to_owned();
        if frame["kind"] == "leave" {
            known.remove(&client);
            continue;
        }
        let clock = peer["clock"].as_u64().unwrap_or_default();
        known.insert(client, (clock, peer["state"].to_string()));
    }
}

pub(super) fn identity(client: u8, expires_at_ms: u64) -> Identity {
    Identity {
        workspace: WorkspaceId::from_uuid(Uuid::max()),
        client_id: ClientId::parse(&format!("c{client}")).expect("a client id"),
        // Two clients a user.
        user_id: UserId::from_uuid(Uuid::from_u128(u128::from(client / 2))),
        name: None,
        role: WorkspaceRole::Viewer,
        expires_at_ms,
        authz_epoch: 0,
        api_key: None,
    }
}

pub(super) fn update(clock: u64, state: Option<u8>) -> String {
    update_at(clock, state, 0)
}

pub(super) fn update_at(clock: u64, state: Option<u8>, at: u8) -> String {
    let state = state.map_or("null".to_owned(), |at| format!("{{\"at\":{at}}}"));
    format!("{{\"kind\":\"update\",\"clock\":{clock},\"state\":{state},\"at\":{}}}", places(at))
}

/// The places of the bits of a number.
pub(super) fn places(bits: u8) -> String {
    let places: Vec<_> = (0..2).filter(|bit| bits & (1 << bit) != 0).map(|bit| format!("\"request/r{bit}\"")).collect();
    format!("[{}]", places.join(","))
}

pub(super) fn play(room: &mut Room, world: &mut World, now: u64, event: Event) {
    let effects = match event {
        Event::Join { client, expires_in } => match room.join(identity(client, now + expires_in), now) {
            Ok((connection, effects)) => {
                world.sockets.push(connection);
                world.readers.insert(connection, Reader { client: format!("c{client}"), ..Reader::default() });
                effects
            }
            Err(_) => Vec::new(),
        },
        Event::Update { socket, clock, state, at } => {
            world.socket(socket).map_or_else(Vec::new, |socket| room.frame(socket, &update_at(clock, state, at), now))
        }
        Event::Subscribe { socket, to } => {
            // Three for everything.
            let to = if to == 3 { "null".to_owned() } else { places(to) };
            let frame = format!("{{\"kind\":\"subscribe\",\"to\":{to}}}");
            world.socket(socket).map_or_else(Vec::new, |socket| room.frame(socket, &frame, now))
        }
        Event::Read { socket } => {
            let Some(socket) = world.socket(socket) else { return };
            return world.read(room, socket, now);
        }
        Event::Drain => room.drain(0, now),
        Event::Garbage { socket } => world.socket(socket).map_or_else(Vec::new, |socket| room.frame(socket, "{", now)),
        Event::Close { socket } => {
            let Some(socket) = world.socket(socket) else { return };
            world.attachments.remove(&socket);
            world.readers.remove(&socket);
            room.closed(socket)
        }
        Event::Seen { socket } => {
            if let Some(socket) = world.socket(socket) {
                room.seen(socket, now);
            }
            Vec::new()
        }
        Event::Narrow { user } => room.narrow(identity(user * 2, 0).user_id, 0),
        Event::Tick => room.tick(now),
        Event::Hibernate => {
            // A room with something to tell stays awake.
            if room.flush_ms().is_none() {
                *room = restored(world, now);
            }
            Vec::new()
        }
    };
    world.perform(room, effects);
}

pub(super) fn restored(world: &World, now: u64) -> Room {
    Room::restore(SETTINGS, world.attachments.values().filter_map(|text| Peer::from_attachment(text)), now)
}

/// As the shell does: what is due goes out.
pub(super) fn flush(room: &mut Room, world: &mut World, now: u64) {
    if room.flush_ms().is_some_and(|at| at <= now) {
        let effects = room.flush(now);
        world.perform(room, effects);
    }
}

/// Waits until everything is told.
pub(super) fn settle(room: &mut Room, world: &mut World, now: &mut u64) {
    while let Some(at) = room.flush_ms() {
        *now = at.max(*now);
        flush(room, world, *now);
    }
}

pub(super) fn shown(room: &Room) -> Known {
    shown_at(room, None)
}

pub(super) fn shown_at(room: &Room, at: Option<&Places>) -> Known {
    let views = room.snapshot(None, at, 100).data;
    views.into_iter().map(|view| (view.client_id.to_string(), (view.clock, view.state.get().to_owned()))).collect()
}

/// Everybody reads, until there is nothing more to read: what is told to whom was behind comes after his answer.
pub(super) fn all_read(room: &mut Room, world: &mut World, now: &mut u64) {
    for _ in 0..2 {
        for socket in world.readers.keys().copied().collect::<Vec<_>>() {
            world.read(room, socket, *now);
        }
        settle(room, world, now);
    }
    for socket in world.readers.keys().copied().collect::<Vec<_>>() {
        world.read(room, socket, *now);
    }
}
