//! Whoever waits gets every message after the one he has, once and in order: whatever notices are lost, repeated or late.

use std::collections::BTreeMap;

use drey_core::id::{ApiKeyId, UserId};
use drey_core::sync::{Feed, FeedEffect, FeedLimits, Frame, LogRead, Offset, Reader, WaiterId, Waits, Wish};
use proptest::prelude::*;
use uuid::Uuid;

const LIMITS: FeedLimits = FeedLimits { waiters: 40, per_reader: 10, ring_bytes: 40, proof_ms: 1_000 };

#[derive(Clone, Debug)]
enum Event {
    /// Writes so many messages, and tells of it now, later, without messages, or never.
    Push {
        count: u8,
        notice: Notice,
    },
    /// A late notice of an earlier push.
    Late {
        which: prop::sample::Index,
    },
    Wait {
        user: u8,
        behind: u8,
        stays: bool,
        proved: bool,
    },
    Leave {
        which: prop::sample::Index,
    },
    /// A read begins; it sees the log as it is now.
    BeginRead,
    /// It ends, or fails.
    EndRead {
        fails: bool,
    },
    Check,
    Revoke {
        user: u8,
    },
    Rest,
}

#[derive(Clone, Copy, Debug)]
enum Notice {
    Whole,
    Bare,
    Lost,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let index = any::<prop::sample::Index>;
    let notice = prop_oneof![3 => Just(Notice::Whole), 2 => Just(Notice::Bare), 2 => Just(Notice::Lost)];
    let event = prop_oneof![
        6 => (1_u8..4, notice).prop_map(|(count, notice)| Event::Push { count, notice }),
        2 => index().prop_map(|which| Event::Late { which }),
        6 => (0_u8..4, 0_u8..6, any::<bool>(), any::<bool>())
            .prop_map(|(user, behind, stays, proved)| Event::Wait { user, behind, stays, proved }),
        1 => index().prop_map(|which| Event::Leave { which }),
        3 => Just(Event::BeginRead),
        4 => prop::bool::weighted(0.2).prop_map(|fails| Event::EndRead { fails }),
        2 => Just(Event::Check),
        1 => (0_u8..4).prop_map(|user| Event::Revoke { user }),
        1 => Just(Event::Rest),
    ];
    prop::collection::vec(event, 1..120)
}

/// The log, the feed, and what each reader has.
struct World {
    feed: Feed,
    epoch: i64,
    pushes: Vec<(i64, i64)>,
    has: BTreeMap<WaiterId, (i64, bool, UserId)>,
    reading: Option<(Offset, LogRead)>,
}

impl World {
    fn new() -> Self {
        Self { feed: Feed::new(LIMITS), epoch: 0, pushes: Vec::new(), has: BTreeMap::new(), reading: None }
    }

    fn messages(from: i64, to: i64) -> Vec<String> {
        (from..=to).map(|epoch| epoch.to_string()).collect()
    }

    fn received(after: i64, frame: &Frame) -> i64 {
        let expected = Self::messages(after + 1, frame.next.epoch());
        assert_eq!(frame.messages, format!("[{}]", expected.join(",")), "after {after}");
        frame.next.epoch()
    }

