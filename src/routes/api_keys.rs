//! API keys: shown once, known by their digest, ended by rotation, revocation or their creator's leaving.
//!
//! The secret in a key is an HMAC of its id and a seed from the runtime's generator, under a secret of the environment. A
//! replayed create is made from the same seed and shows the same key, although nothing that opens a door is stored: the
//! database knows the seed (for a day, with the replay) and not the secret, the environment the secret and not the seed.

use drey_core::api_key::{AddressRange, Scopes, compose};
use drey_core::id::{ApiKeyId, ProjectId};
use drey_core::text::Name;
use drey_core::time::Timestamp;
use drey_durable_objects::workspace_gate::Subject;
use drey_store::Written;
use drey_store::api_key::{self, Made, Minted};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::edge::{clock, random};
use crate::notices::Notice;
use crate::problem::{Outcome, Problem};
use crate::routes::orgs::news;
use crate::routes::written;

/// Seven days: whoever has not replaced a key by then has forgotten it.
const MOST_OVERLAP_SECONDS: u32 = 604_800;
/// Longer lists belong in a firewall.
const MOST_ADDRESSES: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKeyCreate {
    name: Name,
    scopes: Scopes,
    project_id: Option<ProjectId>,
    #[serde(default)]
    allowed_addresses: Vec<AddressRange>,
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKeyRotate {
    overlap_seconds: u32,
    expires_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct ApiKeyCreated<'a> {
    #[serde(flatten)]
    api_key: &'a api_key::ApiKey,
    key: String,
}

/// Create an API key. The answer holds it; it is never shown again.
pub(super) async fn create(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let body: ApiKeyCreate = call.json()?;
    in_the_future(body.expires_at)?;
    if body.allowed_addresses.len() > MOST_ADDRESSES {
        return Err(Problem::field("/allowed_addresses", "It has at most 20 addresses or ranges."));
    }
    let new = api_key::NewApiKey {
        minted: &mint(call)?,
        name: &body.name,
        scopes: body.scopes,
        project: body.project_id,
        allowed_addresses: &body.allowed_addresses,
        expires_at: body.expires_at,
    };
    let key = call.idempotency_key()?;
    let made = api_key::create(&call.session()?, &call.write(key.as_ref())?, workspace, &new).await?;
    call.tell(Notice::Changed(Subject::Workspace(workspace), news(&made, false)));
    shown(call, &made)
}

/// List API keys. Never from a copy: when a key was last used moves no revision.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    let page = api_key::list(&call.session()?, workspace, limit, after.as_ref()).await?;
    Ok(call.list(&page)?.keep(Keep::Never))
}

/// Replace an API key by a new one. Whoever remembers the old one hears of its nearer end before this is answered; a socket
/// of it is closed, because it was opened until a later one.
pub(super) async fn rotate(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let former = call.request.parameter("key", ApiKeyId::parse)?;
    let body: ApiKeyRotate = call.json()?;
    in_the_future(body.expires_at)?;
    if body.overlap_seconds > MOST_OVERLAP_SECONDS {
        return Err(Problem::field("/overlap_seconds", "It is a whole number from 0 to 604800, which is seven days."));
    }
    let minted = mint(call)?;
    let rotation =
        api_key::Rotation { minted: &minted, overlap_seconds: body.overlap_seconds, expires_at: body.expires_at };
    let key = call.idempotency_key()?;
    let write = call.write(key.as_ref())?;
    let made = api_key::rotate(&call.session()?, &write, workspace, former, &rotation).await?;
    let former_user = made.item.1;
    let made = made.map(|(made, _)| made);
    // A replay narrows nothing: fifty of them would keep the gate asking after roles that nobody changed.
    if !made.replayed {
        call.tell(Notice::Narrowed(Subject::Workspace(workspace), news(&made, true)));
        if let Some(user) = former_user {
            call.tell(Notice::Removed(workspace, user));
        }
    }
    shown(call, &made)
}

/// Revoke an API key: no isolate takes it a second after this is answered, and no write from now on. The room knows its
/// sockets by their user: all of his are closed, and whoever still may comes back.
pub(super) async fn revoke(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let id = call.request.parameter("key", ApiKeyId::parse)?;
    let revoked = api_key::revoke(&call.session()?, &call.write(None)?, workspace, id).await?;
    call.tell(Notice::Narrowed(Subject::Workspace(workspace), news(&revoked, true)));
    call.tell(Notice::Removed(workspace, revoked.item));
    Ok(written::gone(&revoked))
}

/// A key that would be over before it is used is a mistake. Postgres asks again by its own clock.
fn in_the_future(expires_at: Option<Timestamp>) -> Outcome<()> {
    let over = expires_at.is_some_and(|end| end.to_millis() <= clock::now_ms());
    if over { Err(Problem::field("/expires_at", "It lies in the future.")) } else { Ok(()) }
}

fn mint(call: &Call<'_>) -> Outcome<Minted> {
    let (id, seed) = (random::api_key_id(), random::bytes());
    Ok(Minted { id, seed, digest: Sha256::digest(text(call, id, &seed)?.as_bytes()).into() })
}

/// The key's text: 256 bits that need both the seed and the environment's secret.
fn text(call: &Call<'_>, id: ApiKeyId, seed: &[u8; 32]) -> Outcome<String> {
    let config = &call.request.app.config;
    let mac = Hmac::<Sha256>::new_from_slice(config.api_key_secret.expose().as_bytes());
    let mut mac = mac.map_err(|error| Problem::internal(format!("API_KEY_SECRET: {error}")))?;
    mac.update(b"drey api key ");
    mac.update(id.uuid().as_bytes());
    mac.update(seed);
    Ok(compose(config.environment.of_keys(), id, &mac.finalize().into_bytes().into()))
}

fn shown(call: &Call<'_>, made: &Written<Made>) -> Outcome<Answer> {
    let api_key = &made.item.api_key;
    let key = text(call, api_key.id, &made.item.seed)?;
    Ok(written::marked(Answer::json(201, &ApiKeyCreated { api_key, key })?, made))
}
