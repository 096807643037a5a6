//! Who changed what, and when.

use drey_store::{StoreError, audit_event};

use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::problem::Outcome;

/// List what changed and who did it.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    let session = call.lagging_session()?;
    let listed = match audit_event::list(&session, workspace, limit, after.as_ref()).await {
        // The gate has let him in: a replica that knows neither him nor the workspace is behind that.
        Err(StoreError::Refused(_)) if !session.is_current() => {
            audit_event::list(&call.session()?, workspace, limit, after.as_ref()).await?
        }
        listed => listed?,
    };
    let answer = call.list(&listed)?;
    // A copy of what may lag would stay behind the revision that it is filed under.
    Ok(if session.is_current() { answer } else { answer.keep(Keep::Never) })
}
