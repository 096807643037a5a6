//! The caller himself.

use drey_store::user;

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::Outcome;

/// Tell who is calling.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let me = user::me(&call.session()?).await?;
    Answer::json(200, &me)
}
