//! Our own copies of answers: true at one revision of one workspace for one visibility class, so never stale and never
//! another tenant's.
//!
//! In scope: which requests may be answered from a copy, and the three levels (isolate, data centre, Redis). Out of scope: the
//! client's own copy (the row's cache profile).

pub mod flights;
pub mod memory;
pub mod public;

use std::rc::Rc;
use std::time::Duration;

use drey_core::cache::{self as rules, CacheProfile};
use serde_json::json;
use worker::Delay;

use crate::answer::{Answer, Keep};
use crate::app::App;
use crate::cache::memory::Copy;
use crate::cache::public::Slot;
use crate::call::Access;
use crate::edge::boundary::Header;
use crate::edge::shared_cache::{self, Body};
use crate::edge::{clock, random};
use crate::problem::Outcome;
use crate::request::Request;

/// A copy larger than this costs more to fetch than to ask Postgres for.
const MOST_BYTES: usize = 1024 * 1024 + 64 * 1024;
/// How often a request that waits for another's copy looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// What stands for the headers of an absence in Redis; it is no JSON, so no copy's headers are it.
const ABSENT: &str = "absent";
/// The Cache API wants an absolute URL; this host is never resolved.
const ORIGIN: &str = "https://cache.drey.invalid";

/// Which level answered, for `Cache-Status` (RFC 9211) and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// This isolate.
    Memory,
    /// The Cache API of this data centre.
    Shared,
    /// Redis.
    Redis,
    /// This isolate, by a request that asked the same a moment before.
    Collapsed,
    /// This isolate or Redis, which know that there is no such thing.
    Absent,
    /// None; Postgres was asked.
    Miss,
}

impl CacheStatus {
    /// The value of `Cache-Status`. A negative `ttl` (RFC 9211 §2.4) says for how many seconds nobody has been able to
    /// confirm that the copy is still true, because Postgres does not answer.
    #[must_use]
    pub fn header(self, stale_ms: u64) -> String {
        let level = match self {
            Self::Memory => "memory",
            Self::Shared => "cache-api",
            Self::Redis => "redis",
            Self::Absent => "absent",
            Self::Collapsed => return "drey; fwd=miss; collapsed".to_owned(),
            Self::Miss => return "drey; fwd=miss".to_owned(),
        };
        match stale_ms.div_ceil(1000) {
            0 => format!("drey; hit; detail={level}"),
            seconds => format!("drey; hit; ttl=-{seconds}; detail={level}"),
        }
    }

    /// The level, for metrics.
    #[must_use]
    pub const fn level(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Shared => "cache-api",
            Self::Redis => "redis",
            Self::Collapsed => "collapsed",
            Self::Absent => "absent",
            Self::Miss => "miss",
        }
    }

    /// The value of `x-cache`.
    #[must_use]
    pub const fn short(self) -> &'static str {
        match self {
            Self::Memory | Self::Shared | Self::Redis | Self::Collapsed | Self::Absent => "HIT",
            Self::Miss => "MISS",
        }
    }
}

/// What is known without asking Postgres.
#[derive(Debug)]
pub enum Found {
    /// An answer, and the level that had it.
    Copy(Answer, CacheStatus),
    /// At this revision there is no such thing.
    Absence(i64),
}

/// Where the answer of a request may be found and kept.
#[derive(Debug)]
pub enum Place {
    /// Among the copies of a workspace.
    Workspace(Question),
    /// Among those that are everybody's.
    Public(Slot),
}

/// A cacheable question: everything of its key but the revision, and the revision that the gate vouches for.
#[derive(Clone, Debug)]
pub struct Question {
    workspace: drey_core::id::WorkspaceId,
    visibility: String,
    path: String,
    query: String,
    revision: i64,
    /// Whether an absence moves the revision when it ends: things of a tenancy do, scopes of documents do not.
    may_be_absent: bool,
}

impl Question {
    fn key(&self, revision: i64) -> String {
        rules::key(self.workspace, &self.visibility, &self.path, &self.query, revision)
    }
}

/// Where the answer of an admitted request may be found and kept, if anywhere.
pub async fn place(request: &Request<'_>, access: &Access) -> Option<Place> {
    match access {
        Access::Workspace(..) => question(request, access).map(Place::Workspace),
        Access::Public => public::slot(request).await.map(Place::Public),
        Access::Operator | Access::User(_) | Access::Org(..) => None,
    }
}

