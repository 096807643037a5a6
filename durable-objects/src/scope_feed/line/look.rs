//! The look that a feed takes now and then while somebody waits: where its scope stands, and who has lost access since.

use std::collections::BTreeSet;

use drey_core::id::UserId;
use drey_core::sync::Offset;
use drey_store::sync_read::{self, Newest};
use drey_store::{StoreError, Timings};

use super::{Line, Scope, now_ms, session};
use crate::workspace_gate::{GateClient, News, Subject};
use crate::workspace_presence::check;

/// How many readers a look asks as, one after the other, when those before have lost their access.
const MOST_TRIES: usize = 8;
/// A gate that takes longer is told again with the next look.
const TELL_MS: u32 = 1_000;

impl Line {
    /// One look; whether it has seen where the scope stands.
    pub(super) async fn look(&self) -> bool {
        for _ in 0..MOST_TRIES {
            let (place, user) = (self.feed.borrow().to_check(), self.feed.borrow().somebody());
            let (Some(place), Some(user)) = (place, user) else { return false };
            match self.newest(user).await {
                Ok(Some(newest)) => {
                    self.looked(place, newest).await;
                    return true;
                }
                Ok(None) => self.revoke(user),
                Err(error) => {
                    worker::console_warn!("feed: the scope could not be looked at: {error}");
                    return false;
                }
            }
        }
        false
    }

    async fn newest(&self, user: UserId) -> Result<Option<Newest>, StoreError> {
        let Some((neon, scope)) = self.place() else { return Ok(None) };
        let timings = Timings::default();
        let s = session(neon, scope.workspace, user, &timings);
        sync_read::newest(&s, scope.workspace, &scope.kind, &scope.id).await
    }

    async fn looked(&self, place: Offset, newest: Newest) {
        let Newest { generation, epoch, floor, authz_epoch } = newest;
        let effects = self.feed.borrow_mut().checked(place, generation, epoch, floor);
        self.perform(effects);
        let effects = self.feed.borrow_mut().narrowed(authz_epoch);
        self.perform(effects);
        let earlier = self.feed.borrow().admitted_before(authz_epoch);
        let Some((_, scope)) = self.place() else { return };
        if !earlier.is_empty() {
            if self.tell_gate(&scope, authz_epoch).await {
                self.ask_after(&scope, earlier, authz_epoch).await;
            }
            return;
        }
        if now_ms() >= self.looked_ms.get().saturating_add(self.settings.access_ms) {
            self.looked_ms.set(now_ms());
            let everybody = self.feed.borrow().admitted_before(i64::MAX);
            self.ask_after(&scope, everybody, authz_epoch).await;
        }
    }

    /// Access has been narrowed: a gate that has not heard of it, because its notice was lost, would vouch for those who
    /// have lost theirs. Whether it has heard now; if not, the next look tells it again before anybody is asked after.
    async fn tell_gate(&self, scope: &Scope, authz_epoch: i64) -> bool {
        let gates = GateClient { env: &self.env, timeout_ms: TELL_MS };
        let news = News { revision: 0, authz_epoch, roles_changed: true };
        let told = gates.tell(&Subject::Workspace(scope.workspace), news, None).await;
        told.inspect_err(|error| worker::console_warn!("feed: the gate was not told: {error}")).is_ok()
    }

    /// People whom the gate does not speak of are asked after again with the next look.
    async fn ask_after(&self, scope: &Scope, users: BTreeSet<UserId>, authz_epoch: i64) {
        let users = users.into_iter().map(|user| (scope.workspace, user)).collect();
        for (user, has_role) in check::roles(&self.env, users).await {
            match has_role {
                Some(true) => self.feed.borrow_mut().still(user, authz_epoch),
                Some(false) => self.revoke(user),
                None => {}
            }
        }
    }

    pub(super) fn revoke(&self, user: UserId) {
        let effects = self.feed.borrow_mut().revoke(user);
        self.perform(effects);
    }
}