    fn perform(&mut self, effects: Vec<FeedEffect>) {
        for effect in effects {
            match effect {
                FeedEffect::Deliver(ids, frame) => {
                    for id in ids {
                        let (after, stays, user) = self.has.remove(&id).expect("only who waits is served");
                        let after = Self::received(after, &frame);
                        if stays {
                            self.has.insert(id, (after, stays, user));
                        }
                    }
                }
                FeedEffect::End(ids) => {
                    for id in ids {
                        assert!(self.has.remove(&id).is_some(), "only who waits is ended");
                    }
                }
            }
        }
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Push { count, notice } => self.push(i64::from(*count), *notice),
            Event::Late { which } => {
                if !self.pushes.is_empty() {
                    let (from, to) = *which.get(&self.pushes);
                    let effects = self.feed.hear(1, to, Self::messages(from, to));
                    self.perform(effects);
                }
            }
            Event::Wait { user, behind, stays, proved } => self.wait(*user, i64::from(*behind), *stays, *proved),
            Event::Leave { which } => {
                let ids: Vec<_> = self.has.keys().copied().collect();
                if !ids.is_empty() {
                    let id = *which.get(&ids);
                    self.feed.leave(id);
                    self.has.remove(&id);
                }
            }
            Event::BeginRead => self.begin_read(),
            Event::EndRead { fails } => self.end_read(*fails),
            Event::Check => {
                if let Some(place) = self.feed.to_check() {
                    let effects = self.feed.checked(place, 1, self.epoch, 0);
                    assert!(effects.is_empty(), "a scope that lives ends nobody");
                }
            }
            Event::Revoke { user } => {
                let effects = self.feed.revoke(user_id(*user));
                self.perform(effects);
                assert!(self.has.values().all(|(.., waiting)| *waiting != user_id(*user)));
            }
            Event::Rest => self.feed.rest(),
        }
        assert_eq!(self.feed.waiting(), self.has.len());
    }

    fn push(&mut self, count: i64, notice: Notice) {
        let from = self.epoch + 1;
        self.epoch += count;
        self.pushes.push((from, self.epoch));
        let messages = match notice {
            Notice::Whole => Self::messages(from, self.epoch),
            Notice::Bare => Vec::new(),
            Notice::Lost => return,
        };
        let effects = self.feed.hear(1, self.epoch, messages);
        self.perform(effects);
    }

    fn wait(&mut self, user: u8, behind: i64, stays: bool, proved: bool) {
        let after = (self.epoch - behind).max(0);
        let offset = Offset::new(1, after).expect("an offset");
        let reader = Reader { user: user_id(user), api_key: None };
        let (waits, effects) = self.feed.wait(&Wish { reader, offset, proved, stays, admitted: 0 }, 0);
        assert!(effects.is_empty());
        match waits {
            Waits::Waiting(id, missed) => {
                let after = missed.map_or(after, |frame| Self::received(after, &frame));
                assert!(self.has.insert(id, (after, stays, reader.user)).is_none(), "a number is used once");
            }
            Waits::Answer(frame) => drop(Self::received(after, &frame)),
            Waits::Ask | Waits::Full | Waits::TooMany => {}
        }
    }

    fn begin_read(&mut self) {
        if let Some(after) = self.feed.to_read() {
            assert!(self.reading.is_none(), "one read at a time");
            let messages = Self::messages(after.epoch() + 1, self.epoch);
            self.reading = Some((after, LogRead { generation: 1, epoch: self.epoch, floor: 0, messages }));
        }
    }

    fn end_read(&mut self, fails: bool) {
        if let Some((after, read)) = self.reading.take() {
            let effects = self.feed.read(after, (!fails).then_some(read));
            self.perform(effects);
        }
    }

    /// What the object does after a look: reads until nothing is missing.
    fn look(&mut self) -> u32 {
        self.end_read(false);
        self.step(&Event::Check);
        let mut reads = 0;
        loop {
            self.begin_read();
            if self.reading.is_none() {
                return reads;
            }
            reads += 1;
            self.end_read(false);
        }
    }
}

fn user_id(user: u8) -> UserId {
    UserId::from_uuid(Uuid::from_u128(u128::from(user)))
}

proptest! {
    #[test]
    fn nothing_is_missed_repeated_or_out_of_order_and_a_look_makes_good_what_was_lost(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.step(event);
        }
        let reads = world.look();
        prop_assert!(reads <= 1, "{} reads", reads);
        for (after, ..) in world.has.values() {
            prop_assert_eq!(*after, world.epoch);
        }
    }
}

fn waiting(feed: &mut Feed, reader: Reader, epoch: i64, admitted: i64) -> WaiterId {
    let offset = Offset::new(1, epoch).expect("an offset");
    let (waits, effects) = feed.wait(&Wish { reader, offset, proved: true, stays: true, admitted }, 0);
    assert!(effects.is_empty());
    let Waits::Waiting(id, None) = waits else { unreachable!("he waits: {waits:?}") };
    id
}

fn person(user: u8) -> Reader {
    Reader { user: user_id(user), api_key: None }
}

#[test]
fn a_notice_that_comes_before_its_reader_has_him_read() {
    let mut feed = Feed::new(LIMITS);
    assert_eq!(feed.hear(1, 5, Vec::new()), Vec::new());
    // He has read Postgres before the push that was told of.
    waiting(&mut feed, person(1), 4, 0);
    assert_eq!(feed.to_read(), Offset::new(1, 4));
    // One of another generation says nothing of this one.
    let mut feed = Feed::new(LIMITS);
    feed.hear(2, 5, Vec::new());
    waiting(&mut feed, person(1), 4, 0);
    assert_eq!(feed.to_read(), None);
}

