//! The answers of writes, and of reads of one item: entity tags, revisions, replays.

use drey_core::etag::version_tag;
use drey_store::Written;
use serde::Serialize;

use crate::answer::Answer;
use crate::problem::Outcome;

/// One item: its entity tag is its version (RFC 9110 §8.8.3, strong).
pub(super) fn item(item: &impl Serialize, version: i64) -> Outcome<Answer> {
    Ok(Answer::json(200, item)?.with("etag", version_tag(version)))
}

/// 201 with where the thing is. A replay answers the same and says so.
pub(super) fn created<T: Serialize>(written: &Written<T>, location: &str, version: i64) -> Outcome<Answer> {
    let answer = Answer::json(201, &written.item)?.with("location", location).with("etag", version_tag(version));
    Ok(marked(answer, written))
}

/// 200 with the item as it is now.
pub(super) fn changed<T: Serialize>(written: &Written<T>, version: i64) -> Outcome<Answer> {
    Ok(marked(item(&written.item, version)?, written))
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
