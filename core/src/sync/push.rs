//! A push: the shape of its body, and the order of its mutations.
//!
//! In scope: faults of the whole call. Out of scope: each mutation's own (see [`check`](super::check)).

use std::borrow::Cow;

use serde::Deserialize;

use super::{ClientId, Mutation};
use crate::id::{DivergenceId, SessionId};
use crate::object::objects;
use crate::refusal::{Code, Refusal};

/// The most mutations of one call.
pub const MAX_MUTATIONS: usize = 500;

/// The largest mutation id: above it, a client that counts in floats repeats itself.
const MAX_ID: i64 = 9_007_199_254_740_991;

/// The body of a push, borrowed from its text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push<'a> {
    /// Who pushes; checked by [`check_call`].
    #[serde(borrow)]
    pub client_id: Cow<'a, str>,
    /// The session of the client, if it keeps any: one that is not over is to be named.
    #[serde(default)]
    pub session_id: Option<SessionId>,
    /// The last mutation whose outcome the client has stored: outcomes up to it are forgotten.
    #[serde(default)]
    pub acked_mutation_id: Option<i64>,
    /// In the order of their ids.
    #[serde(borrow, deserialize_with = "objects")]
    pub mutations: Vec<Mutation<'a>>,
}

/// Checks the whole call and gives the client's id.
///
/// # Errors
/// `invalid-body` for a client id, an acknowledgement or a number of mutations that cannot be; `mutation-gap`, with
/// `expected_id`, when the ids are not consecutive.
pub fn check_call(push: &Push<'_>) -> Result<ClientId, Refusal> {
    let client = writer(&push.client_id)?;
    if push.acked_mutation_id.is_some_and(|id| !(0..=MAX_ID).contains(&id)) {
        return Err(out_of_range("/acked_mutation_id"));
    }
    if push.mutations.len() > MAX_MUTATIONS {
        let detail = "must hold at most 500 mutations";
        return Err(invalid("/mutations", format!("mutations {detail}."), detail.to_owned()));
    }
    check_order(&push.mutations)?;
    Ok(client)
}

/// The id of a client that may write: one that names a divergence is kept for the mutation that resolves it.
///
/// # Errors
/// `invalid-body` at `/client_id`.
pub fn writer(client_id: &str) -> Result<ClientId, Refusal> {
    let client = ClientId::parse(client_id)
        .map_err(|error| invalid("/client_id", format!("client_id {error}."), error.to_string()))?;
    if DivergenceId::parse(client_id).is_ok() {
        let clause = "must not be the id of a divergence";
        return Err(invalid("/client_id", format!("client_id {clause}."), clause.to_owned()));
    }
    Ok(client)
}

fn check_order(mutations: &[Mutation<'_>]) -> Result<(), Refusal> {
    if mutations.iter().any(|mutation| !(1..=MAX_ID).contains(&mutation.id)) {
        return Err(out_of_range("/mutations"));
    }
    for (earlier, later) in mutations.iter().zip(mutations.iter().skip(1)) {
        if later.id != earlier.id + 1 {
            let detail = format!("Mutation {} is followed by {}.", earlier.id, later.id);
            return Err(Refusal::new(Code::MutationGap, detail).with_extension("expected_id", earlier.id + 1));
        }
    }
    Ok(())
}

fn out_of_range(pointer: &str) -> Refusal {
    invalid(pointer, "A mutation id is out of range.".to_owned(), "must be a mutation id, 1 to 2^53 - 1".to_owned())
}

fn invalid(pointer: &str, sentence: String, clause: String) -> Refusal {
    Refusal::new(Code::InvalidBody, sentence).with_error(pointer, clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(client: &str, ids: &[i64]) -> Result<ClientId, Refusal> {
        let of = |id: &i64| {
            format!(
                r#"{{"id":{id},"scope":{{"type":"user","id":"u"}},"entity":{{"type":"a","id":"b"}},"op":"delete"}}"#
            )
        };
        let mutations: Vec<String> = ids.iter().map(of).collect();
        let body = format!(r#"{{"client_id":"{client}","mutations":[{}]}}"#, mutations.join(","));
        check_call(&serde_json::from_str(&body).expect("push"))
    }

    #[test]
    fn ids_are_consecutive() {
        assert!(called("c1", &[]).is_ok());
        assert!(called("c1", &[7, 8, 9]).is_ok());
        for ids in [[7, 9], [7, 7], [7, 6]] {
            let refusal = called("c1", &ids).expect_err("a gap");
            assert_eq!((refusal.code, refusal.extensions), (Code::MutationGap, vec![("expected_id", 8)]));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let code = |client: &str, ids: &[i64]| called(client, ids).map_err(|refusal| refusal.code).err();
        assert_eq!(code("c/1", &[1]), Some(Code::InvalidBody));
        assert_eq!(code(&DivergenceId::from_uuid(uuid::Uuid::nil()).to_string(), &[1]), Some(Code::InvalidBody));
        assert_eq!(code("c1", &[0]), Some(Code::InvalidBody));
        assert_eq!(code("c1", &[MAX_ID + 1]), Some(Code::InvalidBody));
        let many: Vec<i64> = (1..=501).collect();
        assert_eq!(code("c1", &many), Some(Code::InvalidBody));
    }
}
