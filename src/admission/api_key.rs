//! API keys: from the text of one to a principal, remembered by its digest.
//!
//! A remembered key is as true as the epoch it was seen at. Every grant of its workspace's gate carries the newest epoch
//! of narrowed access, and when that has moved the key is looked up again: a revoked key stops with the lease (≤ 1 s).

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::api_key::{AddressRange, Scope, Scopes, parse};
use drey_core::id::{ApiKeyId, ProjectId, UserId, WorkspaceId};
use drey_core::lease::Grant;
use drey_core::refusal::Code;
use drey_core::trace::Traceparent;
use drey_store::api_key::{self, Found};
use drey_store::{Caller, Deadline, Session, Timings};
use lru::LruCache;
use sha2::{Digest, Sha256};

use super::{Principal, flood};
use crate::edge::{clock, random};
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::routes::ByKey;

/// Keys kept per isolate: 4,096 of them are about 1 MB.
const MOST_KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// How often an isolate notes that a key is in use.
const NOTE_EVERY_MS: u64 = 60_000;
/// How long noting it may take; nobody waits for it.
const NOTE_MS: u64 = 2_000;
/// The end of a key that has none: the last millisecond of the year 9999.
const NEVER_MS: u64 = 253_402_300_799_999;

/// A verified key.
#[derive(Debug)]
pub struct HeldKey {
    /// Its id: whose limits count.
    pub id: ApiKeyId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// The only project it sees.
    pub project: Option<ProjectId>,
    scopes: Scopes,
    allowed: Vec<AddressRange>,
    digest: [u8; 32],
    authz_epoch: i64,
    noted_ms: Cell<u64>,
}

/// The keys this isolate has verified.
#[derive(Debug)]
pub struct ApiKeys {
    entries: RefCell<LruCache<[u8; 32], Principal>>,
}

impl Default for ApiKeys {
    fn default() -> Self {
        Self { entries: RefCell::new(LruCache::new(MOST_KEPT)) }
    }
}

impl ApiKeys {
    fn find(&self, digest: &[u8; 32]) -> Option<Principal> {
        self.entries.borrow_mut().get(digest).cloned()
    }

    fn keep(&self, digest: [u8; 32], principal: Principal) {
        self.entries.borrow_mut().put(digest, principal);
    }

    fn forget(&self, digest: &[u8; 32]) {
        self.entries.borrow_mut().pop(digest);
    }
}

/// The principal of a key. Only a key that this isolate does not know is charged to its address, and one whose checksum
/// does not fit is looked up nowhere.
pub(super) async fn verify(request: &Request<'_>, text: &str) -> Outcome<Principal> {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let known = request.app.api_keys.find(&digest);
    let principal = if let Some(principal) = known { principal } else { stranger(request, text, digest).await? };
    if principal.expires_ms <= clock::now_ms() {
        request.app.api_keys.forget(&digest);
        return Err(refused(Code::TokenExpired, "The API key has expired."));
    }
    comes_from_allowed(request, &principal)?;
    Ok(principal)
}

async fn stranger(request: &Request<'_>, text: &str, digest: [u8; 32]) -> Outcome<Principal> {
    flood::stranger(request).await?;
    let environment = request.app.config.environment.of_keys();
    parse(environment, text).map_err(|error| refused(Code::InvalidToken, &error.to_string()))?;
    look_up(request, digest, 0).await
}

/// The principal as he is at the epoch of this grant.
pub(super) async fn at_epoch(request: &Request<'_>, principal: Principal, grant: &Grant) -> Outcome<Principal> {
    let Some(key) = &principal.key else { return Ok(principal) };
    if grant.authz_epoch <= key.authz_epoch {
        return Ok(principal);
    }
    let renewed = look_up(request, key.digest, key.noted_ms.get()).await?;
    if renewed.expires_ms <= clock::now_ms() {
        return Err(refused(Code::TokenExpired, "The API key has expired."));
    }
    Ok(renewed)
}

