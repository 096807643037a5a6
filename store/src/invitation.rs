//! Invitations: how people come into an organisation.
//!
//! In scope: their rows, and accepting one by the digest of its token. Out of scope: the token itself.

use drey_core::id::{InvitationId, OrgId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::{OrgRole, WorkspaceRole};
use drey_core::text::Email;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::org::Org;
use crate::read::{Needed, Page, Position, Read, one, page, paging};
use crate::session::Session;
use crate::statement::{Statement, bytes, number, text, uuid};
use crate::write::{Write, Written, nothing, run};

/// How far an invitation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationState {
    /// It can be accepted.
    Pending,
    /// It was accepted.
    Accepted,
    /// It can no longer be accepted.
    Expired,
}

/// An invitation, without its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The organisation it invites into.
    pub org_id: OrgId,
    /// Whom it was made for.
    pub email: String,
    /// What he becomes.
    pub role: OrgRole,
    /// A workspace he becomes a member of as well.
    pub workspace_id: Option<WorkspaceId>,
    /// What he becomes there.
    pub workspace_role: Option<WorkspaceRole>,
    /// How far it has come.
    pub state: InvitationState,
    /// Grows by one with each change of the row.
    pub version: i64,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An invitation to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewInvitation<'a> {
    /// Minted by the Worker. A replay answers the first one's: the token must follow from the id answered.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: &'a Email,
    /// What he becomes.
    pub role: OrgRole,
    /// A workspace of the organisation, and what he becomes there.
    pub workspace: Option<(WorkspaceId, WorkspaceRole)>,
    /// SHA-256 of the token.
    pub token_digest: [u8; 32],
    /// How long it is good for.
    pub expires_in_hours: u32,
}

/// What accepting one answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The inviting organisation, with the role the caller now has.
    pub org: Org,
    /// The workspace the invitation named: its gate has something to learn.
    pub workspace_id: Option<WorkspaceId>,
}

impl InvitationState {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "pending" => Some(Self::Pending),
            "accepted" => Some(Self::Accepted),
            "expired" => Some(Self::Expired),
            _ => None,
        }
    }
}

impl Invitation {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: InvitationId::from_uuid(row.uuid(at)?),
            org_id: OrgId::from_uuid(row.uuid(at + 1)?),
            email: row.text(at + 2)?.to_owned(),
            role: row.parsed(at + 3, OrgRole::parse)?,
            workspace_id: row.opt_uuid(at + 4)?.map(WorkspaceId::from_uuid),
            workspace_role: row.opt_parsed(at + 5, WorkspaceRole::parse)?,
            state: row.parsed(at + 6, InvitationState::parse)?,
            version: row.i64(at + 7)?,
            expires_at: row.timestamp(at + 8)?,
            created_at: row.timestamp(at + 9)?,
        })
    }
}

pub(crate) const CREATE: Statement = Statement {
    name: "invitation.create",
    sql: "select replayed, revision, authz_epoch, invitation_id, org_id, email, role, workspace_id, workspace_role, state, version, expires_at, created_at \
          from invitation_create($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::text, $9::text, $10::uuid, \
                                 $11::text, $12::bytea, $13::int)",
    hot: false,
};

/// Invites somebody.
pub async fn create(
    s: &Session<'_>,
    write: &Write<'_>,
    org: OrgId,
    new: &NewInvitation<'_>,
) -> Result<Written<Invitation>> {
    let mut params = Vec::from(write.keyed());
    params.extend([
        uuid(org.uuid()),
        uuid(new.id.uuid()),
        text(new.email.as_str()),
        text(new.role.as_str()),
        new.workspace.and_then(|(workspace, _)| uuid(workspace.uuid())),
        new.workspace.and_then(|(_, role)| text(role.as_str())),
        bytes(&new.token_digest),
        number(new.expires_in_hours),
    ]);
    run(s, CREATE.with(params), Effect::Idempotent, |row| Invitation::read(row, 3)).await
}

pub(crate) const LIST: Statement = Statement {
    name: "invitation.list",
    sql: "select access.role, access.revision, i.invitation_id, i.org_id, i.email, i.role, i.workspace_id, i.workspace_role, \
                 invitation_state(i.accepted_at, i.expires_at), i.version, i.expires_at, i.created_at \
          from (select org_role($1::uuid) as role, (select o.revision from org o where o.org_id = $1::uuid) as revision) access \
          left join lateral ( \
            select * from invitation t where t.org_id = $1::uuid and access.role in ('owner', 'admin') \
              and (t.created_at, t.invitation_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by t.created_at desc, t.invitation_id desc limit $2::bigint \
          ) i on true \
          order by i.created_at desc, i.invitation_id desc",
    hot: false,
};

/// The invitations of an organisation.
pub async fn list(s: &Session<'_>, org: OrgId, limit: u32, after: Option<&Position>) -> Result<Page<Invitation>> {
    let mut params = vec![uuid(org.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Org(OrgRole::Admin), limit, 11, |row| Invitation::read(row, 2)).await
}

pub(crate) const GET: Statement = Statement {
    name: "invitation.get",
    sql: "select access.role, access.revision, i.invitation_id, i.org_id, i.email, i.role, i.workspace_id, i.workspace_role, \
                 invitation_state(i.accepted_at, i.expires_at), i.version, i.expires_at, i.created_at \
          from (select org_role($1::uuid) as role, (select o.revision from org o where o.org_id = $1::uuid) as revision) access \
          left join invitation i on i.org_id = $1::uuid and i.invitation_id = $2::uuid and access.role in ('owner', 'admin')",
    hot: false,
};

/// One invitation.
pub async fn get(s: &Session<'_>, org: OrgId, invitation: InvitationId) -> Result<Read<Invitation>> {
    let call = GET.with([uuid(org.uuid()), uuid(invitation.uuid())]);
    one(s, call, Needed::Org(OrgRole::Admin), |row| Invitation::read(row, 2)).await
}

pub(crate) const REVOKE: Statement = Statement {
    name: "invitation.revoke",
    sql: "select replayed, revision, authz_epoch from invitation_revoke($1::text, $2::bigint[], $3::uuid, $4::uuid)",
    hot: false,
};

/// Takes an invitation back, unless it was accepted.
pub async fn revoke(s: &Session<'_>, write: &Write<'_>, org: OrgId, invitation: InvitationId) -> Result<Written<()>> {
    let mut params = Vec::from(write.guarded());
    params.extend([uuid(org.uuid()), uuid(invitation.uuid())]);
    run(s, REVOKE.with(params), Effect::Once, nothing).await
}

pub(crate) const ACCEPT: Statement = Statement {
    name: "invitation.accept",
    sql: "select replayed, revision, authz_epoch, org_id, name, plan, region, role, version, created_at, updated_at, workspace_id \
          from invitation_accept($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::bytea)",
    hot: false,
};

/// Makes the caller a member. Repeating it with the same request id is harmless: the function knows its own first run.
pub async fn accept(s: &Session<'_>, write: &Write<'_>, token_digest: [u8; 32]) -> Result<Written<Accepted>> {
    let mut params = Vec::from(write.keyed());
    params.push(bytes(&token_digest));
    run(s, ACCEPT.with(params), Effect::Idempotent, |row| {
        Ok(Accepted { org: Org::read(row, 3)?, workspace_id: row.opt_uuid(11)?.map(WorkspaceId::from_uuid) })
    })
    .await
}
