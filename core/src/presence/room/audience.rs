//! Who hears what: the whole room, or those who listen to some places only.
//!
//! Each text is made once and goes to everybody who hears the same. To whom listens to a place, moving away is leaving.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Audience, Gone, PAGE, Place, ScopeNews};
use super::fanout::Change;
use super::{ClientId, Connection, Effect, PeerView, Places, Room, ServerFrame, UserId};
use crate::sync::ScopeType;

/// What has become of one client since it was last told.
#[derive(Debug)]
pub(super) struct News {
    pub(super) client_id: ClientId,
    pub(super) change: Change,
    /// None if it shows nothing any more.
    pub(super) view: Option<PeerView>,
}

impl News {
    /// The places where it was or is.
    fn places(&self) -> impl Iterator<Item = &Place> {
        self.change.was.iter().chain(self.view.iter().flat_map(|view| view.at.iter()))
    }

    /// As those see it who hear of these places: none for the whole room.
    fn seen(&self, hears: Option<&Places>) -> Option<&PeerView> {
        self.view.as_ref().filter(|view| hears.is_none_or(|hears| hears.meets(&view.at)))
    }
}

impl Room {
    /// The frames of what has changed, for everybody.
    pub(super) fn tell(&self, news: &[News]) -> Vec<Effect> {
        if news.is_empty() {
            return Vec::new();
        }
        let apart = self.peers.values().filter(|peer| peer.behind_ms > 0 || peer.hears.is_some());
        let whole = Audience::AllBut(apart.map(|peer| peer.connection).collect());
        let mut effects = frames(news.iter(), None, whole);
        let listening = self.listening();
        if listening.is_empty() {
            return effects;
        }
        let index = index(news);
        for (hears, to) in listening {
            let there = hears.iter().filter_map(|place| index.get(&Some(place))).chain(index.get(&None)).flatten();
            let there: BTreeSet<usize> = there.copied().collect();
            effects.extend(frames(there.iter().filter_map(|at| news.get(*at)), Some(hears), Audience::Only(to)));
        }
        effects
    }

    /// The frames of scopes that have moved. A user's own scope is told to him alone.
    pub(super) fn tell_notices(&mut self) -> Vec<Effect> {
        let notices = std::mem::take(&mut self.fanout.notices);
        let (mut own, mut shared) = (Vec::new(), Vec::new());
        for ((scope_type, id), (generation, epoch)) in notices {
            let is_own = scope_type == ScopeType::User.as_str();
            let news = ScopeNews { scope_type, id, generation, epoch };
            if is_own { own.push(news) } else { shared.push(news) }
        }
        let behind = self.peers.values().filter(|peer| peer.behind_ms > 0).map(|peer| peer.connection).collect();
        let whole = Audience::AllBut(behind);
        let mut effects: Vec<_> = pages(shared).map(|scopes| say(&whole, &ServerFrame::Notice { scopes })).collect();
        for scope in own {
            let Ok(user) = UserId::parse(&scope.id) else { continue };
            let his = self.peers.values().filter(|peer| peer.identity.user_id == user);
            let his: Vec<_> = his.filter(|p| p.behind_ms == 0 && !p.beats).map(|peer| peer.connection).collect();
            if !his.is_empty() {
                effects.push(say(&Audience::Only(his), &ServerFrame::Notice { scopes: vec![scope] }));
            }
        }
        effects
    }

    /// Those who hear of some places only, by what they hear of.
    fn listening(&self) -> BTreeMap<&Places, Vec<Connection>> {
        let mut listening: BTreeMap<&Places, Vec<Connection>> = BTreeMap::new();
        for peer in self.peers.values().filter(|peer| peer.behind_ms == 0) {
            if let Some(hears) = &peer.hears {
                listening.entry(hears).or_default().push(peer.connection);
            }
        }
        listening
    }
}

/// Which news touch a place; under none those that may touch any.
fn index(news: &[News]) -> BTreeMap<Option<&Place>, Vec<usize>> {
    let mut index: BTreeMap<Option<&Place>, Vec<usize>> = BTreeMap::new();
    for (at, one) in news.iter().enumerate() {
        if one.change.anywhere {
            index.entry(None).or_default().push(at);
        }
        for place in one.places() {
            index.entry(Some(place)).or_default().push(at);
        }
    }
    index
}

/// The frames of some news for those who hear of these places.
fn frames<'n>(news: impl Iterator<Item = &'n News>, hears: Option<&Places>, to: Audience) -> Vec<Effect> {
    let (mut shown, mut gone, mut by) = (Vec::new(), Vec::new(), BTreeSet::new());
    for one in news {
        by.insert(one.change.by);
        match one.seen(hears) {
            Some(view) => shown.push(view.clone()),
            None => gone.push(Gone { client_id: one.client_id.clone(), clock: one.change.clock }),
        }
    }
    // What one socket alone has caused it need not hear.
    let to = if by.len() == 1 { without(to, by.pop_first()) } else { to };
    if to == Audience::Only(Vec::new()) {
        return Vec::new();
    }
    let shown = pages(shown).map(|peers| say(&to, &ServerFrame::Patch { peers }));
    shown.chain(pages(gone).map(|peers| say(&to, &ServerFrame::Leave { peers }))).collect()
}

fn without(to: Audience, one: Option<Connection>) -> Audience {
    match to {
        Audience::AllBut(mut others) => {
            others.extend(one);
            Audience::AllBut(others)
        }
        Audience::Only(these) => Audience::Only(these.into_iter().filter(|this| Some(*this) != one).collect()),
    }
}

fn say(to: &Audience, frame: &ServerFrame) -> Effect {
    Effect::Broadcast { to: to.clone(), text: frame.to_text() }
}

/// At most [`PAGE`] of them a frame.
pub(super) fn pages<T>(all: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let page: Vec<T> = rest.by_ref().take(PAGE).collect();
        (!page.is_empty()).then_some(page)
    })
}
