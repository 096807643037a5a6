//! `WorkspaceGate`: who may call a tenant, how much, and at which revision its cached answers are true.
//!
//! In scope: the class, its commands, its names and its client. Out of scope: the arithmetic of limits
//! (`drey_core::limit`) and what a role may do (the route table).
//!
//! One class serves four kinds of name: a workspace, `org:…`, `user:…`, and 64 hashed `anon:…` for callers without a
//! known credential.

mod meter;
mod quota;
mod settings;
mod tags;
mod tenant;

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

use drey_core::cache::tags::Versions;
use drey_core::id::{ApiKeyId, OrgId, UserId, WorkspaceId};
use drey_core::lease::{Admission, Denial, Grant};
use drey_core::limit::redis::{Due, NamedBucket};
use drey_core::limit::{Bucket, BucketKind, Charge, Clock, LimitView, Tier, Wish};
use drey_core::quota::{self as day, Granted};
use drey_core::role::{Plan, Region};
use drey_store::usage::Reservation;
use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::environment::{self, Provider};
use crate::rpc::{self, RpcError, Target};
use meter::{Meter, Payer, Price};
use quota::{Need, Quota, Standing};
use tags::Tags;
use tenant::{Known, Tenant};

/// The binding of `wrangler.toml`.
pub const BINDING: &str = "GATE";

/// The name of the one object that knows the versions of public tags. Pinned, like the names of [`Subject`].
const PUBLIC: &str = "public";

/// For how long an isolate believes a refusal without asking again, in milliseconds: it is part of the 5 s within which a
/// raised limit is effective.
const BELIEVE_MS: u64 = 1_000;

/// How many gates share the callers without a known credential.
const ANONYMOUS_GATES: u32 = 64;

/// Whose gate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Subject {
    /// A workspace's own.
    Workspace(WorkspaceId),
    /// An organisation's.
    Org(OrgId),
    /// A person's, for what he does outside of any tenant.
    User(UserId),
    /// One of the 64, by address.
    Anonymous(u8),
}

impl Subject {
    /// The gate of an address without a known credential.
    #[must_use]
    pub fn anonymous(address: &str) -> Self {
        // FNV-1a: the spread matters, not the secrecy. A caller who picks his gate picks only whom he shares it with,
        // and buckets are per address inside.
        let hash = address_key(address)
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self::Anonymous(u8::try_from(hash % ANONYMOUS_GATES).unwrap_or_default())
    }

    /// The object's name. Pinned: another name is another object with full buckets.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Workspace(id) => id.to_string(),
            Self::Org(id) => format!("org:{id}"),
            Self::User(id) => format!("user:{id}"),
            Self::Anonymous(number) => format!("anon:{number}"),
        }
    }
}

/// The part of an address that one customer of a network holds: an IPv4 address, an IPv6 /64.
#[must_use]
pub fn address_key(address: &str) -> String {
    // An IPv4 address inside IPv6 is that IPv4 address: otherwise all of them would share one /64.
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(v4)) => v4.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// A request for admission. It carries ids and numbers, never a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admit {
    /// The verified caller; none at an anonymous gate.
    pub principal: Option<UserId>,
    /// The API key that acts as the caller: then the limits are the key's own.
    #[serde(default)]
    pub api_key: Option<ApiKeyId>,
    /// The client's address as the platform sets it.
    pub address: String,
    /// The tier of the route.
    pub tier: Tier,
    /// What the request costs; 0 to renew what is known of a caller who still holds tokens.
    pub cost: u32,
    /// Tokens the isolate would spend in the next second.
    pub wanted: u32,
    /// Tokens the isolate still holds.
    pub held: u32,
    /// A revision the caller has seen and must not be answered below.
    pub least_revision: Option<i64>,
    /// The version of the platform's settings that the isolate knows; a newer one comes with the grant.
    #[serde(default = "newest")]
    pub settings: i64,
}

/// An isolate of before does not know what to do with settings.
const fn newest() -> i64 {
    i64::MAX
}

/// News for a gate.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct News {
    /// The revision after the write.
    pub revision: i64,
    /// The epoch of narrowed access after the write.
    pub authz_epoch: i64,
    /// Whether a role, the plan or the tenant's existence changed: then the gate asks Postgres again.
    pub roles_changed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Command {
    Admit { subject: Subject, admit: Admit },
    Tell { news: News },
    Doubt,
    Tags { raise: Vec<String> },
    Reserve { asked: Reservation },
}

/// Calls gates.
#[derive(Clone, Copy, Debug)]
pub struct GateClient<'a> {
    /// The bindings.
    pub env: &'a Env,
    /// The longest wait in milliseconds.
    pub timeout_ms: u32,
}

