//! Clients without sockets: what a socket's attachment is to others, a row of the object's `SQLite` is to them.

use std::cell::Cell;

use drey_core::presence::{Connection, Peer};
use serde::Deserialize;
use worker::{SqlStorage, SqlStorageValue};

/// The rows of one room.
#[derive(Debug)]
pub(super) struct Beats {
    sql: SqlStorage,
    /// Whether there may be a row: a room of sockets alone touches no storage.
    any: Cell<bool>,
}

#[derive(Deserialize)]
struct Row {
    peer: String,
}

impl Beats {
    pub(super) fn new(sql: SqlStorage) -> Self {
        Self { sql, any: Cell::new(false) }
    }

    /// Every client that lives by heartbeats, as it was last stored.
    pub(super) fn all(&self) -> Vec<Peer> {
        // Without a table there never was one.
        let rows = self.sql.exec("select peer from beat", None).and_then(|rows| rows.to_array::<Row>());
        let rows = rows.unwrap_or_default();
        self.any.set(!rows.is_empty());
        rows.iter().filter_map(|row| Peer::from_attachment(&row.peer)).collect()
    }

    /// Stores a client. If that fails, a restart of the object forgets it until its next heartbeat.
    pub(super) fn put(&self, peer: &Peer) {
        let table = "create table if not exists beat (connection text primary key, peer text not null) without rowid";
        let upsert = "insert into beat (connection, peer) values (?, ?) \
                      on conflict (connection) do update set peer = excluded.peer";
        let values = vec![key(peer.connection), SqlStorageValue::from(peer.to_attachment())];
        if !self.any.replace(true) && self.sql.exec(table, None).is_err() {
            return;
        }
        if let Err(error) = self.sql.exec(upsert, values) {
            worker::console_warn!("presence: a heartbeat was not stored: {error}");
        }
    }

    pub(super) fn forget(&self, connection: Connection) {
        if self.any.get() {
            let _ = self.sql.exec("delete from beat where connection = ?", vec![key(connection)]);
        }
    }
}

fn key(connection: Connection) -> SqlStorageValue {
    SqlStorageValue::from(connection.0.to_string())
}
