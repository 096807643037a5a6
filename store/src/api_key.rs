//! API keys: how programs come into a workspace.
//!
//! In scope: their rows, and finding one by the digest of its text. Out of scope: the text itself, and what a scope permits.

use std::borrow::Cow;

use drey_core::api_key::{AddressRange, Scopes};
use drey_core::id::{ApiKeyId, ProjectId, UserId, WorkspaceId};
use drey_core::retry::Effect;
use drey_core::role::WorkspaceRole;
use drey_core::text::Name;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::Result;
use crate::neon::row::Row;
use crate::neon::{Answer, Consistency};
use crate::read::{Needed, Page, Position, page, paging};
use crate::session::{Caller, Session};
use crate::statement::{Param, Statement, bytes, number, text, uuid};
use crate::write::{Write, Written, run};

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Its id, which stands in the key's text too.
    pub id: ApiKeyId,
    /// The workspace it belongs to.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The only project it sees; `None`: the whole workspace.
    pub project_id: Option<ProjectId>,
    /// Where it may be used from; empty: anywhere.
    pub allowed_addresses: Vec<AddressRange>,
    /// As whom it acts.
    pub created_by: UserId,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key that was just made, or is answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The key.
    pub api_key: ApiKey,
    /// What its text is made from, together with a secret of the environment. Of no use without that.
    pub seed: [u8; 32],
}

/// What the Worker makes of a new key.
#[derive(Clone, Copy, Debug)]
pub struct Minted {
    /// Minted by the Worker. A replay answers the first one's: the text must follow from the id and seed answered.
    pub id: ApiKeyId,
    /// SHA-256 of the key's text.
    pub digest: [u8; 32],
    /// From the runtime's generator.
    pub seed: [u8; 32],
}

/// A key to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewApiKey<'a> {
    /// Its id, digest and seed.
    pub minted: &'a Minted,
    /// What people call it.
    pub name: &'a Name,
    /// What it may do.
    pub scopes: Scopes,
    /// The only project it sees.
    pub project: Option<ProjectId>,
    /// Where it may be used from.
    pub allowed_addresses: &'a [AddressRange],
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// How a key is to be rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// The new key's id, digest and seed.
    pub minted: &'a Minted,
    /// How long the former one still works.
    pub overlap_seconds: u32,
    /// When the new one ends; `None`: after as long as the former was made for.
    pub expires_at: Option<Timestamp>,
}

/// A key as admission knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: ApiKeyId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// As whom it acts.
    pub created_by: UserId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The only project it sees.
    pub project: Option<ProjectId>,
    /// Where it may be used from; empty: anywhere.
    pub allowed_addresses: Vec<AddressRange>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The epoch of narrowed access it was seen at, as the gate of its workspace counts it.
    pub authz_epoch: i64,
}

fn addresses(text: &str) -> Option<Vec<AddressRange>> {
    text.split(',').filter(|range| !range.is_empty()).map(|range| AddressRange::parse(range).ok()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "a parameter is text or NULL, and so are its neighbours")]
fn joined<'a>(ranges: &[AddressRange]) -> Param<'a> {
    let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    Some(Cow::Owned(texts.join(",")))
}

fn instant<'a>(time: Option<Timestamp>) -> Param<'a> {
    time.map(|time| Cow::Owned(time.to_string()))
}

fn scopes(text: &str) -> Option<Scopes> {
    Scopes::parse(text).ok()
}

fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).ok()
}

/// 32 bytes as Postgres writes them.
fn seed(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("\\x").filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    let mut seed = [0; 32];
    for (at, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(seed)
}

impl ApiKey {
    fn read(row: &Row<'_, '_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.uuid(at)?),
            workspace_id: WorkspaceId::from_uuid(row.uuid(at + 1)?),
            name: row.text(at + 2)?.to_owned(),
            scopes: row.parsed(at + 3, scopes)?,
            project_id: row.opt_uuid(at + 4)?.map(ProjectId::from_uuid),
            allowed_addresses: row.parsed(at + 5, addresses)?,
            created_by: UserId::from_uuid(row.uuid(at + 6)?),
            expires_at: row.opt_parsed(at + 7, time)?,
            last_used_at: row.opt_parsed(at + 8, time)?,
            created_at: row.timestamp(at + 9)?,
        })
    }
}

