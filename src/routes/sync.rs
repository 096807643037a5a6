//! Documents: pushing mutations and reading the log of a scope (Durable Streams, catch-up).

use std::borrow::Cow;

use drey_core::refusal::Code;
use drey_core::sync::{ClientId, Mutation, Offset, Push, ReadFrom, ScopeRef, ScopeType, check, check_call};
use drey_store::sync_push::{self, PushCall, PushMutation, PushReject};
use drey_store::sync_read::{self, Chunk};

use crate::answer::Answer;
use crate::call::Call;
use crate::json;
use crate::problem::{Outcome, Problem};
use crate::routes::written;

/// A chunk's fixed cap (design §4). It never changes within a generation: a closed chunk is immutable.
const CHUNK_BYTES: u32 = 1024 * 1024;

/// Push mutations of documents.
///
/// 1. The call's own faults refuse all of it.
/// 2. Each mutation is checked; one that can never be applied is recorded as rejected.
/// 3. Postgres applies all or, where a base is stale, none, in one round trip.
pub(super) async fn push(call: &Call<'_>) -> Outcome<Answer> {
    let access = call.workspace()?;
    let push: Push<'_> = json::parse_borrowed(&call.body)?;
    let client = check_call(&push)?;
    let checked =
        push.mutations.iter().map(|mutation| Checked::new(call, mutation, &client)).collect::<Outcome<Vec<_>>>()?;
    let mutations: Vec<_> = checked.iter().map(Checked::row).collect();
    let pushed = PushCall {
        workspace: access.workspace,
        client_id: client.as_str(),
        session: push.session_id,
        acked: push.acked_mutation_id,
        mutations: &mutations,
    };
    let result = sync_push::push(&call.session()?, &pushed).await?;
    let body = format!(
        r#"{{"results":{},"last_mutation_id":{},"scopes":{}}}"#,
        result.results, result.last_mutation_id, result.scopes
    );
    Ok(Answer::bytes(200, "application/json", body.into_bytes()))
}

/// A mutation with core's verdict and its clock as text.
struct Checked<'a> {
    mutation: &'a Mutation<'a>,
    clock: String,
    rejection: Option<(&'static str, Cow<'static, str>)>,
}

impl<'a> Checked<'a> {
    fn new(call: &Call<'_>, mutation: &'a Mutation<'a>, client: &ClientId) -> Outcome<Self> {
        let clock = serde_json::to_string(&mutation.clock).map_err(|error| Problem::internal(error.to_string()))?;
        let rejection = match check(mutation, client) {
            Err(rejection) => Some((rejection.code, rejection.detail)),
            Ok(()) => foreign_user_scope(call, mutation)?,
        };
        Ok(Self { mutation, clock, rejection })
    }

    fn row(&self) -> PushMutation<'_> {
        let mutation = self.mutation;
        if let Some((code, detail)) = &self.rejection {
            return rejected(mutation.id, PushReject { code, detail });
        }
        PushMutation {
            id: mutation.id,
            scope_type: &mutation.scope.scope_type,
            scope_id: &mutation.scope.id,
            entity_type: &mutation.entity.entity_type,
            entity_id: &mutation.entity.id,
            op: &mutation.op,
            base_version: mutation.base_version,
            clock: &self.clock,
            value: mutation.value.map(serde_json::value::RawValue::get),
            reject: None,
        }
    }
}

