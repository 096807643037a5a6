//! Who is present, as one is told when he joins and as whoever asks is told.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Limits, MAX_STATE, People, PersonView, Place};
use super::audience::pages;
use super::{ClientId, PAGE, Peer, PeerView, Places, Room, ServerFrame, Settings, Snapshot, UserId};
use crate::time::Timestamp;

/// Who is in already is told of about so many bytes of peers at once: that much is kept for each who does not read. The
/// snapshot has the rest.
const MOST_TOLD: usize = 512 * 1024;
/// What is told of a peer beside its state and its places, at least.
const LEAST_VIEW: usize = 150;

impl Room {
    /// A page of the clients present, by client id, after the one named; of those in some places, or of all. At least 1 and
    /// at most [`PAGE`].
    #[must_use]
    pub fn snapshot(&self, after: Option<&ClientId>, at: Option<&Places>, limit: usize) -> Snapshot {
        let limit = limit.clamp(1, PAGE);
        let later = self.peers.values().filter(|peer| after.is_none_or(|after| peer.identity.client_id > *after));
        let there = later.filter(|peer| peer.is_in(at));
        let mut data: Vec<PeerView> = there.filter_map(Peer::view).take(limit + 1).collect();
        let more = data.len() > limit;
        data.truncate(limit);
        let next = data.last().filter(|_| more).map(|view| view.client_id.clone());
        Snapshot { data, next }
    }

    /// The first page of who is here, for one who comes in; the snapshot has the rest.
    pub(super) fn hello(&self, client_id: &ClientId, hears: Option<&Places>) -> ServerFrame {
        let mut peers: Vec<PeerView> = self.others(client_id, hears).take(PAGE + 1).collect();
        let more = peers.len() > PAGE;
        peers.truncate(PAGE);
        self.hello_of(client_id, peers, more)
    }

    /// Everybody who is here, for one who is in already: a page a frame. Of very much the snapshot has the rest.
    pub(super) fn everybody(&self, client_id: &ClientId, hears: Option<&Places>) -> Vec<ServerFrame> {
        let (mut told, mut more) = (0_usize, false);
        let fits = |view: &PeerView| {
            more = told >= MOST_TOLD;
            told = told.saturating_add(view.state.get().len()).saturating_add(LEAST_VIEW);
            !more
        };
        let mut pages = pages(self.others(client_id, hears).take_while(fits).collect());
        let hello = self.hello_of(client_id, pages.next().unwrap_or_default(), more);
        std::iter::once(hello).chain(pages.map(|peers| ServerFrame::Patch { peers })).collect()
    }

    fn others(&self, client_id: &ClientId, hears: Option<&Places>) -> impl Iterator<Item = PeerView> {
        let others = self.peers.values().filter(|peer| peer.identity.client_id != *client_id);
        others.filter(move |peer| peer.is_in(hears)).filter_map(Peer::view)
    }

    fn hello_of(&self, client_id: &ClientId, peers: Vec<PeerView>, more: bool) -> ServerFrame {
        let Settings { frames_per_s, tick_ms, .. } = self.settings;
        let limits = Limits { state_bytes: MAX_STATE, frames_per_s, tick_ms };
        ServerFrame::Hello { v: 1, client_id: client_id.clone(), peers, limits, more }
    }

    /// A page of the people present, by user id, after the one named; of those in some places, or of all. Whoever is here by
    /// several clients is one person, and shows what the client shows that spoke last. At least 1 and at most [`PAGE`].
    #[must_use]
    pub fn people(&self, after: Option<UserId>, at: Option<&Places>, limit: usize) -> People {
        let limit = limit.clamp(1, PAGE);
        let mut people: BTreeMap<UserId, Vec<&Peer>> = BTreeMap::new();
        let later = self.peers.values().filter(|peer| after.is_none_or(|after| peer.identity.user_id > after));
        for peer in later.filter(|peer| peer.state.is_some() && peer.is_in(at)) {
            people.entry(peer.identity.user_id).or_default().push(peer);
        }
        let more = people.len() > limit;
        let data: Vec<PersonView> = people.values().take(limit).filter_map(|clients| person(clients)).collect();
        let next = data.last().filter(|_| more).map(|person| person.user_id);
        People { data, next }
    }
}

fn person(clients: &[&Peer]) -> Option<PersonView> {
    let last = clients.iter().max_by_key(|peer| peer.moved_ms)?;
    let PeerView { user_id, name, state, .. } = last.view()?;
    let at: BTreeSet<Place> = clients.iter().flat_map(|peer| peer.at.iter().cloned()).collect();
    let seen_at_ms = clients.iter().map(|peer| peer.seen_at_ms).max()?;
    let seen_at = Timestamp::from_millis(seen_at_ms);
    Some(PersonView { user_id, name, clients: clients.len(), at: at.into_iter().collect(), state, seen_at })
}
