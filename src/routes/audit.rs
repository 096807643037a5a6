//! Who changed what, and when.

use drey_store::audit_event;

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::Outcome;

/// List what changed and who did it.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    call.list(&audit_event::list(&call.session()?, workspace, limit, after.as_ref()).await?)
}
