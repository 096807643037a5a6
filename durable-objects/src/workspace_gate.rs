//! `WorkspaceGate`: who may call a tenant, how much, and at which revision its cached answers are true.
//!
//! In scope: the class. Out of scope: its names and commands (`client`), the arithmetic of limits (`drey_core::limit`) and
//! what a role may do (the route table).
//!
//! One class serves four kinds of name: a workspace, `org:…`, `user:…`, and 64 hashed `anon:…` for callers without a
//! known credential.

mod client;
mod lateness;
mod meter;
mod quota;
mod settings;
mod tags;
mod tenant;

use std::cell::Cell;
use std::rc::Rc;

use drey_core::lease::{Admission, Denial, Grant};
use drey_core::limit::redis::{Due, NamedBucket};
use drey_core::limit::{Bucket, BucketKind, Charge, Clock, LimitView, Tier, Wish};
use drey_core::quota as day;
use drey_core::role::Plan;
use drey_core::settings::Effective;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::environment::{self, Provider};
use crate::rpc;
pub use client::{Admit, BINDING, GateClient, News, Subject, Writes, address_key};

use client::Command;
use lateness::Lateness;
use meter::{Meter, Payer, Price};
use quota::{Need, Quota, Standing};
use tags::Tags;
use tenant::{Known, Tenant};

/// The object.
#[durable_object(fetch)]
#[derive(Debug)]
pub(crate) struct WorkspaceGate {
    state: State,
    meter: Meter,
    quota: Quota,
    tags: Tags,
    tenant: Rc<Tenant>,
    lateness: Lateness,
    provider: Option<Provider>,
    clock: Rc<Cell<Clock>>,
    /// Of this object's calls to Neon, how many it has told of.
    told: Cell<u64>,
}

