//! Documents: pushing mutations, reading the log of a scope (Durable Streams, catch-up), divergences, sessions, partitions.

pub(super) mod divergences;
mod live;
pub(super) mod partitions;
pub(super) mod push;
pub(super) mod sessions;
mod snapshot;

use drey_core::refusal::Code;
use drey_core::sync::{EPOCH_END, Offset, ReadFrom, ScopeRef, ScopeType};
use drey_store::sync_read::{self, Chunk};

use crate::answer::Answer;
use crate::call::Call;
use crate::feeds::{self, Moved};
use crate::problem::{Outcome, Problem};
use crate::routes::written;
use crate::wakes;

/// A chunk's fixed cap (design §4). It never changes within a generation: a closed chunk is immutable.
const CHUNK_BYTES: u32 = 1024 * 1024;

/// Read the log of a scope from an offset.
pub(super) async fn read(call: &Call<'_>) -> Outcome<Answer> {
    let access = call.workspace()?;
    let scope = scope(call)?;
    if let Some(answer) = snapshot::read(call, &scope).await? {
        return Ok(answer);
    }
    let offset = call.request.query.get("offset");
    // `HEAD` asks about the stream, and how long it is; a part of it only by its offset.
    let whole = if call.request.head.method == "HEAD" { "now" } else { "-1" };
    let from = ReadFrom::parse(offset.unwrap_or(whole))
        .map_err(|error| Problem::new(Code::InvalidOffset, format!("The offset {error}.")))?;
    if let Some(mode) = live::mode(call)? {
        offset.ok_or_else(|| Problem::parameter("offset", "A live read says from where."))?;
        return live::read(call, &access, &scope, from, mode).await;
    }
    let chunk = read_chunk(call, &scope, from).await?;
    match from {
        ReadFrom::Now => tail(&chunk),
        // The beginning names no generation: after a restore the same question has another answer.
        ReadFrom::Start => Ok(catch_up(chunk)?.with("cache-control", "private, no-cache")),
        ReadFrom::At(_) => {
            let (closed, revision) = (chunk.closed, chunk.revision);
            let answer = catch_up(chunk)?;
            Ok(if closed { written::read(answer, revision) } else { answer })
        }
    }
}

/// The part of the log from there, as the caller may see it; a place that the log does not hold is gone.
async fn read_chunk(call: &Call<'_>, scope: &ScopeRef, from: ReadFrom) -> Outcome<Chunk> {
    let workspace = call.workspace()?.workspace;
    let after = match from {
        ReadFrom::At(offset) => offset.epoch(),
        ReadFrom::Start => 0,
        // Nothing but the tail is wanted.
        ReadFrom::Now => EPOCH_END,
    };
    let scope_type = scope.scope_type().as_str();
    let chunk = sync_read::read(&call.session()?, workspace, scope_type, scope.id(), after, CHUNK_BYTES).await?;
    let chunk = chunk.ok_or_else(Problem::not_found)?;
    let exists = match from {
        ReadFrom::Now => true,
        ReadFrom::Start => chunk.floor == 0,
        ReadFrom::At(offset) => offset.generation() == chunk.generation && (chunk.floor..=chunk.epoch).contains(&after),
    };
    if exists { Ok(chunk) } else { Err(gone(call)) }
}

/// The log does not go back so far, or had another life then: the reader begins again where the problem says.
fn gone(call: &Call<'_>) -> Problem {
    let detail = "The log does not hold this offset. Start again with the snapshot, or with offset=-1.";
    let snapshot = snapshot::address(call);
    Problem { extension: Some(("snapshot", snapshot.into())), ..Problem::new(Code::OffsetGone, detail) }
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
fn catch_up(chunk: Chunk) -> Outcome<Answer> {
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

/// Tells who waits for these scopes that a write has moved them: at their feeds, and in the workspace's room.
fn tell(call: &Call<'_>, moved: Vec<Moved>) -> Outcome<()> {
    let workspace = call.workspace()?.workspace;
    let hint = call.grant().map(|grant| grant.region);
    wakes::tell(call.request, workspace, moved.iter().map(|moved| moved.news.clone()).collect());
    feeds::tell(call.request, hint, workspace, moved);
    Ok(())
}