impl GateClient<'_> {
    /// Asks for admission.
    pub async fn admit(&self, subject: &Subject, admit: &Admit) -> Result<Admission, RpcError> {
        let command = Command::Admit { subject: *subject, admit: admit.clone() };
        rpc::call(self.env, self.target(&subject.name(), None), &command).await
    }

    /// Tells a gate what a write changed. `hint` is where the object is created if this call is its first.
    pub async fn tell(&self, subject: &Subject, news: News, hint: Option<Region>) -> Result<(), RpcError> {
        let hint = hint.map(Region::as_str);
        rpc::call(self.env, self.target(&subject.name(), hint), &Command::Tell { news }).await
    }

    /// Makes a gate ask Postgres before it says anything more: a write may have happened, nobody knows.
    pub async fn doubt(&self, subject: &Subject) -> Result<(), RpcError> {
        rpc::call(self.env, self.target(&subject.name(), None), &Command::Doubt).await
    }

    /// Takes units of a day from the organisation's gate; `None` if it could not ask Postgres.
    pub(crate) async fn reserve(&self, asked: Reservation) -> Result<Option<Granted>, RpcError> {
        let name = Subject::Org(asked.org).name();
        rpc::call(self.env, self.target(&name, None), &Command::Reserve { asked }).await
    }

    /// Raises tags of public answers, or none, and gives the versions of all.
    pub async fn raise_tags(&self, tags: &[String]) -> Result<Versions, RpcError> {
        rpc::call(self.env, self.target(PUBLIC, None), &Command::Tags { raise: tags.to_vec() }).await
    }

    fn target<'b>(&self, name: &'b str, hint: Option<&'b str>) -> Target<'b> {
        Target { binding: BINDING, name, hint, timeout_ms: self.timeout_ms }
    }
}

/// The object.
#[durable_object(fetch)]
#[derive(Debug)]
pub(crate) struct WorkspaceGate {
    state: State,
    meter: Meter,
    quota: Quota,
    tags: Tags,
    tenant: Rc<Tenant>,
    provider: Option<Provider>,
    clock: Rc<Cell<Clock>>,
}

impl DurableObject for WorkspaceGate {
    fn new(state: State, env: Env) -> Self {
        Self {
            meter: Meter::new(state.storage().sql()),
            quota: Quota::new(&state, &env),
            tags: Tags::new(state.storage().sql()),
            tenant: Rc::new(Tenant::new(&env)),
            provider: environment::provider(&env).ok(),
            clock: Rc::default(),
            state,
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        match rpc::command(&mut request).await? {
            Command::Admit { subject, admit } => rpc::reply(&self.admit(subject, &admit).await?),
            Command::Tell { news } => {
                self.tenant.hear(news);
                rpc::reply(&())
            }
            Command::Doubt => {
                self.tenant.doubt();
                rpc::reply(&())
            }
            Command::Tags { raise } => rpc::reply(&self.tags.raise(&raise)?),
            Command::Reserve { asked } => rpc::reply(&self.quota.give(asked, self.now_ms()).await?),
        }
    }
}

impl WorkspaceGate {
    /// Membership first, then the charge: a stranger takes nothing from a tenant's buckets.
    async fn admit(&self, subject: Subject, admit: &Admit) -> worker::Result<Admission> {
        if let Some(known) = self.made_up(admit) {
            // Tokens beyond his own call would be lost with the refusal.
            let admit = Admit { wanted: 0, ..admit.clone() };
            return Ok(match self.charge(subject, &admit, Some(known), None)? {
                Admission::Granted(_) => Admission::RevisionUnknown,
                other => other,
            });
        }
        let known = self.tenant.know(subject, admit, || self.now_ms()).await;
        self.try_again(subject, admit);
        self.look_aside(subject);
        match known {
            Ok(known) => self.admit_today(subject, admit, known).await,
            Err(refused) => Ok(refused),
        }
    }

    /// Looks whether Postgres has come back, while the caller goes on with what is known.
    fn try_again(&self, subject: Subject, admit: &Admit) {
        let Some(user) = admit.principal.filter(|_| self.tenant.is_to_try(self.now_ms())) else { return };
        let (tenant, clock) = (Rc::clone(&self.tenant), Rc::clone(&self.clock));
        self.state.wait_until(async move { tenant.try_again(subject, user, || read(&clock)).await });
    }