impl DurableObject for WorkspaceGate {
    fn new(state: State, env: Env) -> Self {
        Self {
            meter: Meter::new(state.storage().sql()),
            quota: Quota::new(&state, &env),
            tags: Tags::new(state.storage().sql()),
            tenant: Rc::new(Tenant::new(&env)),
            lateness: Lateness::default(),
            provider: environment::provider(&env).ok(),
            clock: Rc::default(),
            told: Cell::default(),
            state,
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        match rpc::command(&mut request).await? {
            Command::Admit { subject, admit } => {
                self.lateness.asked(self.now_ms());
                let late_ms = admit.writes.and_then(|writes| self.hear(writes));
                let admission = self.telling(self.admit(subject, &admit).await?);
                rpc::reply(&admission.with_late(late_ms))
            }
            Command::Tell { news } => {
                self.tenant.hear(news);
                rpc::reply(&())
            }
            Command::Wrote { writes } => rpc::reply(&self.hear(writes)),
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
    /// How late the next writes may be told, in milliseconds.
    fn hear(&self, writes: Writes) -> Option<u64> {
        self.tenant.hear(writes.news);
        self.lateness.allow(writes.count, self.tenant.settings.ttl(), self.now_ms())
    }

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

    /// A grant tells what this gate has asked of Postgres by itself since the last one. What is lost with its answer is not counted.
    fn telling(&self, admission: Admission) -> Admission {
        let Admission::Granted(grant) = admission else { return admission };
        let made = self.tenant.round_trips().saturating_add(self.quota.round_trips());
        let round_trips = made.checked_sub(self.told.replace(made)).filter(|untold| *untold > 0);
        Admission::Granted(Grant { round_trips, ..grant })
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
            Standing::UsedUp { view, until_ms } => {
                let denial = Denial {
                    retry_after_ms: until_ms,
                    policies: vec![day::POLICY.to_owned()],
                    view,
                    believe_ms: Some(day::ASK_AGAIN_MS),
                    due: None,
                };
                self.besides(denial, subject, admit, known.as_ref()).map(Admission::Denied)
            }
            standing => self.charge(subject, admit, known, Some((need, standing))),
        }
    }

    /// The refusal of the day, and of whatever bucket would refuse the call as well. Nothing is charged for it, and no block
    /// begins.
    fn besides(
        &self,
        denial: Denial,
        subject: Subject,
        admit: &Admit,
        known: Option<&Known>,
    ) -> worker::Result<Denial> {
        let Some(settings) = self.tenant.settings.effective() else { return Ok(denial) };
        let (payer, price) = (payer(subject, admit), price(admit, known, Wish::default()));
        if self.is_redis_to_count(subject) {
            return Ok(Denial { due: Some(due(&settings, &payer, price)), ..denial });
        }
        let refused = self.meter.refusal(&settings, &payer, price, self.now_ms())?.and_then(Denial::by_buckets);
        Ok(refused.map_or(denial.clone(), |refused| denial.and(refused)))
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
        let (Some(settings), Some(_)) = (self.tenant.settings.effective(), self.provider) else {
            return Ok(Admission::Unavailable);
        };
        let payer = payer(subject, admit);
        // The strict tier asks for every call: its bound has no slack.
        let leased = !matches!(admit.tier, Tier::Strict | Tier::Anonymous | Tier::SignIn);
        let wanted = today.as_ref().map_or(admit.wanted, |(_, standing)| standing.at_most(admit.wanted));
        let wish = if leased { Wish { wanted, held: admit.held } } else { Wish::default() };
        let price = price(admit, known.as_ref(), wish);
        if self.is_redis_to_count(subject) {
            return self.leave(due(&settings, &payer, price), known, admit, today);
        }
        Ok(match self.meter.charge(&settings, &payer, price, self.now_ms())? {
            Some((Charge::Allowed { view }, extra, shadow)) => {
                let daily = today.map(|(need, standing)| self.quota.pay(&standing, need, extra)).transpose()?;
                Admission::Granted(Grant { daily, shadow, ..self.grant(known, admit, extra, view) })
            }
            Some((refused, ..)) => Denial::by_buckets(refused).map_or(Admission::Unavailable, Admission::Denied),
            None => Admission::Unavailable,
        })
    }

    /// Callers without a known credential are always counted here: a Redis that is down must not open the zones.
    fn is_redis_to_count(&self, subject: Subject) -> bool {
        self.provider == Some(Provider::Redis) && !matches!(subject, Subject::Anonymous(_))
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
            workspace_lease_ms: self.lateness.lease_ms(ttl, self.now_ms()).min(known.holds_ms),
            tokens: admit.cost.saturating_add(extra),
            tokens_ms: ttl.token_lease_ms,
            view,
            stale_ms: known.stale_ms,
            daily: None,
            due: None,
            most: self.most(admit, plan),
            shadow: Vec::new(),
            settings: self.tenant.settings.newer_than(admit.settings).map(Box::new),
            round_trips: None,
            late_ms: None,
        }
    }

    /// What an isolate may go on holding, if that is less than it holds: the plan or a limit was lowered.
    fn most(&self, admit: &Admit, plan: Plan) -> Option<u32> {
        let spec = self.tenant.settings.effective()?.limits.bucket(admit.tier, BucketKind::Principal, plan);
        let share = u32::try_from(spec.lease_share()).unwrap_or(u32::MAX);
        (admit.held > share).then_some(share)
    }
}

/// A key pays for itself, not its creator for it.
fn payer(subject: Subject, admit: &Admit) -> Payer {
    let person = || admit.principal.map(|user| user.to_string());
    let principal = admit.api_key.map(|key| key.to_string()).or_else(person);
    Payer { subject, principal, address: address_key(&admit.address) }
}

fn price(admit: &Admit, known: Option<&Known>, wish: Wish) -> Price {
    Price { tier: admit.tier, plan: known.map_or(Plan::Free, |known| known.plan), cost: admit.cost, wish }
}

/// What Redis is to charge.
fn due(settings: &Effective, payer: &Payer, price: Price) -> Due {
    let buckets = payer.buckets(&settings.limits, price.tier, price.plan).into_iter();
    let is_shadow = |spec| settings.is_shadow(&Bucket::fresh(spec).policy());
    let buckets = buckets.map(|(name, spec)| NamedBucket { name, spec, is_shadow: is_shadow(spec) }).collect();
    Due::new(price.cost, price.wish, buckets)
}

fn read(shared: &Cell<Clock>) -> u64 {
    let mut clock = shared.get();
    let now = clock.read(u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default());
    shared.set(clock);
    now
}
