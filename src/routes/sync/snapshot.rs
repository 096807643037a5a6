//! The state of a scope at an epoch, in pages that never change: who reads it and then the log from there has everything,
//! and no history is replayed.

use drey_core::refusal::Code;
use drey_core::sync::{EntityKey, Offset, ReadFrom, ScopeRef, Snapshot, SnapshotPage};
use drey_store::sync_snapshot::{self, Page};

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::{Outcome, Problem};
use crate::routes::sync::{gone, read_chunk};
use crate::routes::written;

/// A page's fixed cap. It never changes: another one would cut other pages.
const PAGE_BYTES: u32 = 1024 * 1024;

/// The answer, if the offset speaks of a snapshot.
pub(super) async fn read(call: &Call<'_>, scope: &ScopeRef) -> Outcome<Option<Answer>> {
    let offset = call.request.query.get("offset").unwrap_or_default();
    let asked =
        Snapshot::parse(offset).map_err(|error| Problem::new(Code::InvalidOffset, format!("The offset {error}.")))?;
    match asked {
        None => Ok(None),
        Some(Snapshot::Newest) => newest(call, scope).await.map(Some),
        Some(Snapshot::Page(page)) => self::page(call, scope, page).await.map(Some),
    }
}

/// Where the snapshots of a scope begin.
pub(super) fn address(call: &Call<'_>) -> String {
    format!("{}?offset=snapshot", call.request.head.path)
}

/// 307 to the snapshot of this moment. For five seconds everybody is sent to the same one.
async fn newest(call: &Call<'_>, scope: &ScopeRef) -> Outcome<Answer> {
    let tail = read_chunk(call, scope, ReadFrom::Now).await?;
    let at = Offset::new(tail.generation, tail.epoch).ok_or_else(|| gone(call))?;
    let page = SnapshotPage { at, after: None };
    let answer = Answer { status: 307, ..Answer::no_content() };
    let location = format!("{}?offset={page}", call.request.head.path);
    Ok(answer.with("location", location).with("cache-control", "private, max-age=5"))
}

async fn page(call: &Call<'_>, scope: &ScopeRef, asked: SnapshotPage) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let after = asked.after.as_ref().map(|entity| (entity.entity_type(), entity.id()));
    let scope_type = scope.scope_type().as_str();
    let session = call.session()?;
    let page =
        sync_snapshot::page(&session, workspace, scope_type, scope.id(), asked.at.epoch(), after, PAGE_BYTES).await?;
    let page = page.ok_or_else(Problem::not_found)?;
    // From below the floor the log does not go on.
    let exists =
        page.exact && page.generation == asked.at.generation() && (page.floor..=page.epoch).contains(&asked.at.epoch());
    if exists { answer(&asked, page) } else { Err(gone(call)) }
}

fn answer(asked: &SnapshotPage, page: Page) -> Outcome<Answer> {
    let next = if page.closed { next(asked, &page)?.to_string() } else { asked.at.to_string() };
    let revision = page.revision;
    let answer =
        Answer::bytes(200, "application/json", page.messages.into_bytes()).with("etag", format!("\"{asked}\""));
    Ok(written::read(answer.with("stream-next-offset", next), revision))
}

fn next(asked: &SnapshotPage, page: &Page) -> Outcome<SnapshotPage> {
    let (entity_type, id) = page.last.as_ref().ok_or_else(|| Problem::internal("a closed page has no entity"))?;
    let last = EntityKey::parse(entity_type, id).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(SnapshotPage { at: asked.at, after: Some(last) })
}
