//! One-time tickets: a browser cannot send `Authorization` with a WebSocket, so it brings one of these.
//!
//! Kept in the object's `SQLite` by their digests, so that an eviction between making and use costs nothing. Each step is
//! one statement without an await: of many that bring the same ticket one gets the row. A ticket whose time is over is
//! deleted with the next one made.

use drey_core::id::UserId;
use drey_core::presence::Identity;
use serde::Deserialize;
use worker::{SqlStorage, SqlStorageValue};

/// The tickets of one room.
#[derive(Debug)]
pub(super) struct Tickets {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct Row {
    identity: String,
}

#[derive(Deserialize)]
struct Count {
    open: f64,
}

impl Tickets {
    pub(super) fn new(sql: SqlStorage) -> Self {
        Self { sql }
    }

    /// Keeps a ticket, unless its user has `most` open ones.
    pub(super) fn put(
        &self,
        digest: &str,
        identity: &Identity,
        ends_ms: u64,
        now_ms: u64,
        most: usize,
    ) -> worker::Result<bool> {
        self.sql.exec(
            "create table if not exists ticket (digest text primary key, user_id text not null, \
             identity text not null, ends_ms real not null) without rowid",
            None,
        )?;
        self.sql.exec("delete from ticket where ends_ms <= ?", vec![number(now_ms)])?;
        let user = text(identity.user_id.to_string());
        let counted = self.sql.exec("select count(*) as open from ticket where user_id = ?", vec![user.clone()])?;
        let open = counted.to_array::<Count>()?.first().map_or(0.0, |count| count.open);
        #[expect(clippy::cast_precision_loss, reason = "a limit of more than 2^53 tickets is none")]
        if open >= most as f64 {
            return Ok(false);
        }
        let identity = identity.to_header().map_err(|error| worker::Error::RustError(error.to_string()))?;
        let values = vec![text(digest.to_owned()), user, text(identity), number(ends_ms)];
        self.sql.exec("insert into ticket (digest, user_id, identity, ends_ms) values (?, ?, ?, ?)", values)?;
        Ok(true)
    }

    /// Whose ticket it is; it is used up.
    pub(super) fn take(&self, digest: &str, now_ms: u64) -> Option<Identity> {
        let delete = "delete from ticket where digest = ? and ends_ms > ? returning identity";
        // Without a table there is no ticket.
        let taken = self.sql.exec(delete, vec![text(digest.to_owned()), number(now_ms)]).ok()?;
        let rows: Vec<Row> = taken.to_array().ok()?;
        Identity::from_header(&rows.first()?.identity).ok()
    }

    /// A user lost access: his tickets go too.
    pub(super) fn forget(&self, user: UserId) {
        // It fails only where no ticket was ever made.
        let _ = self.sql.exec("delete from ticket where user_id = ?", vec![text(user.to_string())]);
    }

    /// The workspace is gone.
    pub(super) fn clear(&self) {
        let _ = self.sql.exec("delete from ticket", None);
    }
}

fn text(value: String) -> SqlStorageValue {
    SqlStorageValue::from(value)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay below 2^53 for 285,000 years")]
fn number(ms: u64) -> SqlStorageValue {
    SqlStorageValue::from(ms as f64)
}
