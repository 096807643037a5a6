//! The operator: who runs this deployment. One bearer token, a secret of the environment; no user, role or API key is it.

use drey_core::limit::Tier;
use drey_core::refusal::Code;
use sha2::{Digest, Sha256};

use super::{Admitted, credential, flood};
use crate::call::Access;
use crate::edge::boundary::Header;
use crate::problem::{Outcome, Problem};
use crate::request::Request;

/// Admits the operator. Any other credential is unknown here and is charged like one, before it is refused.
pub(super) async fn admit(request: &Request<'_>, tier: Tier, cost: u32) -> Outcome<Admitted> {
    if !is_operator(request) {
        flood::stranger(request).await?;
        return Err(refused());
    }
    let limits = flood::by_address(request, tier, cost).await?;
    Ok(Admitted { access: Access::Operator, limits, daily: None })
}

/// Digests are compared, not texts: how long it takes tells nothing about the token.
fn is_operator(request: &Request<'_>) -> bool {
    let Some(token) = &request.app.config.operator_token else { return false };
    let sent = request.head.header(Header::Authorization).and_then(|header| credential::bearer(header).ok());
    sent.is_some_and(|sent| Sha256::digest(sent.as_bytes()) == Sha256::digest(token.expose().as_bytes()))
}

/// The same whether the token is wrong, missing, or none is configured.
fn refused() -> Problem {
    let detail = "This is the operator's: send `Authorization: Bearer <OPERATOR_TOKEN>`.";
    Problem::new(Code::Unauthenticated, detail).with_header("www-authenticate", "Bearer realm=\"drey operator\"")
}
