//! The versions of the tags of public answers: one object knows them for all isolates.

use std::cell::RefCell;

use drey_core::cache::tags::Versions;
use serde::Deserialize;
use worker::{SqlStorage, SqlStorageValue};

/// The tags of this deployment, in memory and stored.
#[derive(Debug)]
pub(super) struct Tags {
    sql: SqlStorage,
    known: RefCell<Option<Versions>>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    version: f64,
}

impl Tags {
    pub(super) const fn new(sql: SqlStorage) -> Self {
        Self { sql, known: RefCell::new(None) }
    }

    /// Raises these tags and tells all versions. Nothing is awaited between reading and storing, and the reply waits behind
    /// the output gate: a version that somebody was told is never forgotten.
    pub(super) fn raise(&self, tags: &[String]) -> worker::Result<Versions> {
        let mut versions = self.load()?;
        for tag in tags {
            let version = versions.of(tag) + 1;
            let statement = "insert into tag (name, version) values (?, ?) \
                             on conflict (name) do update set version = excluded.version";
            #[expect(clippy::cast_precision_loss, reason = "nobody purges 2^53 times")]
            let values = vec![SqlStorageValue::from(tag.clone()), SqlStorageValue::Float(version as f64)];
            self.sql.exec(statement, values)?.to_array::<Row>()?;
            versions.learn(tag, version);
        }
        self.known.replace(Some(versions.clone()));
        Ok(versions)
    }

    fn load(&self) -> worker::Result<Versions> {
        if let Some(known) = self.known.borrow().as_ref() {
            return Ok(known.clone());
        }
        let table = "create table if not exists tag (name text primary key, version real not null) without rowid";
        self.sql.exec(table, None)?;
        let rows: Vec<Row> = self.sql.exec("select name, version from tag", None)?.to_array()?;
        let mut versions = Versions::default();
        for Row { name, version } in rows {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "written by `raise`: small and whole"
            )]
            versions.learn(&name, version as u64);
        }
        Ok(versions)
    }
}
