//! Whether the database is the one this build needs.
//!
//! In scope: migrations, indexes and the role, named when missing. Out of scope: whether to serve without them.

use drey_core::retry::Effect;

use crate::Result;
use crate::neon::error::StoreError;
use crate::neon::row::Row;
use crate::neon::{Answer, Consistency};
use crate::session::{Caller, Session};
use crate::statement::{Param, Statement};

/// The versions of every file in `migrations/`.
pub const MIGRATIONS: &[&str] = &[
    "20261120000100",
    "20261120000200",
    "20261120000300",
    "20261120000400",
    "20261120000500",
    "20261120000600",
    "20261120000700",
    "20261120000800",
    "20261120000900",
    "20261120001000",
    "20261120001100",
    "20261120001200",
    "20261120001300",
    "20261120001400",
    "20261121001500",
    "20261121001501",
    "20261121001503",
    "20261121001504",
    "20261121001505",
    "20261121001506",
    "20261121001510",
    "20261121001512",
    "20261121001513",
    "20261121001514",
];

/// The indexes without which a request would read a table from end to end.
pub const INDEXES: &[&str] = &[
    "sync_change_pkey",
    "sync_change_entity_idx",
    "sync_state_pkey",
    "org_member_user_idx",
    "org_member_list_idx",
    "workspace_list_idx",
    "workspace_member_list_idx",
    "workspace_member_user_idx",
    "project_list_idx",
    "invitation_digest_idx",
    "audit_event_list_idx",
    "api_key_digest_idx",
    "api_key_list_idx",
];

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Versions that were not applied.
    pub missing_migrations: Vec<String>,
    /// Indexes that are not there, or not valid.
    pub missing_indexes: Vec<String>,
    /// Whether row-level security binds the role we log in as.
    pub role_is_safe: bool,
}

impl Readiness {
    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.missing_migrations.is_empty() && self.missing_indexes.is_empty() && self.role_is_safe
    }

    fn read(row: &Row<'_, '_>) -> Result<Self> {
        let names = |column| {
            Ok(row.opt_text(column)?.map_or_else(Vec::new, |names| names.split(',').map(str::to_owned).collect()))
        };
        Ok(Self { missing_migrations: names(0)?, missing_indexes: names(1)?, role_is_safe: row.bool(2)? })
    }
}

pub(crate) const READY: Statement = Statement {
    name: "health.ready",
    sql: "select \
            (select string_agg(v, ',' order by v) from unnest(string_to_array($1::text, ',')) v \
             where not exists (select 1 from schema_migrations m where m.version = v)), \
            (select string_agg(i, ',' order by i) from unnest(string_to_array($2::text, ',')) i \
             where not exists (select 1 from pg_index x where x.indexrelid = to_regclass(i) and x.indisvalid)), \
            (select not (r.rolsuper or r.rolbypassrls) from pg_roles r where r.rolname = current_user)",
    hot: false,
};

/// Asks the database. One without our migrations' table misses them all.
pub async fn ready(s: &Session<'_>) -> Result<Readiness> {
    let names = |names: &[&str]| -> Param<'static> { Some(names.join(",").into()) };
    let call = READY.with([names(MIGRATIONS), names(INDEXES)]);
    let decode = |answer: Answer<'_>| Readiness::read(&answer.first(0)?);
    let session = s.with_caller(Caller::default());
    let read = s.neon.run(&session, &[call], Effect::Read, Consistency::Primary, decode).await;
    match read {
        Err(StoreError::Schema { .. }) => Ok(nothing_there()),
        read => read,
    }
}

fn nothing_there() -> Readiness {
    let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Readiness { missing_migrations: all(MIGRATIONS), missing_indexes: all(INDEXES), role_is_safe: false }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_migration_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut versions: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".sql")?.split('_').next().map(str::to_owned))
            .collect();
        versions.sort();
        assert_eq!(versions, MIGRATIONS);
    }
}
