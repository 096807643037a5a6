//! How the partitions of log and state fare, for the operator: sizes alone, of all tenants together.

use drey_store::sync_partition;
use serde_json::json;

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::Outcome;

/// Tell how large the partitions of log and state are, and when each was last vacuumed.
pub(in crate::routes) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    Answer::json(200, &json!({ "data": sync_partition::list(&call.session()?).await? }))
}
