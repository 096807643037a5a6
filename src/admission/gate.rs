//! One caller at one gate: spend what is in hand, or make one hop, or wait for the request that is making it.

use std::rc::Rc;
use std::time::Duration;

use drey_core::lease::{Admission, Grant};
use drey_core::limit::{LimitView, Tier, Wish};
use drey_core::refusal::Code;
use drey_durable_objects::environment::Provider;
use drey_durable_objects::workspace_gate::{Admit, Subject};
use worker::Delay;

use super::leases::{Key, Need, PATIENCE_MS, Turn};
use super::limiter::{self, Down};
use super::{Principal, gate_unavailable, limited, limited_again};
use crate::app::App;
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::request::Request;

/// How often a waiting request looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The caller's grant in a tenant, and what is left of his limits.
pub(super) async fn admit(
    request: &Request<'_>,
    subject: Subject,
    principal: &Principal,
    tier: Tier,
    cost: u32,
) -> Outcome<(Rc<Grant>, LimitView)> {
    let key = Key { subject, user: principal.user, program: principal.key.as_ref().map(|key| key.id) };
    let least_revision = request.least_revision()?;
    let need = Need { tier, cost, least_revision, expires_ms: principal.expires_ms };
    let leases = &request.app.leases;
    let began_ms = clock::now_ms();
    leases.arrive(key, need, began_ms);
    loop {
        let now_ms = clock::now_ms();
        match leases.turn(key, need, now_ms, now_ms < began_ms + PATIENCE_MS) {
            Turn::Go { grant, view, renew } => {
                if renew {
                    renew_aside(request, key, need);
                }
                return Ok((grant, view));
            }
            Turn::Stop(denial) => return Err(limited_again(&denial)),
            Turn::Wait => Delay::from(LOOK_AGAIN).await,
            Turn::Ask { wish, least_revision } => return ask(request, key, need, wish, least_revision).await,
        }
    }
}

/// One hop, and what comes of it.
async fn ask(
    request: &Request<'_>,
    key: Key,
    need: Need,
    wish: Wish,
    least_revision: Option<i64>,
) -> Outcome<(Rc<Grant>, LimitView)> {
    may_ask(request, key, need)?;
    let (app, sent_ms) = (request.app, clock::now_ms());
    let admit = question(app, &request.context.address, key, Need { least_revision, ..need }, wish);
    let timeout_ms = request.remaining_ms().min(app.config.gate_timeout_ms);
    request.context.gate_hops.set(request.context.gate_hops.get() + 1);
    let answer = limiter::ask(app, request.env, &key.subject, &admit, timeout_ms).await;
    note_late(app, key, &answer, sent_ms);
    app.leases.answered(key, need.tier, wish);
    match answer {
        Ok(Admission::RevisionUnknown) if need.least_revision.is_none() => {
            // The isolate remembered a revision that no longer exists; without it the gate has the answer.
            app.leases.unlearn(key.subject);
            Box::pin(ask(request, key, need, Wish::default(), None)).await
        }
        Ok(admission) => answered(request, key, need, admission, sent_ms),
        Err(down) => {
            app.leases.asked(key);
            insured(request, key, &admit, down).await
        }
    }
}

fn question(app: &App, address: &str, key: Key, need: Need, wish: Wish) -> Admit {
    Admit {
        principal: Some(key.user),
        api_key: key.program,
        address: address.to_owned(),
        tier: need.tier,
        cost: need.cost,
        wanted: wish.wanted,
        held: wish.held,
        least_revision: need.least_revision,
        settings: app.settings.version(),
        writes: app.revisions.take(&key.subject),
    }
}

/// A question that told of writes is answered with how late the next may be told.
fn note_late(app: &App, key: Key, answer: &Result<Admission, Down>, sent_ms: u64) {
    if let Ok(Admission::Granted(Grant { late_ms: Some(late_ms), .. })) = answer {
        app.revisions.keep(key.subject, sent_ms, *late_ms);
    }
}

