//! Invitations: a token that is shown once, works once and ends.
//!
//! The token is derived from the invitation's id and a secret of the environment, so a replayed create can show it
//! again although only its digest is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drey_core::id::{InvitationId, WorkspaceId};
use drey_core::role::{OrgRole, WorkspaceRole};
use drey_core::text::Email;
use drey_durable_objects::workspace_gate::{News, Subject};
use drey_store::{Secret, invitation};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::random;
use crate::notices::Notice;
use crate::problem::{Outcome, Problem};
use crate::routes::orgs::news;
use crate::routes::written;

/// Tokens of drey say what they are, so that secret scanners find them.
const TOKEN_PREFIX: &str = "drey_inv_";
/// A week: long enough for a holiday, short enough to forget.
const DEFAULT_HOURS: u32 = 168;
/// Thirty days.
const MOST_HOURS: u32 = 720;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationCreate {
    email: Email,
    role: OrgRole,
    workspace_id: Option<WorkspaceId>,
    workspace_role: Option<WorkspaceRole>,
    expires_in_hours: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationAccept {
    token: String,
}

#[derive(Serialize)]
struct InvitationCreated<'a> {
    #[serde(flatten)]
    invitation: &'a invitation::Invitation,
    token: String,
}

/// Invite a person by e-mail address. The answer holds the token; it is never shown again.
pub(super) async fn create(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let body: InvitationCreate = call.json()?;
    let id = random::invitation_id();
    let secret = &call.request.app.config.invitation_secret;
    let new = invitation::NewInvitation {
        id,
        email: &body.email,
        role: body.role,
        workspace: workspace(&body)?,
        token_digest: digest(&token(secret, id)?),
        expires_in_hours: hours(&body)?,
    };
    let key = call.idempotency_key()?;
    let made = invitation::create(&call.session()?, &call.write(key.as_ref())?, org, &new).await?;
    let shown = InvitationCreated { invitation: &made.item, token: token(secret, made.item.id)? };
    let answer = Answer::json(201, &shown)?.with("location", format!("/v1/orgs/{org}/invitations/{}", made.item.id));
    call.tell(Notice::Changed(Subject::Org(org), news(&made, false)));
    Ok(written::marked(answer, &made))
}

/// List invitations.
pub(super) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let (limit, after) = call.page()?;
    call.list(&invitation::list(&call.session()?, org, limit, after.as_ref()).await?)
}

/// Read an invitation.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let id = call.request.parameter("invitation", InvitationId::parse)?;
    let read = invitation::get(&call.session()?, org, id).await?;
    written::found(&read)
}

/// Revoke an invitation.
pub(super) async fn revoke(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let id = call.request.parameter("invitation", InvitationId::parse)?;
    let revoked = invitation::revoke(&call.session()?, &call.write(None)?, org, id).await?;
    call.tell(Notice::Changed(Subject::Org(org), news(&revoked, false)));
    Ok(written::gone(&revoked))
}

/// Accept an invitation to an organisation.
pub(super) async fn accept(call: &Call<'_>) -> Outcome<Answer> {
    let body: InvitationAccept = call.json()?;
    let key = call.idempotency_key()?;
    let accepted = invitation::accept(&call.session()?, &call.write(key.as_ref())?, digest(&body.token)).await?;
    let user = call.principal()?.user;
    let org = &accepted.item.org;
    call.request.app.remembered.forget(user, org.id.uuid());
    // A gate may know that he was nobody here: like a narrowing, this is told before his next call can come.
    call.tell(Notice::Narrowed(Subject::Org(org.id), news(&accepted, true)));
    if let Some(workspace) = accepted.item.workspace_id {
        call.request.app.remembered.forget(user, workspace.uuid());
        let unknown = News { revision: 0, authz_epoch: 0, roles_changed: true };
        call.tell(Notice::Narrowed(Subject::Workspace(workspace), unknown));
    }
    written::changed(&accepted.map(|accepted| accepted.org))
}

/// A role in a workspace needs the workspace, and the other way round.
fn workspace(body: &InvitationCreate) -> Outcome<Option<(WorkspaceId, WorkspaceRole)>> {
    match (body.workspace_id, body.workspace_role) {
        (Some(workspace), Some(role)) => Ok(Some((workspace, role))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Problem::field("/workspace_role", "It is needed beside `workspace_id`.")),
        (None, Some(_)) => Err(Problem::field("/workspace_id", "It is needed beside `workspace_role`.")),
    }
}

fn hours(body: &InvitationCreate) -> Outcome<u32> {
    let hours = body.expires_in_hours.unwrap_or(DEFAULT_HOURS);
    let allowed = (1..=MOST_HOURS).contains(&hours);
    allowed.then_some(hours).ok_or_else(|| Problem::field("/expires_in_hours", "It is a whole number from 1 to 720."))
}

/// 256 bits that only a holder of the secret can make.
fn token(secret: &Secret, id: InvitationId) -> Outcome<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map_err(|error| Problem::internal(format!("INVITATION_SECRET is no key: {error}")))?;
    mac.update(b"drey invitation ");
    mac.update(id.uuid().as_bytes());
    Ok(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