/// A refused mutation is recorded by its number alone: its texts may be what Postgres cannot hold, and its value what
/// nobody may keep.
fn rejected(id: i64, reject: PushReject<'_>) -> PushMutation<'_> {
    PushMutation {
        id,
        scope_type: "",
        scope_id: "",
        entity_type: "",
        entity_id: "",
        op: "",
        base_version: None,
        clock: "{}",
        value: None,
        reject: Some(reject),
    }
}

/// A user's own scope is his alone, whatever roles others have.
fn foreign_user_scope(call: &Call<'_>, mutation: &Mutation<'_>) -> Outcome<Option<(&'static str, Cow<'static, str>)>> {
    let own = call.principal()?.user.to_string();
    let foreign = mutation.scope.scope_type == ScopeType::User.as_str() && mutation.scope.id != own;
    Ok(foreign.then_some(("unknown-scope", Cow::Borrowed("There is no such scope."))))
}

/// Read the log of a scope from an offset.
pub(super) async fn read(call: &Call<'_>) -> Outcome<Answer> {
    let access = call.workspace()?;
    let scope = scope(call)?;
    let from = ReadFrom::parse(call.request.query.get("offset").unwrap_or("-1"))
        .map_err(|error| Problem::new(Code::InvalidOffset, format!("The offset {error}.")))?;
    let after = match from {
        ReadFrom::At(offset) => offset.epoch(),
        ReadFrom::Start | ReadFrom::Now => 0,
    };
    let scope_type = scope.scope_type().as_str();
    // From `now` nothing but the tail is wanted: a chunk of no bytes.
    let bytes = if from == ReadFrom::Now { 0 } else { CHUNK_BYTES };
    let chunk = sync_read::read(&call.session()?, access.workspace, scope_type, scope.id(), after, bytes).await?;
    let chunk = chunk.ok_or_else(Problem::not_found)?;
    match from {
        ReadFrom::Now => tail(&chunk),
        // The beginning names no generation: after a restore the same question has another answer.
        ReadFrom::Start => {
            let exists = chunk.floor == 0;
            Ok(catch_up(chunk, exists)?.with("cache-control", "private, no-cache"))
        }
        ReadFrom::At(offset) => {
            let exists = offset.generation() == chunk.generation && (chunk.floor..=chunk.epoch).contains(&after);
            let (closed, revision) = (chunk.closed, chunk.revision);
            let answer = catch_up(chunk, exists)?;
            Ok(if closed { written::read(answer, revision) } else { answer })
        }
    }
}

fn scope(call: &Call<'_>) -> Outcome<ScopeRef> {
    let scope_type = call.request.parameter("scope_type", |text| ScopeType::parse(text).ok_or(()))?;
    let scope = call.request.parameter("scope_id", |id| ScopeRef::parse(scope_type.as_str(), id))?;
    let foreign = scope_type == ScopeType::User && scope.id() != call.principal()?.user.to_string();
    if foreign { Err(Problem::not_found()) } else { Ok(scope) }
}

/// The tail without messages. Never cached: the answer is another one a moment later.
fn tail(chunk: &Chunk) -> Outcome<Answer> {
    let answer = Answer::bytes(200, "application/json", b"[]".to_vec()).with("cache-control", "no-store");
    let answer = answer.with("stream-next-offset", offset(chunk.generation, chunk.epoch)?);
    Ok(answer.with("stream-up-to-date", "true"))
}

/// Messages from an offset. A full chunk never changes again; the last one is asked for again each time.
fn catch_up(chunk: Chunk, exists: bool) -> Outcome<Answer> {
    if !exists {
        let detail = "The log does not hold this offset. Start again with offset=-1.";
        return Err(Problem::new(Code::OffsetGone, detail));
    }
    // The same messages with more to come are another answer: its reader must not take them for the tail.
    let closed = if chunk.closed { ":closed" } else { "" };
    let tag = format!("\"{}:{}:{}{closed}\"", chunk.generation, chunk.start, chunk.end);
    let answer = Answer::bytes(200, "application/json", chunk.messages.into_bytes()).with("etag", tag);
    let answer = answer.with("stream-next-offset", offset(chunk.generation, chunk.end)?);
    if chunk.closed {
        return Ok(answer);
    }
    Ok(answer.with("stream-up-to-date", "true").with("cache-control", "private, no-cache"))
}

fn offset(generation: i64, epoch: i64) -> Outcome<String> {
    let offset = Offset::new(generation, epoch);
    offset.map(|offset| offset.to_string()).ok_or_else(|| Problem::internal("the scope has an impossible epoch"))
}