/// The question of a request, if its answer may be kept: a read of workspace data by an admitted member.
fn question(request: &Request<'_>, access: &Access) -> Option<Question> {
    let Access::Workspace(principal, access, grant) = access else { return None };
    let keepable = matches!(request.route.policy.cache, CacheProfile::Tenant | CacheProfile::Immutable);
    if !keepable || request.route.method != "GET" {
        return None;
    }
    let personal = request.parameters.iter().any(|(name, value)| name == "scope_type" && value == "user");
    let class = if personal { principal.user.to_string() } else { access.role.as_str().to_owned() };
    // An organisation-wide narrowing changes lists of members without a new revision of each workspace.
    // A key that is restricted to a project sees other lists than its creator's role does.
    let project = principal.key.as_ref().and_then(|key| key.project);
    let class = project.map_or_else(|| class.clone(), |project| format!("{class}.{project}"));
    let visibility = format!("{class}.{}", grant.authz_epoch);
    Some(Question {
        workspace: access.workspace,
        visibility,
        path: request.head.path.clone(),
        query: request.head.query.clone(),
        revision: grant.revision,
        may_be_absent: request.route.policy.cache == CacheProfile::Tenant,
    })
}

/// What is known without asking Postgres.
pub async fn find(request: &Request<'_>, place: Option<&Place>) -> Option<Found> {
    match place? {
        Place::Workspace(question) => find_at_revision(request, question).await,
        Place::Public(slot) => public::find(request, slot).await.map(|(answer, status)| Found::Copy(answer, status)),
    }
}

/// The copy at the revision that the gate vouches for: of this isolate, of this data centre, of Redis.
async fn find_at_revision(request: &Request<'_>, question: &Question) -> Option<Found> {
    let app = request.app;
    let key = question.key(question.revision);
    if let Some(found) = known(request, question, &key).await {
        return Some(found);
    }
    if let Some((copy, unread)) = shared(&key, memory::MOST_ENTRY_BYTES).await {
        let answer = match unread {
            None => remembered(request, key, copy),
            Some(body) => {
                // It is nothing to keep here: who has waited for it asks the cache himself.
                app.flights.end(&key);
                answer(request, &copy).passing_on(body)
            }
        };
        return Some(Found::Copy(answer, CacheStatus::Shared));
    }
    let Some(copy) = redis(app, &key).await? else {
        app.memory.put_absent(key, clock::now_ms() + app.settings.effective().ttl.absent_ms);
        return Some(Found::Absence(question.revision));
    };
    Some(Found::Copy(remembered(request, key, copy), CacheStatus::Redis))
}

/// The answer of a copy that came from elsewhere; from now on it is here, and who has waited for it finds it.
fn remembered(request: &Request<'_>, key: String, copy: Copy) -> Answer {
    let copy = Rc::new(copy);
    request.app.flights.end(&key);
    request.app.memory.put(key, Rc::clone(&copy));
    answer(request, &copy)
}

/// What this isolate knows by itself, or will in a moment: who asks what is already being asked waits for that answer.
/// Logs of documents are asked side by side: of most of their answers there is no copy to wait for.
async fn known(request: &Request<'_>, question: &Question, key: &str) -> Option<Found> {
    let app = request.app;
    let began_ms = clock::now_ms();
    let mut level = CacheStatus::Memory;
    loop {
        if let Some(copy) = app.memory.get(key) {
            return Some(Found::Copy(answer(request, &copy), level));
        }
        let now_ms = clock::now_ms();
        if app.memory.is_absent(key, now_ms) {
            return Some(Found::Absence(question.revision));
        }
        if !question.may_be_absent || app.flights.take(key, began_ms, now_ms, app.config.collapse_ms) {
            return None;
        }
        level = CacheStatus::Collapsed;
        Delay::from(LOOK_AGAIN).await;
    }
}

/// What this data centre has: a copy, and its body by itself if that is longer than `most_bytes`.
async fn shared(key: &str, most_bytes: u32) -> Option<(Copy, Option<web_sys::Response>)> {
    let stored = shared_cache::get(&format!("{ORIGIN}{key}"), most_bytes).await?;
    let headers = serde_json::from_str(&stored.headers).ok()?;
    Some(match stored.body {
        Body::Whole(body) => (Copy { headers, body }, None),
        Body::Unread(response) => (Copy { headers, body: Vec::new() }, Some(response)),
    })
}

/// What Redis knows: a copy, or that there is nothing.
async fn redis(app: &App, key: &str) -> Option<Option<Copy>> {
    let key = redis_key(app, key);
    let text = app.redis.as_ref()?.get(&key).await?;
    // Others may write there: what is not ours, or not of this key, is a miss.
    let (headers, body) = rules::unsealed(&key, &text).filter(|(_, body)| body.len() <= MOST_BYTES)?;
    if headers == ABSENT {
        return Some(None);
    }
    Some(Some(Copy { headers: serde_json::from_str(headers).ok()?, body: body.as_bytes().to_vec() }))
}

