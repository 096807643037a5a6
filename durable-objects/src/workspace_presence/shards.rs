//! The room's shards: which there are, over a hibernation too, and what is sent to them.

use std::time::Duration;

use drey_core::id::WorkspaceId;
use drey_core::presence::{Effect, Orders, Report};
use futures::future::{FutureExt as _, LocalBoxFuture, join_all};
use serde::{Deserialize, Serialize};
use wasm_bindgen_futures::spawn_local;
use worker::{Date, Delay, Response, SqlStorage, SqlStorageValue};

use super::WorkspacePresence;
use super::room::Hall;
use super::ticker::Ticker;
use crate::presence_shard::client;
use crate::rpc::{self, RpcError};

/// Of a shard that answers again, so many bytes at a time are told anew.
const CATCH_UP_BYTES: usize = 1024 * 1024;

/// How often, and how many times, a room looks whether its shards have done something: for a second.
const DELIVERED_STEP: Duration = Duration::from_millis(5);
const DELIVERED_STEPS: u32 = 200;

/// The table outlives deploys: a room that does not find its shards closes all that sit there.
const TABLE: &str = "create table if not exists shard (number integer primary key, workspace text not null)";
const ALL: &str = "select number, workspace from shard";
const PUT: &str = "insert into shard (number, workspace) values (?, ?) on conflict do nothing";

/// The shards of one room, in the object's `SQLite`: a room that wakes asks them who sits there.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    sql: SqlStorage,
}

#[derive(Deserialize)]
struct Row {
    number: f64,
    workspace: String,
}

impl Shards {
    pub(super) fn new(sql: SqlStorage) -> Self {
        Self { sql }
    }

    /// Whose room it is, and its shards; none for almost every room.
    pub(super) fn all(&self) -> Option<(WorkspaceId, Vec<u32>)> {
        // Without a table there never was one.
        let rows = self.sql.exec(ALL, None).ok()?.to_array::<Row>().ok()?;
        let workspace = WorkspaceId::parse(&rows.first()?.workspace).ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let numbers = rows.iter().map(|row| row.number as u32).collect();
        Some((workspace, numbers))
    }

    /// Remembers a shard before anybody is sent there.
    pub(super) fn put(&self, shard: u32, workspace: WorkspaceId) -> worker::Result<()> {
        self.sql.exec(TABLE, None)?;
        let values = vec![number(shard), SqlStorageValue::from(workspace.to_string())];
        self.sql.exec(PUT, values)?;
        Ok(())
    }

    /// Forgets one that is empty.
    fn forget(&self, shard: u32) {
        // A row too many costs a question a minute.
        let _ = self.sql.exec("delete from shard where number = ?", vec![number(shard)]);
    }
}

fn number(shard: u32) -> SqlStorageValue {
    SqlStorageValue::from(f64::from(shard))
}

impl Hall {
    /// A shard has reported; whether it is to be asked who sits there.
    pub(super) fn hear(&mut self, report: Report, now_ms: u64) -> bool {
        let (shard, heard) = (report.shard, self.links.hear(&report));
        if heard.is_news {
            let effects = self.room.hear(report, now_ms);
            self.perform(effects);
            self.lag_if_down(shard, now_ms);
        }
        heard.is_restarted
    }

    /// A shard has answered; whether it is to be asked who sits there, for it answers again and has not said so yet.
    fn answered(&mut self, shard: u32, since: u64, now_ms: u64) -> bool {
        let was_down = self.links.is_down(shard);
        if self.links.answered(shard, since, now_ms) {
            let effects = self.room.catch_up(shard, CATCH_UP_BYTES, now_ms);
            if effects.is_empty() {
                self.links.caught_up(shard);
            }
            self.perform(effects);
        }
        self.lag_if_down(shard, now_ms);
        was_down && !self.links.is_down(shard) && self.room.is_unheard(shard)
    }

    /// A shard has not answered: one line for all the times that it does not.
    fn failed(&mut self, shard: u32, error: &RpcError, now_ms: u64) {
        if self.links.failed(shard, now_ms) {
            worker::console_warn!("presence: a shard does not answer: {error}");
        }
        self.room.lag(shard, now_ms);
    }

    /// Lets an empty shard go.
    fn dismiss(&mut self, shard: u32) -> bool {
        let is_empty = self.room.is_deserted(shard, Date::now().as_millis()) && self.links.is_idle(shard);
        if is_empty {
            self.links.close(shard);
        }
        is_empty
    }

    fn lag_if_down(&mut self, shard: u32, now_ms: u64) {
        if self.links.is_down(shard) {
            self.room.lag(shard, now_ms);
        }
    }
}

impl Ticker {
    /// Sends what is due to shards; when more is.
    pub(super) fn send_orders(&self, now_ms: u64) -> Option<u64> {
        let workspace = self.workspace.get()?;
        let (ready, due_ms) = self.if_open(|hall| {
            let ready = hall.links.ready(now_ms);
            (ready, hall.links.due_ms())
        })?;
        for (shard, orders) in ready {
            spawn_local(self.clone().send(workspace, shard, orders));
        }
        due_ms
    }

    async fn send(self, workspace: WorkspaceId, shard: u32, orders: Orders) {
        let told = client::obey(&self.env, workspace, shard, &orders).await;
        let now_ms = Date::now().as_millis();
        let is_asked = self.if_open(|hall| match told {
            Ok(since) => hall.answered(shard, since, now_ms),
            Err(error) => {
                hall.failed(shard, &error, now_ms);
                false
            }
        });
        self.settle();
        if is_asked == Some(true) {
            self.reconcile(shard).await;
        }
    }

