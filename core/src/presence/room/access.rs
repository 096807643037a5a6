//! Who may be here: joins against what is known of access, and seats against what becomes known.
//!
//! In scope: full rooms, narrowings, asking after everybody. Out of scope: roles, which the gate knows.

use std::collections::BTreeSet;

use super::{Connection, Effect, Identity, Refusal, Room, UserId, WorkspaceId, close};
use crate::refusal::Code;

/// A full room empties as people leave: seconds after which to try again.
const RETRY_FULL_S: u32 = 5;

/// Narrowings matter to joins that are under way, a few seconds at most; more of them than this are forgotten together.
const MOST_NARROWED: usize = 1000;

/// The room has no seat.
pub(super) fn full() -> Refusal {
    Refusal::new(Code::Overloaded, "The room is full.").with_retry_after(RETRY_FULL_S)
}

impl Room {
    /// Access of a user was narrowed at this epoch (0: not known): his sockets close, and a join that was admitted
    /// before it is refused.
    pub fn narrow(&mut self, user_id: UserId, authz_epoch: i64) -> Vec<Effect> {
        if self.narrowed.len() >= MOST_NARROWED {
            self.narrowed.clear();
        }
        let known = self.narrowed.entry(user_id).or_default();
        *known = (*known).max(authz_epoch);
        self.end_where(|peer| peer.identity.user_id == user_id, |_| (close::FORBIDDEN, "access was narrowed"))
    }

    /// Whom to ask after: everybody here, once per user, at most once in a period, whoever was asked after last at the end. The
    /// answer is for the sockets that are here now.
    pub fn to_check(&mut self, now_ms: u64) -> (Vec<(WorkspaceId, UserId)>, Connection) {
        if !self.is_check_due(now_ms) {
            return (Vec::new(), self.last);
        }
        self.check_ms = now_ms.saturating_add(self.settings.alarm_ms);
        let identities = self.peers.values().map(|peer| &peer.identity);
        let users: BTreeSet<_> = identities.map(|identity| (identity.workspace, identity.user_id)).collect();
        let mut users: Vec<_> = users.into_iter().collect();
        let asked = users.partition_point(|(_, user)| Some(*user) <= self.checked);
        users.rotate_left(asked);
        (users, self.last)
    }

    /// Whether it is about time to look around: an object that is awake anyway, for a silence that is none, need not wake again
    /// a moment later.
    pub(super) fn is_check_due(&self, now_ms: u64) -> bool {
        self.check_ms <= now_ms.saturating_add(self.settings.alarm_ms / 10)
    }

    /// The last user who was asked after in a round that may have come to no end.
    pub fn checked(&mut self, last: UserId) {
        self.checked = Some(last);
    }

    /// A user has no role here any more, as of [`Room::to_check`]: the sockets he had then close.
    pub fn revoke(&mut self, user_id: UserId, up_to: Connection) -> Vec<Effect> {
        self.end_where(
            |peer| peer.identity.user_id == user_id && peer.connection <= up_to,
            |_| (close::FORBIDDEN, "access was narrowed"),
        )
    }

    /// Keys among those asked after whose workspace has narrowed access since they were admitted, at this epoch: nobody here
    /// knows whether a key is still good, so it is to be shown again. One that was revoked is refused then.
    pub fn recheck_keys(&mut self, user_id: UserId, authz_epoch: i64, up_to: Connection) -> Vec<Effect> {
        self.end_where(
            |peer| peer.is_of_key(user_id) && peer.connection <= up_to && peer.identity.authz_epoch < authz_epoch,
            |_| (close::RESTART, "access has changed: show the key again"),
        )
    }

    pub(super) fn admit(&self, identity: &Identity, now_ms: u64) -> Result<(), Refusal> {
        if identity.expires_at_ms <= now_ms {
            return Err(Refusal::new(Code::TokenExpired, "The token has expired."));
        }
        if self.is_outdated(identity) {
            let detail = "Access to the workspace has just changed. Retry after the time given.";
            return Err(Refusal::new(Code::GateUnavailable, detail).with_retry_after(1));
        }
        match self.peers.get(&identity.client_id) {
            Some(held) if held.identity.user_id != identity.user_id => {
                return Err(Refusal::new(Code::ClientMismatch, "The client id is in use by another user."));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let promised: Vec<&Identity> = self.expected(&identity.client_id, now_ms).collect();
        if self.peers.len().saturating_add(promised.len()) >= self.settings.capacity() {
            return Err(full());
        }
        let seated = self.peers.values().map(|peer| &peer.identity);
        let all = seated.chain(promised);
        let own = all.filter(|known| known.user_id == identity.user_id).count();
        if own < self.settings.max_per_user {
            return Ok(());
        }
        let detail = format!("You have {own} connections to this room already. Close one, or reuse its client id.");
        Err(Refusal::new(Code::QuotaExceeded, detail).with_retry_after(RETRY_FULL_S))
    }

    /// Whether access was narrowed after this admission.
    pub(super) fn is_outdated(&self, identity: &Identity) -> bool {
        self.narrowed.get(&identity.user_id).is_some_and(|epoch| *epoch > identity.authz_epoch)
    }

    /// The first to come starts the period.
    pub(super) fn plan_check(&mut self, identity: &Identity, now_ms: u64) {
        if self.peers.is_empty() {
            (self.ends_ms, self.check_ms) = (u64::MAX, now_ms.saturating_add(self.settings.alarm_ms));
        }
        if self.narrowed.get(&identity.user_id) == Some(&0) {
            // Whether this admission is from before that narrowing cannot be told: ask at once.
            self.check_ms = now_ms;
        }
    }
}
