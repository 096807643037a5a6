//! How the partitions of log and state fare, for the operator.

use drey_core::retry::Effect;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::neon::row::Row;
use crate::session::Session;
use crate::statement::Statement;
use crate::{Consistency, Result};

/// One partition, by what Postgres' own statistics say.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// `sync_change` (the log) or `sync_state`.
    pub table: String,
    /// Which of the 16, from 0.
    pub partition: i64,
    /// About how many rows it has.
    pub rows: i64,
    /// About how many that are gone still take room.
    pub dead_rows: i64,
    /// Its size without indexes.
    pub table_bytes: i64,
    /// The size of its indexes.
    pub index_bytes: i64,
    /// When it was last vacuumed; none if never.
    pub vacuumed_at: Option<Timestamp>,
    /// When its statistics were last made; none if never.
    pub analyzed_at: Option<Timestamp>,
}

impl Partition {
    fn read(row: &Row<'_, '_>) -> Result<Self> {
        let time = |column| if row.is_null(column) { Ok(None) } else { row.timestamp(column).map(Some) };
        Ok(Self {
            table: row.text(0)?.to_owned(),
            partition: row.i64(1)?,
            rows: row.i64(2)?,
            dead_rows: row.i64(3)?,
            table_bytes: row.i64(4)?,
            index_bytes: row.i64(5)?,
            vacuumed_at: time(6)?,
            analyzed_at: time(7)?,
        })
    }
}

pub(crate) const LIST: Statement = Statement {
    name: "sync_partition.list",
    sql: "select p.parent, p.n, p.rows, p.dead_rows, p.table_bytes, p.index_bytes, p.vacuumed_at, p.analyzed_at \
          from sync_partition p order by p.parent, p.n",
    hot: false,
};

/// All of them, those of the log first.
pub async fn list(s: &Session<'_>) -> Result<Vec<Partition>> {
    let decode = |answer: crate::neon::Answer<'_>| answer.rows(0)?.map(|row| Partition::read(&row)).collect();
    s.neon.run(s, &[LIST.with([])], Effect::Read, Consistency::Primary, decode).await
}
