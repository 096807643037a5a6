//! A room in several objects is one room, whatever gets lost between them.

use std::collections::BTreeSet;

use drey_core::presence::Connection;
use proptest::prelude::*;
use proptest::sample::Index;

use super::net::{Fate, Net};
use super::world::{identity, places, shown_at, update_at};

#[derive(Clone, Copy, Debug)]
enum Event {
    Join { client: u8 },
    Arrive { comes: bool },
    Update { socket: Index, clock: u64, state: Option<u8>, at: u8 },
    Subscribe { socket: Index, to: u8 },
    Close { socket: Index },
    Up { shard: u32, fate: Fate },
    Down { shard: u32, fate: Fate },
    Later,
    Tick,
    Narrow { user: u8 },
    ShardWakes { shard: u32 },
    RoomWakes { without: u32 },
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let socket = any::<Index>;
    let fate = || prop_oneof![6 => Just(Fate::Answered), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::Late), 1 => Just(Fate::Lost)];
    let event = prop_oneof![
        5 => (0_u8..8).prop_map(|client| Event::Join { client }),
        5 => prop::bool::weighted(0.8).prop_map(|comes| Event::Arrive { comes }),
        8 => (socket(), 0_u64..20, any::<Option<u8>>(), 0_u8..4)
            .prop_map(|(socket, clock, state, at)| Event::Update { socket, clock, state, at }),
        2 => (socket(), 0_u8..4).prop_map(|(socket, to)| Event::Subscribe { socket, to }),
        2 => socket().prop_map(|socket| Event::Close { socket }),
        8 => (1_u32..3, fate()).prop_map(|(shard, fate)| Event::Up { shard, fate }),
        8 => (1_u32..3, fate()).prop_map(|(shard, fate)| Event::Down { shard, fate }),
        2 => Just(Event::Later),
        2 => Just(Event::Tick),
        1 => (0_u8..4).prop_map(|user| Event::Narrow { user }),
        1 => (1_u32..3).prop_map(|shard| Event::ShardWakes { shard }),
        // Nine of ten times every shard answers.
        1 => prop_oneof![9 => Just(0_u32), 1 => 1_u32..3].prop_map(|without| Event::RoomWakes { without }),
    ];
    prop::collection::vec((0_u64..120, event), 1..120)
}

impl Net {
    fn play(&mut self, event: Event) {
        let all: Vec<Connection> = self.sockets.keys().copied().collect();
        let one = |index: Index| (!all.is_empty()).then(|| *index.get(&all));
        match event {
            Event::Join { client } => self.join(client),
            Event::Arrive { comes } => self.arrive(comes),
            Event::Update { socket, clock, state, at } => self.speak(one(socket), &update_at(clock, state, at)),
            Event::Subscribe { socket, to } => {
                let to = if to == 3 { "null".to_owned() } else { places(to) };
                self.speak(one(socket), &format!("{{\"kind\":\"subscribe\",\"to\":{to}}}"));
            }
            Event::Close { socket } => {
                if let Some(socket) = one(socket) {
                    self.close(socket);
                }
            }
            Event::Up { shard, fate } => self.up(shard, fate),
            Event::Down { shard, fate } => self.down(shard, fate),
            Event::Later => self.later(),
            Event::Tick => {
                let effects = self.room.tick(self.now);
                self.perform(effects);
            }
            Event::Narrow { user } => {
                let effects = self.room.narrow(identity(user * 2, 0).user_id, 0);
                self.perform(effects);
            }
            Event::ShardWakes { shard } => self.shard_wakes(shard),
            Event::RoomWakes { without } => self.room_wakes(without),
        }
    }

    fn speak(&mut self, from: Option<Connection>, text: &str) {
        let Some(from) = from else { return };
        let shard = self.sockets[&from].shard;
        self.say(from, shard, text);
    }
}

fn is_sound(net: &Net) -> Result<(), TestCaseError> {
    let listed: BTreeSet<Connection> = net.room.peers().map(|peer| peer.connection).collect();
    prop_assert_eq!(&listed, &net.sockets.keys().copied().collect::<BTreeSet<_>>(), "who is connected is in the room");
    for peer in net.room.peers().filter(|peer| peer.shard > 0) {
        let there = net.shards[&peer.shard].peer(peer.connection);
        let state = there.map(|there| (there.clock, &there.state, &there.at, &there.hears));
        prop_assert_eq!(state, Some((peer.clock, &peer.state, &peer.at, &peer.hears)));
    }
    Ok(())
}

proptest! {
    /// Whatever is lost, late or restarted: in the end the room is the union of what its objects hold, and everybody
    /// knows the last state of each whom he hears of, and of nobody who has left.
    #[test]
    fn a_room_in_several_objects_is_one_room(events in events()) {
        let mut net = Net::new();
        for (pause, event) in events {
            net.now += pause;
            net.play(event);
            net.flush();
        }
        net.arriving.clear();
        net.settle();
        is_sound(&net)?;
        for (connection, socket) in &net.sockets {
            let peer = net.room.peer(*connection).expect("in the room");
            let mut there = shown_at(&net.room, peer.hears.as_ref());
            let mut known = socket.known.clone();
            there.remove(&socket.client);
            known.remove(&socket.client);
            prop_assert_eq!(known, there, "{} in shard {} hears {:?}", &socket.client, socket.shard, &peer.hears);
        }
    }

    /// No object holds more sockets than it may, however many come at once, and while there is a seat nobody is refused.
    #[test]
    fn seats_fill_one_object_after_the_other(clients in prop::collection::vec(0_u8..20, 1..40)) {
        let mut net = Net::new();
        let mut seated = BTreeSet::new();
        for client in clients {
            net.join(client);
            net.arrive(true);
            for shard in 1..3 {
                net.now += 100;
                net.up(shard, Fate::Answered);
                // What somebody is told takes several messages, and a close comes after what was told before.
                (0..20).for_each(|_| net.down(shard, Fate::Answered));
            }
            if seated.len() < 6 {
                seated.insert(format!("c{client}"));
            }
            let there: BTreeSet<String> = net.sockets.values().map(|socket| socket.client.clone()).collect();
            prop_assert_eq!(&there, &seated);
            for shard in 0..3 {
                let count = net.sockets.values().filter(|socket| socket.shard == shard).count();
                prop_assert!(count <= 2, "{count} in {shard}");
                prop_assert!(shard == 0 || count == 0 || net.sockets.values().filter(|s| s.shard + 1 == shard).count() == 2);
            }
        }
    }
}