/// What the gate said, noted, with every refusal in its words.
fn answered(
    request: &Request<'_>,
    key: Key,
    need: Need,
    admission: Admission,
    sent_ms: u64,
) -> Outcome<(Rc<Grant>, LimitView)> {
    let leases = &request.app.leases;
    match admission {
        Admission::Granted(grant) => {
            super::learn(request.app, request.context, &grant);
            let grant = Rc::new(grant);
            let view = leases.granted(key, need, &grant, sent_ms, clock::now_ms());
            Ok((grant, view))
        }
        Admission::Denied(denial) => {
            leases.denied(key, need, &denial, clock::now_ms());
            Err(limited(&denial))
        }
        Admission::RevisionUnknown => {
            leases.asked(key);
            made_up(request, key)?;
            Err(revision_unknown())
        }
        Admission::NotFound => {
            leases.dropped(key);
            Err(Problem::not_found())
        }
        Admission::Unavailable => {
            leases.unvouched(key);
            Err(gate_unavailable("the gate cannot vouch for what it knows"))
        }
    }
}

/// Goes on by itself, where something did not answer.
async fn insured(request: &Request<'_>, key: Key, admit: &Admit, down: Down) -> Outcome<(Rc<Grant>, LimitView)> {
    let insurance = &request.app.insurance;
    match down {
        Down::Limiter { grant, due, cause } => {
            let view = insurance.without_limiter(&key.subject, admit, &due, &cause)?;
            Ok((Rc::from(grant), view))
        }
        Down::Gate(cause) => insurance.admit(request, &key.subject, admit, &cause).await,
    }
}

/// A gate that does not charge cannot slow whoever makes revisions up; this isolate can.
fn made_up(request: &Request<'_>, key: Key) -> Outcome<()> {
    if request.app.config.provider == Provider::Redis {
        let (strangers, limits) = (&request.app.strangers, request.app.settings.effective().limits);
        strangers.may_ask(&limits, (key.user, key.program))?;
        strangers.charge(&limits, (key.user, key.program));
    }
    Ok(())
}

/// Before a tenant is asked after somebody in whom this isolate has not met him: a made-up name costs an object and a query.
fn may_ask(request: &Request<'_>, key: Key, need: Need) -> Outcome<()> {
    let app = request.app;
    let tenant = match key.subject {
        Subject::Workspace(id) => id.uuid(),
        Subject::Org(id) => id.uuid(),
        Subject::User(_) | Subject::Anonymous(_) => return Ok(()),
    };
    if app.leases.has_met(key) {
        return Ok(());
    }
    let refused = need.least_revision.is_none() && app.remembered.absent(key.user, tenant, clock::now_ms());
    let may = app.strangers.may_ask(&app.settings.effective().limits, (key.user, key.program));
    let outcome = if refused { Err(Problem::not_found()) } else { may };
    outcome.inspect_err(|_| app.leases.dropped(key))
}

fn revision_unknown() -> Problem {
    let detail = "`x-drey-revision` is above any revision of this tenant. Send the one of your last write, or none.";
    Problem::new(Code::RevisionUnknown, detail)
}

/// Renews a lease that is about to end while the request that noticed goes on.
fn renew_aside(request: &Request<'_>, key: Key, need: Need) {
    let (app, env) = (Rc::clone(request.app), request.env.clone());
    let address = request.context.address.clone();
    request.worker.wait_until(async move {
        let need = Need { cost: 0, ..need };
        let sent_ms = clock::now_ms();
        let wish = app.leases.wish(key, need.tier, sent_ms);
        let admit = question(&app, &address, key, need, wish);
        app.leases.renewing();
        let answer = limiter::ask(&app, &env, &key.subject, &admit, app.config.gate_timeout_ms).await;
        note_late(&app, key, &answer, sent_ms);
        app.leases.answered(key, need.tier, wish);
        match answer {
            Ok(Admission::Granted(grant)) => {
                if let Some(settings) = &grant.settings {
                    app.settings.learn(settings);
                }
                app.leases.granted(key, need, &Rc::new(grant), sent_ms, clock::now_ms());
            }
            // An empty bucket is no refusal of the calls that are paid for: whoever finds the purse empty asks again. Nor is
            // a gate that does not answer: what it has granted ends by itself.
            Ok(Admission::Denied(_)) | Err(Down::Limiter { .. } | Down::Gate(_)) => {}
            Ok(Admission::Unavailable | Admission::RevisionUnknown) => app.leases.unvouched(key),
            Ok(Admission::NotFound) => app.leases.dropped(key),
        }
    });
}