    /// A gate without a tenant has no refresh to bring the platform's settings: it looks for them beside its callers.
    fn look_aside(&self, subject: Subject) {
        let without = matches!(subject, Subject::User(_) | Subject::Anonymous(_));
        let now_ms = self.now_ms();
        if without && self.tenant.settings.is_to_look(now_ms) {
            let tenant = Rc::clone(&self.tenant);
            self.state.wait_until(async move { tenant.look(now_ms).await });
        }
    }

    /// The day's quota, where an organisation pays, and then the buckets: nothing is awaited between looking into the
    /// purse and paying from it.
    async fn admit_today(&self, subject: Subject, admit: &Admit, known: Option<Known>) -> worker::Result<Admission> {
        let Some(need) = self.need(subject, admit, known.as_ref()) else {
            return self.charge(subject, admit, known, None);
        };
        let is_shadow = self.tenant.settings.effective().is_some_and(|settings| settings.is_shadow(day::POLICY));
        match self.quota.stand(&self.state, need).await? {
            Standing::UsedUp { .. } | Standing::Silent if is_shadow => {
                self.in_shadow_of_the_day(subject, admit, known, need)
            }
            // As when Postgres is silent to this gate itself: what it goes on with ends.
            Standing::Silent => Ok(Admission::Unavailable),
            Standing::UsedUp { view, until_ms } => Ok(Admission::Denied(Denial {
                retry_after_ms: until_ms,
                policies: vec![day::POLICY.to_owned()],
                view,
                believe_ms: Some(day::ASK_AGAIN_MS),
            })),
            standing => self.charge(subject, admit, known, Some((need, standing))),
        }
    }

    /// The day is over, and its policy only counts: every call comes here one by one, and is owed.
    fn in_shadow_of_the_day(
        &self,
        subject: Subject,
        admit: &Admit,
        known: Option<Known>,
        need: Need,
    ) -> worker::Result<Admission> {
        let admit = Admit { wanted: 0, ..admit.clone() };
        let mut admission = self.charge(subject, &admit, known, Some((need, Standing::Owed { spare: 0 })))?;
        if let Admission::Granted(grant) = &mut admission {
            grant.shadow.push(day::POLICY.to_owned());
        }
        Ok(admission)
    }

    /// Work in workspaces counts. Administering the organisation does not: who has used up the day can see it and pay for
    /// more.
    fn need(&self, subject: Subject, admit: &Admit, known: Option<&Known>) -> Option<Need> {
        let settings = self.tenant.settings.effective();
        let (Subject::Workspace(_), Some(known), Some(settings)) = (subject, known, settings) else { return None };
        let (quota, cost) = (settings.limits.daily(known.plan), u64::from(admit.cost));
        let owing_ms = self.tenant.settings.ttl().gate_stale_ms;
        Some(Need { org: known.org?, quota, cost, now_ms: self.now_ms(), owing_ms })
    }

    /// A member who named a made-up revision a moment ago and does so again: he pays, and Postgres is not asked.
    fn made_up(&self, admit: &Admit) -> Option<Known> {
        let least = admit.least_revision?;
        let known = self.tenant.refuted_lately(admit.principal?, self.now_ms())?;
        (known.role.is_some() && known.revision < least).then_some(known)
    }

    fn charge(
        &self,
        subject: Subject,
        admit: &Admit,
        known: Option<Known>,
        today: Option<(Need, Standing)>,
    ) -> worker::Result<Admission> {
        // A wrong LIMITS stops the Worker at its first request; an object of another version must not open instead.
        let (Some(settings), Some(provider)) = (self.tenant.settings.effective(), self.provider) else {
            return Ok(Admission::Unavailable);
        };
        let plan = known.as_ref().map_or(Plan::Free, |known| known.plan);
        let principal =
            admit.api_key.map(|key| key.to_string()).or_else(|| admit.principal.map(|user| user.to_string()));
        let payer = Payer { subject, principal, address: address_key(&admit.address) };
        // The strict tier asks for every call: its bound has no slack.
        let leased = !matches!(admit.tier, Tier::Strict | Tier::Anonymous | Tier::SignIn);
        let wanted = today.as_ref().map_or(admit.wanted, |(_, standing)| standing.at_most(admit.wanted));
        let wish = if leased { Wish { wanted, held: admit.held } } else { Wish::default() };
        // Callers without a known credential are always counted here: a Redis that is down must not open the zones.
        if provider == Provider::Redis && !matches!(subject, Subject::Anonymous(_)) {
            let buckets = payer.buckets(&settings.limits, admit.tier, plan).into_iter();
            let is_shadow = |spec| settings.is_shadow(&Bucket::fresh(spec).policy());
            let buckets = buckets.map(|(name, spec)| NamedBucket { name, spec, is_shadow: is_shadow(spec) }).collect();
            return self.leave(Due::new(admit.cost, wish, buckets), known, admit, today);
        }
        let price = Price { tier: admit.tier, plan, cost: admit.cost, wish };
        Ok(match self.meter.charge(&settings, &payer, price, self.now_ms())? {
            Some((Charge::Allowed { view }, extra, shadow)) => {
                let daily = today.map(|(need, standing)| self.quota.pay(&standing, need, extra)).transpose()?;
                Admission::Granted(Grant { daily, shadow, ..self.grant(known, admit, extra, view) })
            }
            Some((Charge::Denied { retry_after_ms, policies, view }, ..)) => {
                // A limit that is raised admits within the second, whatever it had refused for.
                Admission::Denied(Denial { retry_after_ms, policies, view, believe_ms: Some(BELIEVE_MS) })
            }
            None => Admission::Unavailable,
        })
    }