/// One Redis may serve several environments: ids of staging and production must not meet.
fn redis_key(app: &App, key: &str) -> String {
    format!("drey:{}{key}", app.config.environment.as_str())
}

/// Keeps what a handler found.
pub fn keep(request: &Request<'_>, place: Option<Place>, outcome: &Outcome<Answer>) {
    match place {
        Some(Place::Workspace(question)) => keep_at_revision(request, &question, outcome),
        Some(Place::Public(slot)) => public::keep(request, slot, outcome),
        None => {}
    }
}

/// Keeps what a handler found under the revision that its own batch read first: in the isolate at once, elsewhere after
/// the response has left. Of problems only an absence is kept, as a mark: the answer is made anew each time.
fn keep_at_revision(request: &Request<'_>, question: &Question, outcome: &Outcome<Answer>) {
    match outcome {
        Ok(answer) => keep_answer(request, question, answer),
        Err(problem) => {
            if let Some(revision) = problem.absent_at.filter(|_| question.may_be_absent) {
                keep_absence(request, question.key(revision));
            }
        }
    }
    request.app.flights.end(&question.key(question.revision));
}

fn keep_absence(request: &Request<'_>, key: String) {
    let absent_ms = request.app.settings.effective().ttl.absent_ms;
    request.app.memory.put_absent(key.clone(), clock::now_ms() + absent_ms);
    let (app, seconds) = (Rc::clone(request.app), rules::seconds(absent_ms));
    request.worker.wait_until(async move { put_redis(&app, &key, ABSENT, "", seconds).await });
}

fn keep_answer(request: &Request<'_>, question: &Question, answer: &Answer) {
    let (Keep::AtRevision(revision), 200) = (answer.keep, answer.status) else { return };
    if answer.body.len() > MOST_BYTES {
        return;
    }
    let key = question.key(revision);
    let copy = Rc::new(Copy::of(answer));
    request.app.memory.put(key.clone(), Rc::clone(&copy));
    let app = Rc::clone(request.app);
    request.worker.wait_until(async move { put(&app, &key, &copy).await });
}

async fn put(app: &App, key: &str, copy: &Copy) {
    let seconds = rules::seconds(app.settings.effective().ttl.copy_ms);
    store_shared(key, copy, seconds).await;
    let Ok(body) = std::str::from_utf8(&copy.body) else { return };
    put_redis(app, key, &json!(copy.headers).to_string(), body, seconds).await;
}

async fn put_redis(app: &App, key: &str, headers: &str, body: &str, seconds: u32) {
    let Some(redis) = &app.redis else { return };
    let key = redis_key(app, key);
    // A tenth of randomness, so that copies made together do not end together.
    let [jitter] = random::bytes();
    redis.set(&key, &rules::sealed(&key, headers, body), seconds + seconds * u32::from(jitter) / 2560).await;
}

/// Keeps a copy in this data centre.
async fn store_shared(key: &str, copy: &Copy, seconds: u32) {
    let headers = json!(copy.headers).to_string();
    if let Err(error) = shared_cache::put(&format!("{ORIGIN}{key}"), &headers, &copy.body, seconds).await {
        tracing::debug!(target: "cache", %error, "not stored");
    }
}

fn answer(request: &Request<'_>, copy: &Copy) -> Answer {
    copy.answer(request.head.header(Header::IfNoneMatch))
}

#[cfg(test)]
mod tests {
    use super::CacheStatus;

    /// Structured fields of RFC 9211: `hit`, `fwd`, `collapsed`, `ttl` and `detail` are its own.
    #[test]
    fn each_level_has_its_words_and_what_nobody_confirms_a_negative_ttl() {
        let all = [
            (CacheStatus::Memory, "drey; hit; detail=memory", "drey; hit; ttl=-2; detail=memory"),
            (CacheStatus::Shared, "drey; hit; detail=cache-api", "drey; hit; ttl=-2; detail=cache-api"),
            (CacheStatus::Redis, "drey; hit; detail=redis", "drey; hit; ttl=-2; detail=redis"),
            (CacheStatus::Absent, "drey; hit; detail=absent", "drey; hit; ttl=-2; detail=absent"),
            (CacheStatus::Collapsed, "drey; fwd=miss; collapsed", "drey; fwd=miss; collapsed"),
            (CacheStatus::Miss, "drey; fwd=miss", "drey; fwd=miss"),
        ];
        for (status, fresh, stale) in all {
            assert_eq!((status.header(0), status.header(1_001)), (fresh.to_owned(), stale.to_owned()));
        }
    }
}