/// Asks Postgres, which answers key and epoch from one snapshot.
async fn look_up(request: &Request<'_>, digest: [u8; 32], noted_ms: u64) -> Outcome<Principal> {
    let context = request.context;
    let neon = &request.app.neon;
    let session = Session::new(neon, Caller::default(), context.deadline, &context.trace, &context.timings);
    let Some(found) = api_key::find(&session, &digest).await? else {
        request.app.api_keys.forget(&digest);
        return Err(unknown());
    };
    let principal = principal(found, digest, noted_ms);
    request.app.api_keys.keep(digest, principal.clone());
    Ok(principal)
}

fn principal(found: Found, digest: [u8; 32], noted_ms: u64) -> Principal {
    let key = HeldKey {
        id: found.id,
        workspace: found.workspace,
        project: found.project,
        scopes: found.scopes,
        allowed: found.allowed_addresses,
        digest,
        authz_epoch: found.authz_epoch,
        noted_ms: Cell::new(noted_ms),
    };
    Principal {
        user: found.created_by,
        name: Some(found.name),
        expires_ms: found.expires_at.map_or(NEVER_MS, drey_core::time::Timestamp::to_millis),
        key: Some(Rc::new(key)),
    }
}

/// The address is the platform's; where there is none a key with a list is of no use.
fn comes_from_allowed(request: &Request<'_>, principal: &Principal) -> Outcome<()> {
    let Some(key) = principal.key.as_ref().filter(|key| !key.allowed.is_empty()) else { return Ok(()) };
    let address = request.context.address.parse().ok().filter(|address: &IpAddr| !address.is_unspecified());
    let allowed = address.is_some_and(|address| key.allowed.iter().any(|range| range.contains(address)));
    let detail = "This API key may not be used from your address.";
    if allowed { Ok(()) } else { Err(Problem::new(Code::AddressNotAllowed, detail)) }
}

/// Whether the row is open to the key. A row that is closed to it is closed before its role is looked at.
pub(super) fn permits(request: &Request<'_>, key: &HeldKey) -> Outcome<()> {
    match request.route.policy.by_key {
        ByKey::Never => Err(too_narrow("API keys cannot call this route: it takes a person's token.", None)),
        ByKey::Workspace(_) if key.project.is_some() => {
            Err(too_narrow("This API key is restricted to one project, and this route is not of a project.", None))
        }
        ByKey::Workspace(scope) | ByKey::Project(scope) if !key.scopes.contains(scope) => {
            Err(too_narrow(format!("This needs an API key with the scope `{scope}`."), Some(scope)))
        }
        ByKey::Workspace(_) | ByKey::Project(_) => Ok(()),
    }
}

/// Notes that the key is in use, at most once a minute in this isolate and never on the request's way. Its trace is its own:
/// it is not the request's work.
pub(super) fn note_use(request: &Request<'_>, user: UserId, key: &HeldKey) {
    let now_ms = clock::now_ms();
    if now_ms < key.noted_ms.get().saturating_add(NOTE_EVERY_MS) {
        return;
    }
    key.noted_ms.set(now_ms);
    let (app, workspace, id) = (Rc::clone(request.app), key.workspace, key.id);
    request.worker.wait_until(async move {
        let (trace, timings) = (Traceparent::new(random::bytes()).to_string(), Timings::default());
        let caller = Caller { user: Some(user), workspace: Some(workspace), ..Caller::default() };
        let session = Session::new(&app.neon, caller, Deadline::at(now_ms + NOTE_MS), &trace, &timings);
        if let Err(error) = api_key::used(&session, workspace, id).await {
            tracing::debug!(target: "api_key", %error, "use not noted");
        }
    });
}

/// What a key is told whose creator has no access any more, or that is none.
pub(super) fn unknown() -> Problem {
    refused(Code::InvalidToken, "There is no such API key, or it was revoked, or its creator lost access.")
}

fn too_narrow(detail: impl Into<String>, scope: Option<Scope>) -> Problem {
    let scope = scope.map(|scope| format!(", scope=\"{scope}\"")).unwrap_or_default();
    let challenge = format!("Bearer realm=\"drey\", error=\"insufficient_scope\"{scope}");
    Problem::new(Code::InsufficientScope, detail.into()).with_header("www-authenticate", challenge)
}

fn refused(code: Code, detail: &str) -> Problem {
    let challenge = format!("Bearer realm=\"drey\", error=\"invalid_token\", error_description=\"{detail}\"");
    Problem::new(code, detail.to_owned()).with_header("www-authenticate", challenge)
}