fn made(row: &Row<'_, '_>) -> Result<Made> {
    Ok(Made { api_key: ApiKey::read(row, 3)?, seed: row.parsed(13, seed)? })
}

impl Found {
    fn read(row: &Row<'_, '_>) -> Result<Self> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.uuid(0)?),
            workspace: WorkspaceId::from_uuid(row.uuid(1)?),
            created_by: UserId::from_uuid(row.uuid(2)?),
            name: row.text(3)?.to_owned(),
            scopes: row.parsed(4, scopes)?,
            project: row.opt_uuid(5)?.map(ProjectId::from_uuid),
            allowed_addresses: row.parsed(6, addresses)?,
            expires_at: row.opt_parsed(7, time)?,
            authz_epoch: row.i64(8)?,
        })
    }
}

pub(crate) const CREATE: Statement = Statement {
    name: "api_key.create",
    sql: "select replayed, revision, authz_epoch, key_id, workspace_id, name, array_to_string(scopes, ','), project_id, \
                 array_to_string(allowed_addresses, ','), created_by, expires_at, last_used_at, created_at, seed \
          from api_key_create($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::text, $9::bytea, $10::bytea, \
                              $11::text, $12::uuid, $13::text, $14::timestamptz)",
    hot: false,
};

/// Makes a key.
pub async fn create(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    new: &NewApiKey<'_>,
) -> Result<Written<Made>> {
    let mut params = Vec::from(write.keyed());
    params.extend([
        uuid(workspace.uuid()),
        uuid(new.minted.id.uuid()),
        text(new.name.as_str()),
        bytes(&new.minted.digest),
        bytes(&new.minted.seed),
        Some(Cow::Owned(new.scopes.to_string())),
        new.project.and_then(|project| uuid(project.uuid())),
        joined(new.allowed_addresses),
        instant(new.expires_at),
    ]);
    run(s, CREATE.with(params), Effect::Idempotent, made).await
}

pub(crate) const LIST: Statement = Statement {
    name: "api_key.list",
    sql: "select access.role, access.revision, k.key_id, k.workspace_id, k.name, array_to_string(k.scopes, ','), k.project_id, \
                 array_to_string(k.allowed_addresses, ','), k.created_by, k.expires_at, k.last_used_at, k.created_at \
          from (select workspace_role($1::uuid) as role, (select w.revision from workspace w where w.workspace_id = $1::uuid) as revision) access \
          left join lateral ( \
            select * from api_key t where t.workspace_id = $1::uuid and access.role = 'admin' \
              and (t.created_at, t.key_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
            order by t.created_at desc, t.key_id desc limit $2::bigint \
          ) k on true \
          order by k.created_at desc, k.key_id desc",
    hot: false,
};

/// The keys of a workspace, ended ones included.
pub async fn list(
    s: &Session<'_>,
    workspace: WorkspaceId,
    limit: u32,
    after: Option<&Position>,
) -> Result<Page<ApiKey>> {
    let mut params = vec![uuid(workspace.uuid())];
    params.extend(paging(limit, after));
    page(s, LIST.with(params), Needed::Workspace(WorkspaceRole::Admin), limit, 11, |row| ApiKey::read(row, 2)).await
}

pub(crate) const ROTATE: Statement = Statement {
    name: "api_key.rotate",
    sql: "select replayed, revision, authz_epoch, key_id, workspace_id, name, array_to_string(scopes, ','), project_id, \
                 array_to_string(allowed_addresses, ','), created_by, expires_at, last_used_at, created_at, seed, \
                 (select k.created_by from api_key k where k.workspace_id = $6::uuid and k.key_id = $7::uuid) \
          from api_key_rotate($1::text, $2::text, $3::text, $4::bytea, $5::text, $6::uuid, $7::uuid, $8::uuid, $9::bytea, $10::bytea, \
                              $11::int, $12::timestamptz)",
    hot: false,
};

