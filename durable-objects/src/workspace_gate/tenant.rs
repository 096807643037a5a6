//! What a gate knows of its tenant: revision, epoch, plan, and the roles of those who called lately.
//!
//! Freshness: within `GATE_REFRESH_MS` of the last load nothing is asked. After it the next caller asks Postgres, and
//! while Postgres does not answer what is known holds until `GATE_STALE_MS`, and says so; then the gate answers that it
//! cannot vouch.
//! Roles are loaded per caller, side by side, and dropped when the epoch moves: a role never changes without it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;

use drey_core::id::{OrgId, UserId};
use drey_core::lease::Admission;
use drey_core::role::{Plan, Region};
use drey_core::trace::Traceparent;
use drey_store::gate::GateState;
use drey_store::{Caller, Deadline, Neon, Session, StoreError, Timings, gate};
use worker::Env;

use super::settings::Settings;
use super::{Admit, News, Subject};
use crate::environment;

/// 10,000 roles are about 1 MB; more callers than that in one window start the memory anew.
const MOST_ROLES: usize = 10_000;
/// A load that takes longer is given up; the caller's own deadline is ten seconds by default.
const LOAD_MS: u64 = 1_800;
/// A refresh takes this long at the most before others ask as well; it is part of the five seconds that a lost notice costs.
const REFRESH_MS: u64 = 200;
/// After a load that Postgres did not answer it is tried again once a second, beside the callers.
const RETRY_MS: u64 = 1_000;
/// How often a load that news has overtaken is asked again.
const MOST_LOADS: u32 = 3;
/// For this long a caller who has named a revision that nobody has seen gains nothing by naming one again.
const LATELY_MS: u64 = 250;

/// What a caller's admission rests on.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) role: Option<String>,
    pub(super) org: Option<OrgId>,
    pub(super) plan: Plan,
    pub(super) region: Region,
    pub(super) revision: i64,
    pub(super) authz_epoch: i64,
    /// Whether Postgres has just said so.
    pub(super) is_fresh: bool,
    /// How far this is past its refresh, while Postgres does not answer.
    pub(super) stale_ms: Option<u64>,
    /// For how long it holds if Postgres stays silent.
    pub(super) holds_ms: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            role: None,
            org: None,
            plan: Plan::Free,
            region: Region::WesternEurope,
            revision: 0,
            authz_epoch: 0,
            is_fresh: false,
            stale_ms: None,
            holds_ms: u64::MAX,
        }
    }
}

#[derive(Debug, Default)]
struct Memory {
    tenant: Option<Known>,
    roles: BTreeMap<UserId, Option<String>>,
    loaded_ms: u64,
    /// Set by a write whose outcome nobody knows: what is known counts only while Postgres does not answer.
    doubted: bool,
    heard: Heard,
}

/// What news has said, kept apart from the tenant: it counts also for a load that is still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heard {
    /// How often roles changed.
    roles: u64,
    revision: i64,
}

/// One tenant, as far as known.
#[derive(Debug)]
pub(super) struct Tenant {
    neon: Option<Neon>,
    pub(super) settings: Settings,
    memory: RefCell<Memory>,
    refreshing_ms: Cell<u64>,
    /// When Postgres did not answer the last load; 0 since it has.
    silent_ms: Cell<u64>,
    /// Who has named a revision that Postgres does not know, and when; the last one is enough to slow a flood.
    refuted: Cell<Option<(UserId, u64)>>,
}