    /// Vouches for the caller, and leaves the charge to the isolate. The day pays at once, and for all that Redis may give:
    /// it counts some calls that Redis refuses, and none that nobody has counted.
    fn leave(
        &self,
        due: Due,
        known: Option<Known>,
        admit: &Admit,
        today: Option<(Need, Standing)>,
    ) -> worker::Result<Admission> {
        let Some(own) = due.buckets.first() else { return Ok(Admission::Unavailable) };
        let view = Bucket::fresh(own.spec).view(0);
        let daily = today.map(|(need, standing)| self.quota.pay(&standing, need, due.wanted)).transpose()?;
        let grant = self.grant(known, admit, 0, view);
        Ok(Admission::Granted(Grant { tokens: 0, daily, due: Some(due), ..grant }))
    }

    /// The gate's clock never runs backwards, so that a step of the machine's clock cannot refill a bucket.
    fn now_ms(&self) -> u64 {
        read(&self.clock)
    }

    fn grant(&self, known: Option<Known>, admit: &Admit, extra: u32, view: LimitView) -> Grant {
        let (known, ttl) = (known.unwrap_or_default(), self.tenant.settings.ttl());
        let plan = known.plan;
        Grant {
            role: known.role.unwrap_or_default(),
            org: known.org,
            plan: known.plan,
            region: known.region,
            revision: known.revision,
            authz_epoch: known.authz_epoch,
            workspace_lease_ms: ttl.workspace_lease_ms.min(known.holds_ms),
            tokens: admit.cost.saturating_add(extra),
            tokens_ms: ttl.token_lease_ms,
            view,
            stale_ms: known.stale_ms,
            daily: None,
            due: None,
            most: self.most(admit, plan),
            shadow: Vec::new(),
            settings: self.tenant.settings.newer_than(admit.settings).map(Box::new),
        }
    }

    /// What an isolate may go on holding, if that is less than it holds: the plan or a limit was lowered.
    fn most(&self, admit: &Admit, plan: Plan) -> Option<u32> {
        let spec = self.tenant.settings.effective()?.limits.bucket(admit.tier, BucketKind::Principal, plan);
        let share = u32::try_from(spec.lease_share()).unwrap_or(u32::MAX);
        (admit.held > share).then_some(share)
    }
}

fn read(shared: &Cell<Clock>) -> u64 {
    let mut clock = shared.get();
    let now = clock.read(u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default());
    shared.set(clock);
    now
}

#[cfg(test)]
mod tests {
    use super::{Subject, address_key};
    use drey_core::id::{OrgId, UserId, WorkspaceId};
    use uuid::Uuid;

    /// A gate that is found under another name after a deploy begins with full buckets.
    #[test]
    fn the_names_of_gates_are_fixed() {
        let nil = Uuid::nil();
        assert_eq!(Subject::Workspace(WorkspaceId::from_uuid(nil)).name(), "ws_00000000000000000000000000");
        assert_eq!(Subject::Org(OrgId::from_uuid(nil)).name(), "org:org_00000000000000000000000000");
        assert_eq!(Subject::User(UserId::from_uuid(nil)).name(), "user:user_00000000000000000000000000");
        assert_eq!(Subject::anonymous("192.0.2.1").name(), "anon:24");
    }

    #[test]
    fn one_network_is_one_address() {
        assert_eq!(address_key("2001:db8:1:2:3:4:5:6"), address_key("2001:db8:1:2::9"));
        assert_ne!(address_key("192.0.2.1"), address_key("192.0.2.2"));
        assert_eq!(address_key("::ffff:192.0.2.1"), address_key("192.0.2.1"));
        assert_eq!(address_key("10.0.0.1, 10.0.0.2"), "unknown");
    }
}