#[test]
fn a_bare_notice_costs_one_read_however_many_wait() {
    let mut feed = Feed::new(LIMITS);
    let ids: Vec<_> = (0..10).map(|user| waiting(&mut feed, person(user), 3, 0)).collect();
    assert!(feed.hear(1, 4, Vec::new()).is_empty());
    let after = feed.to_read().expect("something is missing");
    assert_eq!((after.epoch(), feed.to_read()), (3, None));
    let read = LogRead { generation: 1, epoch: 4, floor: 0, messages: vec!["4".to_owned()] };
    let effects = feed.read(after, Some(read));
    let next = Offset::new(1, 4).expect("an offset");
    assert_eq!(effects, [FeedEffect::Deliver(ids, Frame { next, messages: "[4]".to_owned() })]);
    assert_eq!(feed.to_read(), None);
}

#[test]
fn a_scope_that_began_anew_or_went_ends_its_readers() {
    for (generation, epoch, floor) in [(2, 3, 0), (1, 2, 0), (1, 9, 4)] {
        let mut feed = Feed::new(LIMITS);
        let id = waiting(&mut feed, person(1), 3, 0);
        let place = feed.to_check().expect("somebody waits");
        assert_eq!(feed.checked(place, generation, epoch, floor), [FeedEffect::End(vec![id])]);
    }
}

#[test]
fn who_has_not_proved_himself_or_asks_for_an_unknown_place_is_sent_to_postgres() {
    let mut feed = Feed::new(LIMITS);
    let reader = Reader { user: user_id(1), api_key: None };
    let wish = |epoch, proved| Wish {
        reader,
        offset: Offset::new(1, epoch).expect("an offset"),
        proved,
        stays: true,
        admitted: 0,
    };
    assert_eq!(feed.wait(&wish(3, false), 0).0, Waits::Ask);
    assert!(matches!(feed.wait(&wish(3, true), 0).0, Waits::Waiting(..)));
    assert!(matches!(feed.wait(&wish(3, false), 999).0, Waits::Waiting(..)));
    assert_eq!(feed.wait(&wish(4, false), 999).0, Waits::Ask, "beyond the tail");
    assert_eq!(feed.wait(&wish(2, false), 999).0, Waits::Ask, "before what is kept");
    assert_eq!(feed.wait(&wish(3, false), 1_000).0, Waits::Ask, "the proof is old");
}

#[test]
fn too_many_are_refused() {
    let mut feed = Feed::new(LIMITS);
    let wish = |user: u8| {
        let reader = Reader { user: user_id(user), api_key: None };
        Wish { reader, offset: Offset::new(1, 0).expect("an offset"), proved: true, stays: true, admitted: 0 }
    };
    for _ in 0..10 {
        assert!(matches!(feed.wait(&wish(1), 0).0, Waits::Waiting(..)));
    }
    assert_eq!(feed.wait(&wish(1), 0).0, Waits::TooMany);
    for user in 2..5 {
        for _ in 0..10 {
            assert!(matches!(feed.wait(&wish(user), 0).0, Waits::Waiting(..)));
        }
    }
    assert_eq!(feed.wait(&wish(9), 0).0, Waits::Full);
}

#[test]
fn narrowed_access_ends_earlier_keys_and_has_earlier_people_asked_after() {
    let mut feed = Feed::new(LIMITS);
    let key = |user, key| Reader { api_key: Some(ApiKeyId::from_uuid(Uuid::from_u128(key))), ..person(user) };
    let earlier_key = waiting(&mut feed, key(1, 7), 0, 4);
    waiting(&mut feed, key(1, 8), 0, 5);
    let earlier = waiting(&mut feed, person(2), 0, 4);
    waiting(&mut feed, person(3), 0, 5);
    assert_eq!(feed.narrowed(5), [FeedEffect::End(vec![earlier_key])]);
    assert_eq!(feed.admitted_before(5), [user_id(2)].into());
    feed.still(user_id(2), 5);
    assert!(feed.admitted_before(5).is_empty());
    assert_eq!(feed.revoke(user_id(2)), [FeedEffect::End(vec![earlier])]);
    assert_eq!(feed.admitted_before(i64::MAX), [user_id(1), user_id(3)].into());
}
