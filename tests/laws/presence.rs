//! What everybody sees of a room is the room: clocks, ends, hibernation.

mod net;
mod shards;
mod world;

use drey_core::id::ApiKeyId;
use drey_core::presence::{Identity, Peer, Room, Settings};
use drey_core::sync::ClientId;
use proptest::prelude::*;
use uuid::Uuid;
use world::{SETTINGS, World, all_read, events, flush, identity, play, restored, settle, shown, shown_at, update};

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
