//! What everybody sees of a room is the room: clocks, ends, hibernation.

use std::collections::{BTreeMap, VecDeque};

use drey_core::id::{ApiKeyId, UserId, WorkspaceId};
use drey_core::presence::{Connection, Effect, Identity, Peer, Places, Room, Settings};
use drey_core::role::WorkspaceRole;
use drey_core::sync::ClientId;
use proptest::prelude::*;
use uuid::Uuid;

const SETTINGS: Settings = Settings {
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
enum Event {
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

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
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
type Known = BTreeMap<String, (u64, String)>;

/// The other end of a socket: what has been sent and not yet read, and what its reader knows.
#[derive(Default)]
struct Reader {
    client: String,
    inbox: VecDeque<String>,
    known: Known,
}

/// The world around a room: its sockets with their attachments and readers, and somebody who hears every broadcast.
#[derive(Default)]
struct World {
    attachments: BTreeMap<Connection, String>,
    sockets: Vec<Connection>,
    readers: BTreeMap<Connection, Reader>,
    heard: Known,
}

impl World {
    fn perform(&mut self, room: &Room, effects: Vec<Effect>) {
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
    fn read(&mut self, room: &mut Room, socket: Connection, now: u64) {
        while let Some(text) = self.readers.get_mut(&socket).and_then(|reader| reader.inbox.pop_front()) {
            if text == r#"{"kind":"probe"}"# {
                let effects = room.frame(socket, r#"{"kind":"ack"}"#, now);
                self.perform(room, effects);
            } else if let Some(reader) = self.readers.get_mut(&socket) {
                hear(&mut reader.known, &text);
            }
        }
    }

    fn socket(&self, index: prop::sample::Index) -> Option<Connection> {
        (!self.sockets.is_empty()).then(|| *index.get(&self.sockets))
    }
}

/// Applies a frame as a client does.
fn hear(known: &mut Known, text: &str) {
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

fn identity(client: u8, expires_at_ms: u64) -> Identity {
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

fn update(clock: u64, state: Option<u8>) -> String {
    update_at(clock, state, 0)
}

fn update_at(clock: u64, state: Option<u8>, at: u8) -> String {
    let state = state.map_or("null".to_owned(), |at| format!("{{\"at\":{at}}}"));
    format!("{{\"kind\":\"update\",\"clock\":{clock},\"state\":{state},\"at\":{}}}", places(at))
}

/// The places of the bits of a number.
fn places(bits: u8) -> String {
    let places: Vec<_> = (0..2).filter(|bit| bits & (1 << bit) != 0).map(|bit| format!("\"request/r{bit}\"")).collect();
    format!("[{}]", places.join(","))
}

fn play(room: &mut Room, world: &mut World, now: u64, event: Event) {
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
        Event::Drain => room.drain(now),
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

fn restored(world: &World, now: u64) -> Room {
    Room::restore(SETTINGS, world.attachments.values().filter_map(|text| Peer::from_attachment(text)), now)
}

/// As the shell does: what is due goes out.
fn flush(room: &mut Room, world: &mut World, now: u64) {
    if room.flush_ms().is_some_and(|at| at <= now) {
        let effects = room.flush(now);
        world.perform(room, effects);
    }
}

/// Waits until everything is told.
fn settle(room: &mut Room, world: &mut World, now: &mut u64) {
    while let Some(at) = room.flush_ms() {
        *now = at.max(*now);
        flush(room, world, *now);
    }
}

fn shown(room: &Room) -> Known {
    shown_at(room, None)
}

fn shown_at(room: &Room, at: Option<&Places>) -> Known {
    let views = room.snapshot(None, at, 100).data;
    views.into_iter().map(|view| (view.client_id.to_string(), (view.clock, view.state.get().to_owned()))).collect()
}

/// Everybody reads, until there is nothing more to read: what is told to whom was behind comes after his answer.
fn all_read(room: &mut Room, world: &mut World, now: &mut u64) {
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

proptest! {
    /// Fast or slow, of the whole room or of a place: whoever has read all knows the last state of each who is there, and
    /// of nobody who has left.
    #[test]
    fn who_has_read_everything_knows_the_part_of_the_room_he_hears_of(events in events()) {
        let (mut room, mut world, mut now) = (Room::restore(SETTINGS, [], 0), World::default(), 1_000_000);
        for (pause, event) in events {
            now += pause;
            play(&mut room, &mut world, now, event);
            flush(&mut room, &mut world, now);
        }
        settle(&mut room, &mut world, &mut now);
        all_read(&mut room, &mut world, &mut now);
        for (socket, reader) in &world.readers {
            let peer = room.peer(*socket).expect("an open socket has a peer");
            let mut there = shown_at(&room, peer.hears.as_ref());
            let mut known = reader.known.clone();
            // His own state he knows by himself.
            there.remove(&reader.client);
            known.remove(&reader.client);
            prop_assert_eq!(known, there, "{} hears {:?}", reader.client, peer.hears);
        }
    }

    #[test]
    fn who_hears_every_frame_knows_the_room(events in events()) {
        let (mut room, mut world, mut now) = (Room::restore(SETTINGS, [], 0), World::default(), 1_000_000);
        for (pause, event) in events {
            now += pause;
            play(&mut room, &mut world, now, event);
            flush(&mut room, &mut world, now);
            if room.flush_ms().is_none() {
                prop_assert_eq!(&shown(&room), &world.heard, "after {:?}", event);
            }
        }
        settle(&mut room, &mut world, &mut now);
        prop_assert_eq!(&shown(&room), &world.heard);
    }

    #[test]
    fn a_room_and_its_attachments_are_the_same(events in events()) {
        let (mut room, mut world, mut now) = (Room::restore(SETTINGS, [], 0), World::default(), 1_000_000);
        for (pause, event) in events {
            now += pause;
            play(&mut room, &mut world, now, event);
            flush(&mut room, &mut world, now);
            prop_assert_eq!(shown(&restored(&world, now)), shown(&room));
        }
    }

    #[test]
    fn the_newest_clock_wins_in_any_order(mut updates in prop::collection::vec((1_u64..50, any::<Option<u8>>()), 1..30)) {
        updates.sort_by_key(|(clock, _)| *clock);
        updates.dedup_by_key(|(clock, _)| *clock);
        let newest = updates.last().copied();
        let shuffled = updates.iter().rev().chain(updates.iter());
        let mut room = Room::restore(Settings::DEFAULT, [], 0);
        let (socket, _) = room.join(identity(0, u64::MAX), 1).expect("joined");
        for (clock, state) in shuffled {
            room.frame(socket, &update(*clock, *state), 1);
            let held = room.peer(socket).map(|peer| peer.clock);
            prop_assert_eq!(held, newest.map(|(clock, _)| clock));
        }
        // The same clock again, with another state: a client that repeats itself changes nothing.
        if let Some((clock, state)) = newest {
            room.frame(socket, &update(clock, state.map_or(Some(1), |at| Some(at ^ 1))), 1);
        }
        let state = newest.and_then(|(_, state)| state).map(|at| format!("{{\"at\":{at}}}"));
        prop_assert_eq!(room.peer(socket).and_then(|peer| peer.state.clone()), state);
    }

    /// A sender of any pace is closed or heard: once he rests, what he said last is what the others see.
    #[test]
    fn the_last_state_of_a_fast_sender_always_arrives(pauses in prop::collection::vec(0_u64..150, 1..80)) {
        let (mut room, mut world, mut now) = (Room::restore(SETTINGS, [], 0), World::default(), 1_000_000);
        let (socket, effects) = room.join(identity(0, u64::MAX), now).expect("joined");
        world.perform(&room, effects);
        let mut last = 0;
        for pause in pauses {
            now += pause;
            last += 1;
            let effects = room.frame(socket, &update(last, Some(1)), now);
            world.perform(&room, effects);
            flush(&mut room, &mut world, now);
        }
        settle(&mut room, &mut world, &mut now);
        let heard = world.heard.get("c0").map(|(clock, _)| *clock);
        prop_assert_eq!(heard, room.peer(socket).map(|_| last));
    }

    /// What a socket remembers has room for 16,384 bytes; a wider character would double the size of all of them.
    #[test]
    fn the_largest_peer_fits_an_attachment(
        name in prop_oneof!["\\PC{100}", "[\"\\\\]{100}", "🦊{100}"],
        filler in prop_oneof![Just("\\\\"), Just("\\\""), Just("ß"), Just("Ł"), Just("漢"), Just("🦊"), Just("x")],
        around in ".{0,8}",
    ) {
        let around: String = around.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
        let room_for = 4096 - "{\"a\":\"\"}".len() - around.len();
        let state = format!("{{\"a\":\"{around}{}\"}}", filler.repeat(room_for / filler.len()));
        let places = |count: u8| {
            let place = |at| format!("\"{}/{}{at}\"", "t".repeat(32), "i".repeat(63));
            (0..count).map(place).collect::<Vec<_>>().join(",")
        };
        let at = places(4);
        let frame = format!("{{\"kind\":\"update\",\"clock\":{},\"state\":{state},\"at\":[{at}]}}", u64::MAX);
        let mut room = Room::restore(SETTINGS, [], 0);
        let long = ClientId::parse(&"c".repeat(64)).expect("a client id");
        let api_key = Some(ApiKeyId::from_uuid(Uuid::max()));
        let identity =
            Identity { client_id: long, name: Some(name), authz_epoch: i64::MIN, api_key, ..identity(0, u64::MAX) };
        let (socket, _) = room.join(identity, u64::MAX - 1).expect("joined");
        room.frame(socket, &frame, u64::MAX - 1);
        room.frame(socket, &format!("{{\"kind\":\"subscribe\",\"to\":[{}]}}", places(8)), u64::MAX - 1);
        let peer = Peer { behind_ms: u64::MAX, ..room.peer(socket).expect("still here").clone() };
        prop_assert!(peer.state.is_some() && peer.hears.is_some() && !peer.at.is_empty());
        let text = peer.to_attachment();
        prop_assert!(text.is_ascii() && text.len() < 15_900, "{}", text.len());
        prop_assert_eq!(Peer::from_attachment(&text), Some(peer));
    }

    #[test]
    fn after_a_tick_nothing_that_is_over_is_left(events in events()) {
        let (mut room, mut world, mut now) = (Room::restore(SETTINGS, [], 0), World::default(), 1_000_000);
        for (pause, event) in events {
            now += pause;
            play(&mut room, &mut world, now, event);
            let next = room.next_tick_ms(now);
            prop_assert_eq!(next.is_none(), room.peers().next().is_none(), "only an empty room rests");
            prop_assert!(next.is_none_or(|next| next <= now + SETTINGS.alarm_ms));
            let mut later = room.clone();
            let at = next.unwrap_or(now);
            later.tick(at);
            for peer in later.peers() {
                prop_assert!(peer.seen_at_ms + SETTINGS.ttl_ms > at && peer.identity.expires_at_ms > at);
            }
        }
    }

    #[test]
    fn no_frame_breaks_the_room(text in ".{0,200}", json in "[\\[\\]{}\",:a-z0-9]{0,60}") {
        for text in [text, json] {
            let mut room = Room::restore(SETTINGS, [], 0);
            let (socket, _) = room.join(identity(0, u64::MAX), 1).expect("joined");
            room.frame(socket, &text, 1);
        }
    }
}
