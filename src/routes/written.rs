//! The answers of writes, and of reads of one item: entity tags, revisions, replays.

use drey_core::etag::{item_tag, version_tag};
use drey_store::{Read, Written, invitation, org, org_member, project, workspace, workspace_member};
use serde::Serialize;

use crate::answer::{Answer, Keep};
use crate::problem::Outcome;

/// A thing with a version.
pub(super) trait Item: Serialize {
    /// Whether its body is its own row, so that the version says all. Other bodies also show the caller's role, or a
    /// name and an address that change elsewhere, or what time has made of it.
    const IS_ITS_ROW: bool = false;

    /// Grows with each change of its row.
    fn version(&self) -> i64;
}

macro_rules! items {
    ($($item:ty),+ $(,)?) => {
        $(impl Item for $item {
            fn version(&self) -> i64 {
                self.version
            }
        })+
    };
}

items! {
    invitation::Invitation,
    org::Org,
    org_member::OrgMember,
    workspace::Workspace,
    workspace_member::WorkspaceMember,
}

impl Item for project::Project {
    const IS_ITS_ROW: bool = true;

    fn version(&self) -> i64 {
        self.version
    }
}

/// One item that was read, storable until the revision moves.
pub(super) fn found<T: Item>(found: &Read<T>) -> Outcome<Answer> {
    Ok(read(item(200, &found.item)?, found.revision))
}

/// What was read at a revision (0: of no tenant): the revision to send back, and to file a copy under.
#[must_use]
pub fn read(answer: Answer, revision: i64) -> Answer {
    if revision == 0 {
        return answer;
    }
    answer.with("x-drey-revision", revision.to_string()).keep(Keep::AtRevision(revision))
}

/// One item with its entity tag (RFC 9110 §8.8.3, strong): `If-Match` compares the version in it, `If-None-Match` all.
fn item<T: Item>(status: u16, item: &T) -> Outcome<Answer> {
    let answer = Answer::json(status, item)?;
    let tag = if T::IS_ITS_ROW { version_tag(item.version()) } else { item_tag(item.version(), &answer.body) };
    Ok(answer.with("etag", tag))
}

/// 201 with where the thing is. A replay answers the same and says so.
pub(super) fn created<T: Item>(written: &Written<T>, location: String) -> Outcome<Answer> {
    Ok(marked(item(201, &written.item)?.with("location", location), written))
}

/// 200 with the item as it is now.
pub(super) fn changed<T: Item>(written: &Written<T>) -> Outcome<Answer> {
    Ok(marked(item(200, &written.item)?, written))
}

/// 204.
pub(super) fn gone<T>(written: &Written<T>) -> Answer {
    marked(Answer::no_content(), written)
}

/// The revision to send back in `x-drey-revision` to read one's own write, and the mark of a replay.
pub(super) fn marked<T>(answer: Answer, written: &Written<T>) -> Answer {
    let answer = answer.with("x-drey-revision", written.revision.to_string());
    if written.replayed { answer.with("idempotent-replayed", "true") } else { answer }
}