impl Tenant {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            neon: environment::neon(env).ok().map(Neon::new),
            settings: Settings::new(env),
            memory: RefCell::default(),
            refreshing_ms: Cell::default(),
            silent_ms: Cell::default(),
            refuted: Cell::default(),
        }
    }

    /// Calls to Neon since this object began.
    pub(super) fn round_trips(&self) -> u64 {
        self.neon.as_ref().map_or(0, |neon| neon.traffic.round_trips())
    }

    /// What is known of a caller; `None` at gates without a tenant. `Err` is the answer to give instead.
    pub(super) async fn know(
        &self,
        subject: Subject,
        admit: &Admit,
        now_ms: impl Fn() -> u64,
    ) -> Result<Option<Known>, Admission> {
        let Some(user) = admit.principal else { return Ok(None) };
        if matches!(subject, Subject::User(_) | Subject::Anonymous(_)) {
            return Ok(None);
        }
        let least = admit.least_revision.unwrap_or_default();
        if let Some(known) = self.recall(user, least, now_ms(), self.settings.ttl().gate_refresh_ms) {
            return member(known).map(Some);
        }
        // While somebody asks, those whose role is known need not ask as well; strangers to the gate ask side by side.
        let asking = now_ms().saturating_sub(self.refreshing_ms.get()) < REFRESH_MS;
        if let Some(known) =
            self.recall(user, least, now_ms(), self.settings.ttl().gate_refresh_ms + REFRESH_MS).filter(|_| asking)
        {
            return member(known).map(Some);
        }
        if let Some(known) = self.while_silent(user, now_ms()).filter(|known| known.revision >= least) {
            return member(known).map(Some);
        }
        self.refreshing_ms.set(now_ms());
        let known = self.load(subject, user, &now_ms).await?;
        if known.revision >= least {
            return member(known).map(Some);
        }
        if !known.is_fresh {
            return Err(Admission::Unavailable);
        }
        // To whom has no role here there is no tenant, and no revision of it that could be unknown.
        member(known)?;
        self.refuted.set(Some((user, now_ms())));
        Err(Admission::RevisionUnknown)
    }

    /// Whether Postgres has just been asked for a revision that this caller named, and knew of none. A load alone is no
    /// proof: the next moment another Worker writes, and its news comes later than its writer.
    pub(super) fn refuted_lately(&self, user: UserId, now_ms: u64) -> Option<Known> {
        let (refuted, at_ms) = self.refuted.get()?;
        let lately = refuted == user && now_ms.saturating_sub(at_ms) < LATELY_MS;
        self.recall(user, 0, now_ms, LATELY_MS).filter(|_| lately)
    }

    /// The memory of a caller, if it is young enough, undoubted, and reaches the revision he has seen.
    fn recall(&self, user: UserId, least: i64, now_ms: u64, most_age_ms: u64) -> Option<Known> {
        let doubted = self.memory.borrow().doubted;
        self.remembered(user, now_ms, most_age_ms).filter(|known| !doubted && known.revision >= least)
    }

    /// What holds while Postgres is known not to answer. Nobody waits for it: see [`Tenant::is_to_try`].
    fn while_silent(&self, user: UserId, now_ms: u64) -> Option<Known> {
        if self.silent_ms.get() > 0 { self.vouch(user, now_ms) } else { None }
    }

    /// Whether a silent Postgres is to be tried again, now and by the caller, beside his answer.
    pub(super) fn is_to_try(&self, now_ms: u64) -> bool {
        let (silent_ms, refreshing_ms) = (self.silent_ms.get(), self.refreshing_ms.get());
        let tried = now_ms.saturating_sub(silent_ms) < RETRY_MS.min(self.settings.ttl().gate_refresh_ms);
        let trying = refreshing_ms > silent_ms && now_ms.saturating_sub(refreshing_ms) < LOAD_MS;
        let is_to_try = silent_ms > 0 && !tried && !trying;
        if is_to_try {
            self.refreshing_ms.set(now_ms);
        }
        is_to_try
    }

    /// Tries Postgres again. What it says is learned; whoever asks next is told.
    pub(super) async fn try_again(&self, subject: Subject, user: UserId, now_ms: impl Fn() -> u64) {
        // A failure is noted by the load itself, and there is nobody to tell.
        self.load(subject, user, &now_ms).await.ok();
    }

    /// What is known, for a minute and not a second longer; that Postgres no longer says so goes along.
    fn vouch(&self, user: UserId, now_ms: u64) -> Option<Known> {
        let known = self.remembered(user, now_ms, self.settings.ttl().gate_stale_ms)?;
        let age_ms = now_ms.saturating_sub(self.memory.borrow().loaded_ms);
        let stale_ms = Some(age_ms.saturating_sub(self.settings.ttl().gate_refresh_ms).max(1));
        Some(Known { stale_ms, holds_ms: self.settings.ttl().gate_stale_ms.saturating_sub(age_ms), ..known })
    }

    fn remembered(&self, user: UserId, now_ms: u64, most_age_ms: u64) -> Option<Known> {
        let memory = self.memory.borrow();
        let tenant = memory.tenant.as_ref()?;
        let role = memory.roles.get(&user)?;
        let young = now_ms.saturating_sub(memory.loaded_ms) < most_age_ms;
        young.then(|| Known { role: role.clone(), ..tenant.clone() })
    }

    /// Asks Postgres. A load that news has overtaken may be from before a removal: it is asked again, and never used.
    async fn load(&self, subject: Subject, user: UserId, now_ms: &impl Fn() -> u64) -> Result<Known, Admission> {
        for _ in 0..MOST_LOADS {
            let (heard, began_ms) = (self.memory.borrow().heard, now_ms());
            match self.ask(subject, user, began_ms).await {
                Ok(Some(known)) => {
                    self.silent_ms.set(0);
                    if let Some(known) = self.learn(user, known, heard, began_ms) {
                        return Ok(known);
                    }
                }
                Ok(None) => {
                    let heard = self.memory.borrow().heard;
                    self.memory.replace(Memory { heard, ..Memory::default() });
                    return Err(Admission::NotFound);
                }
                Err(_) => {
                    self.silent_ms.set(now_ms());
                    return self.vouch(user, now_ms()).ok_or(Admission::Unavailable);
                }
            }
        }
        Err(Admission::Unavailable)
    }

    /// Refreshes have traces of their own: they are the gate's work, not the request's.
    async fn ask(&self, subject: Subject, user: UserId, now_ms: u64) -> Result<Option<Known>, StoreError> {
        let fault = || StoreError::Fault { detail: "NEON_CONNECTION_STRING is missing or malformed".to_owned() };
        let neon = self.neon.as_ref().ok_or_else(fault)?;
        let mut random = [0; 24];
        getrandom::fill(&mut random).ok();
        let trace = Traceparent::new(random).to_string();
        let timings = Timings::default();
        let session = Session::new(neon, Caller::default(), Deadline::at(now_ms + LOAD_MS), &trace, &timings);
        match subject {
            Subject::Workspace(workspace) => {
                Ok(gate::workspace(&session, workspace, user).await?.map(|state| self.known(state)))
            }
            Subject::Org(org) => Ok(gate::org(&session, org, user).await?.map(|state| self.known(state))),
            Subject::User(_) | Subject::Anonymous(_) => Ok(None),
        }
    }

    /// What a load has read of the tenant; its settings hold from now on.
    fn known<R: Display>(&self, state: GateState<R>) -> Known {
        self.settings.learn(&state.settings);
        known(state)
    }

    /// Reads the platform's settings, for gates without a tenant.
    pub(super) async fn look(&self, now_ms: u64) {
        self.settings.look(self.neon.as_ref(), now_ms).await;
    }

    /// Applies a load, unless a role changed while it was under way. A load that began after some news has read what the
    /// news was about: news is sent after its commit.
    fn learn(&self, user: UserId, mut loaded: Known, heard: Heard, began_ms: u64) -> Option<Known> {
        let mut memory = self.memory.borrow_mut();
        if memory.heard.roles != heard.roles {
            return None;
        }
        if memory.heard.revision != heard.revision {
            loaded.revision = loaded.revision.max(memory.heard.revision);
        }
        let overtaken = began_ms < memory.loaded_ms;
        let known = memory.tenant.as_ref().map(|known| (known.authz_epoch, known.revision));
        match known {
            // A load that began later has answered already: this one counts if no role can have changed between them.
            Some((epoch, revision)) if overtaken => {
                if epoch != loaded.authz_epoch {
                    return None;
                }
                loaded.revision = loaded.revision.max(revision);
            }
            Some((epoch, _)) if epoch == loaded.authz_epoch && !memory.doubted && memory.roles.len() < MOST_ROLES => {}
            // Every change of a role moves the epoch: what was known of others may be wrong.
            _ => memory.roles.clear(),
        }
        memory.roles.insert(user, loaded.role.clone());
        memory.doubted = false;
        // From before the question: what Postgres answered was true at some moment after it.
        memory.loaded_ms = memory.loaded_ms.max(began_ms);
        memory.tenant = Some(Known { role: None, is_fresh: false, ..loaded.clone() });
        Some(loaded)
    }

    /// Trusts nothing that was known until Postgres has been asked again.
    pub(super) fn doubt(&self) {
        self.memory.borrow_mut().doubted = true;
    }

    /// Applies news. A lower epoch or revision is older than what is known and changes nothing.
    pub(super) fn hear(&self, news: News) {
        let mut memory = self.memory.borrow_mut();
        memory.heard.roles += u64::from(news.roles_changed);
        memory.heard.revision = memory.heard.revision.max(news.revision);
        if news.roles_changed {
            memory.roles.clear();
        }
        if let Some(tenant) = &mut memory.tenant {
            tenant.revision = tenant.revision.max(news.revision);
            tenant.authz_epoch = tenant.authz_epoch.max(news.authz_epoch);
        }
    }
}

fn known<R: Display>(state: GateState<R>) -> Known {
    Known {
        role: state.role.map(|role| role.to_string()),
        org: Some(state.org),
        plan: state.plan,
        region: state.region,
        revision: state.revision,
        authz_epoch: state.authz_epoch,
        is_fresh: true,
        ..Known::default()
    }
}

/// A tenant that a caller has no role in does not exist for him.
fn member(known: Known) -> Result<Known, Admission> {
    if known.role.is_some() { Ok(known) } else { Err(Admission::NotFound) }
}
