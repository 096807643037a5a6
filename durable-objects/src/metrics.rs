//! `Metrics`: adds up what isolates and rooms report, for the operator.
//!
//! In scope: the class, its commands, its name and its client. Out of scope: what is counted and how it is written
//! (`drey_core::metrics`).
//!
//! One object for the deployment: an isolate reports at most every five seconds, off any request's way. Sums are held in
//! memory and stored at most once a second, so an object that dies loses a second of them; a report that comes again
//! counts once, because the last number of each isolate is stored with the sums.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use drey_core::id::WorkspaceId;
use drey_core::metrics::{Delta, Levels, RoomReport, Totals};
use serde::{Deserialize, Serialize};
use worker::{Date, Delay, DurableObject, Env, Request, Response, SqlStorage, SqlStorageValue, State, durable_object};

use crate::environment;
use crate::rpc::{self, RpcError, Target};

/// The binding of `wrangler.toml`.
pub const BINDING: &str = "METRICS";

/// The name of the only object. Pinned: another one begins with empty sums.
const NAME: &str = "all";

/// How long sums wait to be stored.
const STORE_AFTER: Duration = Duration::from_secs(1);

/// `METRICS_EVERY_MS`: the least time between two reports of an isolate or a room. Default 5,000.
pub fn every_ms(env: &Env) -> Result<u64, environment::ConfigError> {
    environment::number(env, "METRICS_EVERY_MS", 5_000)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Command {
    /// An isolate's counts since its last report.
    Report { delta: Delta, levels: Levels },
    /// What a room tells of itself.
    Room(RoomReport),
    /// A page of the workspaces whose rooms are occupied.
    Rooms { after: Option<WorkspaceId>, limit: usize },
    /// The text.
    Read,
}

/// Calls the object.
#[derive(Clone, Copy, Debug)]
pub struct MetricsClient<'a> {
    /// The bindings.
    pub env: &'a Env,
    /// The longest wait in milliseconds.
    pub timeout_ms: u32,
}

impl MetricsClient<'_> {
    /// Reports what an isolate counted.
    pub async fn report(&self, delta: &Delta, levels: Levels) -> Result<(), RpcError> {
        self.call(&Command::Report { delta: delta.clone(), levels }).await
    }

    /// Reports what a room is at.
    pub(crate) async fn room(&self, report: RoomReport) -> Result<(), RpcError> {
        self.call(&Command::Room(report)).await
    }

    /// A page of the workspaces whose rooms have sockets, by id, after the one named, and how many each has.
    pub async fn rooms(&self, after: Option<WorkspaceId>, limit: usize) -> Result<Vec<(WorkspaceId, u64)>, RpcError> {
        self.call(&Command::Rooms { after, limit }).await
    }

    /// Everything as `OpenMetrics`.
    pub async fn read(&self) -> Result<String, RpcError> {
        self.call(&Command::Read).await
    }

    async fn call<R: serde::de::DeserializeOwned>(&self, command: &Command) -> Result<R, RpcError> {
        let target = Target { binding: BINDING, name: NAME, hint: None, timeout_ms: self.timeout_ms };
        rpc::call(self.env, target, command).await
    }
}

/// The sums and whether they are about to be stored.
#[derive(Debug)]
struct Store {
    sql: SqlStorage,
    totals: RefCell<Option<Totals>>,
    is_due: Cell<bool>,
}

#[derive(Deserialize)]
struct Row {
    totals: String,
}

impl Store {
    /// One step of the sums, which are read when they are first needed.
    fn with<T>(&self, step: impl FnOnce(&mut Totals) -> T) -> worker::Result<T> {
        let mut totals = self.totals.borrow_mut();
        if totals.is_none() {
            *totals = Some(self.load()?);
        }
        Ok(step(totals.get_or_insert_default()))
    }

    fn load(&self) -> worker::Result<Totals> {
        let table = "create table if not exists metrics (id integer primary key check (id = 1), totals text not null)";
        self.sql.exec(table, None)?;
        let rows: Vec<Row> = self.sql.exec("select totals from metrics", None)?.to_array()?;
        // Sums of a form that is not known any more begin anew: an operator's graph can take that, as after any restart.
        Ok(rows.first().and_then(|row| serde_json::from_str(&row.totals).ok()).unwrap_or_default())
    }

    fn save(&self) -> worker::Result<()> {
        let json = self.with(|totals| serde_json::to_string(totals))?;
        let json = json.map_err(|error| worker::Error::RustError(error.to_string()))?;
        let statement = "insert into metrics (id, totals) values (1, ?) \
                         on conflict (id) do update set totals = excluded.totals";
        self.sql.exec(statement, vec![SqlStorageValue::from(json)]).map(|_| ())
    }
}

/// The object.
#[durable_object(fetch)]
#[derive(Debug)]
pub(crate) struct Metrics {
    state: State,
    store: Rc<Store>,
}

impl DurableObject for Metrics {
    fn new(state: State, _: Env) -> Self {
        let store = Store { sql: state.storage().sql(), totals: RefCell::new(None), is_due: Cell::new(false) };
        Self { state, store: Rc::new(store) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let command = rpc::command(&mut request).await?;
        let now_ms = Date::now().as_millis();
        match command {
            Command::Report { delta, levels } => {
                self.store.with(|totals| totals.take(&delta, levels, now_ms))?;
                self.save_soon();
                rpc::reply(&())
            }
            Command::Room(report) => {
                if self.store.with(|totals| totals.room(report, now_ms))? {
                    self.save_soon();
                }
                rpc::reply(&())
            }
            Command::Rooms { after, limit } => {
                rpc::reply(&self.store.with(|totals| totals.occupied(after, limit, now_ms))?)
            }
            Command::Read => rpc::reply(&self.store.with(|totals| totals.text(now_ms))?),
        }
    }
}

impl Metrics {
    /// Stores the sums in a second, with what comes until then. A pending timer keeps the object in memory.
    fn save_soon(&self) {
        if self.store.is_due.replace(true) {
            return;
        }
        let store = Rc::clone(&self.store);
        self.state.wait_until(async move {
            Delay::from(STORE_AFTER).await;
            store.is_due.set(false);
            // What could not be stored is stored with the next report.
            let _ = store.save();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, NAME};

    /// Isolates and the object may be of two versions for a while.
    #[test]
    fn commands_and_the_name_are_fixed() {
        assert_eq!(NAME, "all");
        let report = r#"{"command":"report","delta":{"isolate":"a","sequence":1,"requests":0,"series":{},"tenants":{}},"levels":{"memory_bytes":1,"in_flight":0,"connections":0}}"#;
        let room = r#"{"command":"room","room":"ws_1","sockets":2}"#;
        assert!(serde_json::from_str::<Command>(room).is_ok(), "of an older version");
        let more =
            r#"{"command":"room","room":"1","sockets":2,"workspace":"ws_00000000000000000000000000","alarms":1}"#;
        let rooms = r#"{"command":"rooms","after":null,"limit":100}"#;
        for text in [report, more, rooms, r#"{"command":"read"}"#] {
            let command: Command = serde_json::from_str(text).expect("a command");
            assert_eq!(serde_json::to_string(&command).expect("json"), text);
        }
    }
}
