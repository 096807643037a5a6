//! Sessions of sync clients: what a client may send, where the streams end, how far each client is.

use drey_core::cursor::Cursor;
use drey_core::id::SessionId;
use drey_core::refusal::Code;
use drey_core::sync::{MAX_MUTATIONS, MAX_VALUE, Offset, ScopeRef, writer};
use drey_core::text::Name;
use drey_store::sync_session::{self, At, NewSession, ScopeEpoch, ScopePage, SyncSession};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::random;
use crate::problem::{Outcome, Problem};
use crate::routes::{PUSH_BYTES, written};

use super::CHUNK_BYTES;

/// Words a client says of itself.
const MOST_CAPABILITIES: usize = 32;
/// Streams a client may name as its own: as many as it may push mutations.
const MOST_POSITIONS: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SyncSessionOpen {
    client_id: String,
    client_name: Name,
    #[serde(default)]
    capabilities: Vec<String>,
    #[serde(default)]
    scopes: Vec<Position>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    #[serde(rename = "type")]
    scope_type: String,
    id: String,
    offset: String,
}

/// What the server takes at a time.
#[derive(Serialize)]
struct Limits {
    mutations_per_push: usize,
    push_bytes: u32,
    value_bytes: usize,
    chunk_bytes: u32,
}

const LIMITS: Limits = Limits {
    mutations_per_push: MAX_MUTATIONS,
    push_bytes: PUSH_BYTES,
    value_bytes: MAX_VALUE,
    chunk_bytes: CHUNK_BYTES,
};

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    session: &'a SyncSession,
    limits: Limits,
    scopes: &'a [ScopeEpoch],
    next_cursor: Option<String>,
}

/// Open a session. The streams that do not fit its answer are read from the session.
pub(in crate::routes) async fn open(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let body: SyncSessionOpen = call.json()?;
    let client = writer(&body.client_id)?;
    check_capabilities(&body.capabilities)?;
    let positions = positions(&body.scopes)?;
    let new = NewSession {
        id: random::session_id(),
        client: &client,
        name: &body.client_name,
        capabilities: &body.capabilities,
        positions: &positions,
    };
    let key = call.idempotency_key()?;
    let write = call.write(key.as_ref())?;
    let retention = call.request.app.config.sync;
    let (opened, page) = sync_session::open(&call.session()?, &write, workspace, &new, retention, SCOPES).await?;
    let path = format!("/v1/workspaces/{workspace}/sync/sessions/{}", opened.item.id);
    let answer = Answer::json(201, &shown(&opened.item, &page, &path))?.with("location", path);
    Ok(written::marked(answer, &opened))
}

/// Streams in the answer of a session that opens.
const SCOPES: u32 = 100;

fn shown<'a>(session: &'a SyncSession, page: &'a ScopePage, path: &str) -> Shown<'a> {
    let next_cursor = page.next.as_deref().map(|key| Cursor::encode_key(key, path));
    Shown { session, limits: LIMITS, scopes: &page.scopes, next_cursor }
}

fn check_capabilities(words: &[String]) -> Outcome<()> {
    let is_word = |word: &String| {
        (1..=64).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    let fits = words.len() <= MOST_CAPABILITIES && words.iter().all(is_word);
    let clause = "It has at most 32 words of 1 to 64 of A-Z a-z 0-9 _ - and dots.";
    if fits { Ok(()) } else { Err(Problem::field("/capabilities", clause)) }
}

fn positions(named: &[Position]) -> Outcome<Vec<At<'_>>> {
    if named.len() > MOST_POSITIONS {
        return Err(Problem::field("/scopes", "It names at most 500 scopes."));
    }
    let place = |(index, position): (usize, &'_ Position)| {
        let fault = |member: &str, clause: String| Problem::field(&format!("/scopes/{index}/{member}"), clause);
        ScopeRef::parse(&position.scope_type, &position.id).map_err(|error| fault("id", format!("It {error}.")))?;
        Offset::parse(&position.offset).map_err(|error| fault("offset", format!("It {error}.")))
    };
    let places = named.iter().enumerate().map(place).collect::<Outcome<Vec<_>>>()?;
    let at = |(position, offset)| {
        let Position { scope_type, id, .. }: &Position = position;
        At { scope_type, scope_id: id, offset }
    };
    Ok(named.iter().zip(places).map(at).collect())
}

/// List the sessions of a workspace.
pub(in crate::routes) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    let retention = call.request.app.config.sync;
    call.list(&sync_session::list(&call.session()?, workspace, retention, limit, after.as_ref()).await?)
}

/// Read a session: how far its client is, and where the streams end, page by page.
pub(in crate::routes) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let id = session(call)?;
    let limit = call.request.query.number("limit", 1..=100)?.unwrap_or(SCOPES);
    let path = &call.request.head.path;
    let after = call.request.query.get("cursor").map(|text| Cursor::decode_key(text, path)).transpose();
    let after = after.map_err(|_| {
        Problem::new(Code::InvalidCursor, "The cursor is not one of this list. Start again without it.")
    })?;
    let retention = call.request.app.config.sync;
    let (read, page) = sync_session::get(&call.session()?, workspace, id, retention, limit, after.as_deref()).await?;
    Answer::json(200, &shown(&read.item, &page, path))
}

fn session(call: &Call<'_>) -> Outcome<SessionId> {
    call.request.parameter("session", SessionId::parse)
}

/// End a session.
pub(in crate::routes) async fn end(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let ended = sync_session::end(&call.session()?, &call.write(None)?, workspace, session(call)?).await?;
    Ok(written::gone(&ended))
}