/// Makes a key that may do what another may, and ends the other after a while. Answers also as whom the other acts.
pub async fn rotate(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    former: ApiKeyId,
    rotation: &Rotation<'_>,
) -> Result<Written<(Made, Option<UserId>)>> {
    let mut params = Vec::from(write.keyed());
    params.extend([
        uuid(workspace.uuid()),
        uuid(former.uuid()),
        uuid(rotation.minted.id.uuid()),
        bytes(&rotation.minted.digest),
        bytes(&rotation.minted.seed),
        number(rotation.overlap_seconds),
        instant(rotation.expires_at),
    ]);
    let item = |row: &Row<'_, '_>| Ok((made(row)?, row.opt_uuid(14)?.map(UserId::from_uuid)));
    run(s, ROTATE.with(params), Effect::Idempotent, item).await
}

pub(crate) const REVOKE: Statement = Statement {
    name: "api_key.revoke",
    sql: "select replayed, revision, authz_epoch, created_by from api_key_revoke($1::text, $2::uuid, $3::uuid)",
    hot: false,
};

/// Ends a key for good. Answers as whom it acted.
pub async fn revoke(
    s: &Session<'_>,
    write: &Write<'_>,
    workspace: WorkspaceId,
    key: ApiKeyId,
) -> Result<Written<UserId>> {
    let params = [text(write.request), uuid(workspace.uuid()), uuid(key.uuid())];
    run(s, REVOKE.with(params), Effect::Once, |row| Ok(UserId::from_uuid(row.uuid(3)?))).await
}

pub(crate) const FIND: Statement = Statement {
    name: "api_key.find",
    sql: "select key_id, workspace_id, created_by, name, scopes, project_id, allowed_addresses, expires_at, authz_epoch \
          from api_key_find($1::bytea)",
    hot: false,
};

/// The key of this digest, ended or not.
pub async fn find(s: &Session<'_>, digest: &[u8; 32]) -> Result<Option<Found>> {
    let decode = |answer: Answer<'_>| answer.rows(0)?.next().map(|row| Found::read(&row)).transpose();
    let session = s.with_caller(Caller::default());
    s.neon.run(&session, &[FIND.with([bytes(digest)])], Effect::Read, Consistency::Primary, decode).await
}

pub(crate) const USED: Statement = Statement {
    name: "api_key.used",
    // Isolates note a key's use by themselves: the first of a minute writes, the others find it done.
    sql: "update api_key set last_used_at = now() where workspace_id = $1::uuid and key_id = $2::uuid \
            and (last_used_at is null or last_used_at < now() - interval '30 seconds')",
    hot: false,
};

/// Notes that a key is in use. Moves no revision: lists of keys are never kept.
pub async fn used(s: &Session<'_>, workspace: WorkspaceId, key: ApiKeyId) -> Result<()> {
    let call = USED.with([uuid(workspace.uuid()), uuid(key.uuid())]);
    s.neon.run(s, &[call], Effect::Idempotent, Consistency::Primary, |_| Ok(())).await
}

#[cfg(test)]
mod tests {
    use super::{addresses, seed};

    #[test]
    fn a_seed_is_read_as_postgres_writes_it() {
        assert_eq!(seed(&format!("\\x{}0a", "00".repeat(31))).map(|seed| seed[31]), Some(10));
        for wrong in ["", "\\x", "00", "\\xzz", &format!("\\x{}", "é".repeat(32))] {
            assert_eq!(seed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_addresses_are_an_empty_list() {
        assert_eq!(addresses(""), Some(Vec::new()));
        assert_eq!(addresses("10.0.0.0/8,::1/128").map(|ranges| ranges.len()), Some(2));
        assert_eq!(addresses("nowhere"), None);
    }
}
