//! Settings of the running deployment: what holds, and who changed it when.
//!
//! In scope: documents as texts, in the operator's own sessions ([`Caller`] with an organisation and no person). Out of scope:
//! what they say (`drey_core::settings`), and reading them along with a tenant ([`crate::gate`]).

use drey_core::id::{OrgId, WorkspaceId};
use drey_core::settings::Stored;
use drey_core::time::Timestamp;
use uuid::Uuid;

use crate::Result;
use crate::neon::Consistency;
use crate::neon::row::Row;
use crate::read::{Needed, Page, Position, page, paging};
use crate::session::{Caller, Session};
use crate::statement::{Statement, text, uuid};
use crate::write::{Write, Written, run};
use drey_core::retry::Effect;

/// The organisation that stands for the platform itself.
#[must_use]
pub const fn platform() -> OrgId {
    OrgId::from_uuid(Uuid::nil())
}

/// The operator's session in an organisation, or in the platform itself.
#[must_use]
pub fn operator(org: OrgId) -> Caller {
    Caller { org: Some(org), ..Caller::default() }
}

/// One change, with what it took the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its version.
    pub version: i64,
    /// The document before; `None`: there was none.
    pub before: Option<String>,
    /// The document after.
    pub after: String,
    /// The request that did it.
    pub request_id: String,
    /// The operator's address.
    pub address: String,
    /// When.
    pub created_at: Timestamp,
}

/// What holds for an organisation, the platform's document included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The organisation's own.
    pub own: Stored,
    /// The platform's.
    pub platform: Stored,
}

/// The join of the two documents that hold for an organisation, its own as `s` and the platform's as `p`: NULL where there is none.
macro_rules! held {
    (of $org:literal, on $rows:literal) => {
        concat!(
            "left join lateral (select c.version, c.document from settings_change c \
                                where c.org_id = ",
            $org,
            " order by c.version desc limit 1) s on ",
            $rows,
            " left join lateral (select c.version, c.document from settings_change c \
                                 where c.org_id = '00000000-0000-0000-0000-000000000000' order by c.version desc limit 1) p on ",
            $rows
        )
    };
}
pub(crate) use held;

pub(crate) const GET: Statement = Statement {
    name: "settings.get",
    sql: concat!(
        "select s.version, s.document, p.version, p.document \
          from (select 1 where $1::uuid = '00000000-0000-0000-0000-000000000000' or exists (select 1 from org o where o.org_id = $1::uuid)) known ",
        held!(of "$1::uuid", on "true")
    ),
    hot: false,
};

/// What holds; `None` if there is no such organisation.
pub async fn get(s: &Session<'_>, org: OrgId) -> Result<Option<Held>> {
    let decode = |answer: crate::neon::Answer<'_>| {
        let held = |row: Row<'_, '_>| Ok(Held { own: stored(&row, 0)?, platform: stored(&row, 2)? });
        answer.rows(0)?.next().map(held).transpose()
    };
    s.neon.run(s, &[GET.with([uuid(org.uuid())])], Effect::Read, Consistency::Primary, decode).await
}

/// Two columns, both NULL if there is no document.
pub(crate) fn stored(row: &Row<'_, '_>, at: usize) -> Result<Stored> {
    if row.is_null(at) {
        return Ok(Stored::default());
    }
    Ok(Stored { version: row.i64(at)?, document: row.text(at + 1)?.to_owned() })
}

/// What a change leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// What holds now; the platform's document has no version here.
    pub held: Held,
    /// The first fifty workspaces, whose gates are told at once.
    pub workspaces: Vec<WorkspaceId>,
}

pub(crate) const PUT: Statement = Statement {
    name: "settings.put",
    sql: "select replayed, revision, authz_epoch, version, document, platform, workspaces \
          from settings_put($1::text, $2::bigint[], $3::uuid, $4::text, $5::text)",
    hot: false,
};

/// Puts a document in the place of the one that holds.
pub async fn put(
    s: &Session<'_>,
    write: &Write<'_>,
    org: OrgId,
    document: &str,
    address: &str,
) -> Result<Written<Put>> {
    let [request, if_match] = write.guarded();
    let call = PUT.with([request, if_match, uuid(org.uuid()), text(document), text(address)]);
    // The same document twice is one change, whatever version was named.
    run(s, call, Effect::Idempotent, |row| {
        let platform = Stored { version: 0, document: row.opt_text(5)?.unwrap_or_default().to_owned() };
        let workspaces = row.uuids(6)?.into_iter().map(WorkspaceId::from_uuid).collect();
        Ok(Put { held: Held { own: stored(row, 3)?, platform }, workspaces })
    })
    .await
}

pub(crate) const HISTORY: Statement = Statement {
    name: "settings.history",
    sql: "select null::text as role, 0::bigint as revision, c.change_id, c.version, b.document, c.document, c.request_id, c.address, c.created_at \
          from settings_change c \
          left join lateral (select p.document from settings_change p \
                             where p.org_id = c.org_id and p.version < c.version order by p.version desc limit 1) b on true \
          where c.org_id = $1::uuid \
            and (c.created_at, c.change_id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')) \
          order by c.created_at desc, c.change_id desc limit $2::bigint",
    hot: false,
};

/// Every change, newest first.
pub async fn history(s: &Session<'_>, org: OrgId, limit: u32, after: Option<&Position>) -> Result<Page<Change>> {
    let mut params = vec![uuid(org.uuid())];
    params.extend(paging(limit, after));
    page(s, HISTORY.with(params), Needed::Own, limit, 8, |row| {
        Ok(Change {
            version: row.i64(3)?,
            before: row.opt_text(4)?.map(str::to_owned),
            after: row.text(5)?.to_owned(),
            request_id: row.text(6)?.to_owned(),
            address: row.text(7)?.to_owned(),
            created_at: row.timestamp(8)?,
        })
    })
    .await
}