    /// Asks every shard who sits there: pings are heard, and who left unheard is gone. Empty shards are forgotten. One
    /// future for all who want it: each use would be compiled anew.
    pub(super) fn roll_all(&self, shards: &Shards) -> LocalBoxFuture<'static, ()> {
        let (ticker, shards) = (self.clone(), shards.clone());
        async move {
            let all = ticker.if_open(|hall| hall.links.shards().collect::<Vec<_>>()).unwrap_or_default();
            join_all(all.iter().map(|shard| ticker.roll(*shard))).await;
            for shard in all {
                if ticker.if_open(|hall| hall.dismiss(shard)) == Some(true) {
                    shards.forget(shard);
                }
            }
        }
        .boxed_local()
    }

    /// Asks one shard who sits there.
    pub(super) async fn roll(&self, shard: u32) {
        let Some(workspace) = self.workspace.get() else { return };
        let asked = self.if_open(|hall| hall.room.asks(shard)).unwrap_or_default();
        let rolled = client::roll(&self.env, workspace, shard).await;
        let now_ms = Date::now().as_millis();
        self.if_open(|hall| match rolled {
            Ok(rolled) => {
                hall.links.rolled(shard, &rolled);
                let effects = hall.room.roll(shard, rolled, &asked, now_ms);
                hall.perform(effects);
                hall.lag_if_down(shard, now_ms);
            }
            Err(error) => hall.failed(shard, &error, now_ms),
        });
    }

    /// A shard was restarted, or not heard of since the room woke: whoever sat there and sits there no more has left, and who was asked is asked again.
    pub(super) async fn reconcile(self, shard: u32) {
        self.roll(shard).await;
        self.if_open(|hall| hall.links.restarted(shard));
        self.settle();
    }

    /// What every shard has been told so far.
    fn marks(&self) -> Vec<(u32, u64)> {
        self.if_open(|hall| hall.links.marks()).unwrap_or_default()
    }

    /// Whether every shard that answers has done it.
    fn is_done(&self, marks: &[(u32, u64)]) -> bool {
        self.if_open(|hall| hall.links.is_done(marks)).unwrap_or(true)
    }

    /// The sockets of shards, and the room's own.
    pub(super) fn seats(&self) -> usize {
        self.if_open(|hall| hall.sockets().saturating_add(hall.links.count())).unwrap_or_default()
    }
}

impl WorkspacePresence {
    /// A shard has reported. One that was restarted is asked who sits there.
    pub(super) async fn hear(&self, workspace: WorkspaceId, report: &str) -> worker::Result<Response> {
        let report: Report = rpc::parse(report)?;
        let (shard, mut is_restarted) = (report.shard, false);
        self.know(workspace, shard)?;
        self.act(|hall, now_ms| {
            is_restarted = hall.hear(report, now_ms);
            Vec::new()
        })
        .await?;
        if is_restarted {
            spawn_local(self.ticker.clone().reconcile(shard));
        }
        rpc::reply(&self.in_hall(|hall| hall.links.heard(shard)))
    }

    /// A shard is remembered before anybody is sent there, so that a room which wakes asks it.
    pub(super) fn know(&self, workspace: WorkspaceId, shard: u32) -> worker::Result<()> {
        self.ticker.workspace.set(Some(workspace));
        if self.in_hall(|hall| hall.links.shards().any(|known| known == shard)) {
            return Ok(());
        }
        self.shards.put(shard, workspace)?;
        self.in_hall(|hall| hall.links.open(shard));
        Ok(())
    }

    /// A room that wakes asks its shards who sits there, before anything else happens in it: to be awaited first in every
    /// event. `None` where there is nothing to ask, as in almost every room.
    pub(super) fn asks(&self) -> Option<LocalBoxFuture<'_, worker::Result<()>>> {
        if self.ticker.is_open() {
            return None;
        }
        let (workspace, known) = self.shards.all()?;
        self.ticker.workspace.set(Some(workspace));
        self.in_hall(|hall| {
            hall.room.awaits(known.iter().copied());
            for shard in &known {
                hall.links.open(*shard);
            }
        });
        let (ticker, rolled) = (self.ticker.clone(), self.ticker.roll_all(&self.shards));
        let asked = self.state.block_concurrency_while(async move {
            rolled.await;
            ticker.if_open(|hall| {
                let effects = hall.room.goes_on(Date::now().as_millis());
                hall.perform(effects);
            });
            ticker.settle();
            Ok(())
        });
        Some(asked.boxed_local())
    }

    /// One step that is answered when it is done in every object.
    pub(super) async fn everywhere<R: Serialize>(
        &self,
        reply: R,
        step: impl FnOnce(&mut Hall, u64) -> Vec<Effect>,
    ) -> worker::Result<Response> {
        self.act(step).await?;
        self.delivered().await;
        rpc::reply(&reply)
    }

    /// Waits until the shards have done what was decided, as far as they answer.
    async fn delivered(&self) {
        let marks = self.ticker.marks();
        for _ in 0..DELIVERED_STEPS {
            if self.ticker.is_done(&marks) {
                return;
            }
            Delay::from(DELIVERED_STEP).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_fixed() {
        assert_eq!(TABLE, "create table if not exists shard (number integer primary key, workspace text not null)");
        assert_eq!(ALL, "select number, workspace from shard");
        assert_eq!(PUT, "insert into shard (number, workspace) values (?, ?) on conflict do nothing");
        let row: Row = serde_json::from_str(r#"{"number":3,"workspace":"ws_1"}"#).expect("a row");
        assert_eq!((row.number.to_bits(), row.workspace.as_str()), (3_f64.to_bits(), "ws_1"));
    }
}
