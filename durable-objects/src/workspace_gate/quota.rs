//! The daily quota at a gate: units in hand, and where further ones come from.
//!
//! An organisation's gate reserves blocks in Postgres; a workspace's gate takes blocks from its organisation's gate. Units
//! are spent in memory, and what is left of them is stored a step behind, so that a restart never finds more than there was.
//! Blocks are fetched aside before they are gone; a call waits only when nothing is in hand.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use drey_core::id::OrgId;
use drey_core::limit::LimitView;
use drey_core::quota::{Day, DayLength, Granted, Owing, Purse, StoredPurse};
use drey_core::trace::Traceparent;
use drey_store::usage::{self, Reservation};
use drey_store::{Caller, Deadline, Neon, Session, StoreError, Timings};
use futures::channel::oneshot;
use serde::Deserialize;
use worker::{Env, SqlStorage, SqlStorageValue, State};

use super::GateClient;
use crate::environment;

/// Where units come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// For a workspace's gate.
    OrgGate,
    /// For an organisation's gate.
    Postgres,
}

/// What one call needs of the day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) org: OrgId,
    pub(super) quota: u64,
    pub(super) cost: u64,
    pub(super) now_ms: u64,
    /// For how long calls may go on as a debt while the source is silent.
    pub(super) owing_ms: u64,
}

/// A gate's part of the day.
#[derive(Clone, Debug)]
pub(super) struct Quota(Rc<Held>);

#[derive(Debug)]
struct Held {
    sql: SqlStorage,
    env: Env,
    neon: Option<Neon>,
    length: DayLength,
    /// `QUOTA_WAIT_MS`: a source that takes longer is taken as silent, and the call goes on as a debt. Default 1,500.
    wait_ms: u32,
    purse: RefCell<Purse>,
    stored: Cell<Option<StoredPurse>>,
    asking: Asking,
}

/// At most one question is under way: a thousand calls that find nothing make two questions, not a thousand. All requests
/// of an object share one I/O context, so one may wait for another's.
#[derive(Debug, Default)]
struct Asking {
    is_under_way: Cell<bool>,
    /// What those who wait need together.
    needed: Cell<u64>,
    waiting: RefCell<Vec<oneshot::Sender<bool>>>,
}

/// Ends a question also when whoever asked has gone away: those who wait look again.
#[derive(Debug)]
struct Question<'a>(&'a Asking);

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.0.is_under_way.set(false);
        self.0.waiting.borrow_mut().clear();
    }
}

impl Asking {
    fn begin(&self) -> Question<'_> {
        self.is_under_way.set(true);
        Question(self)
    }

    /// Waits for the question that is under way; whether it was answered.
    async fn wait(&self, cost: u64) -> bool {
        let (tell, told) = oneshot::channel();
        self.waiting.borrow_mut().push(tell);
        self.needed.set(self.needed.get().saturating_add(cost));
        told.await.unwrap_or(true)
    }

    /// Everybody looks again, and who still lacks something says so again.
    fn tell(&self, answered: bool) {
        self.needed.set(0);
        for waiting in self.waiting.take() {
            waiting.send(answered).ok();
        }
    }
}

/// How the day stands for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is enough in hand; so many units more could be spent.
    Paid { spare: u64 },
    /// The source is silent: go on, and owe it; so many units more could be owed.
    Owed { spare: u64 },
    /// The source has been silent for too long.
    Silent,
    /// Nothing is left of the day.
    UsedUp { view: LimitView, until_ms: u64 },
}

impl Standing {
    /// How many tokens may be granted besides, of those that are wanted.
    pub(super) fn at_most(&self, wanted: u32) -> u32 {
        match self {
            Self::Paid { spare } | Self::Owed { spare } => wanted.min(u32::try_from(*spare).unwrap_or(u32::MAX)),
            Self::UsedUp { .. } | Self::Silent => 0,
        }
    }
}

#[derive(Deserialize)]
struct Row {
    day: f64,
    units: f64,
    used: f64,
    owed: f64,
    silent_since_ms: f64,
}

/// What is owed has a table of its own: objects of before it have the first alone.
const TABLES: [&str; 2] = [
    "create table if not exists day_units \
     (one integer primary key, day real not null, units real not null, used real not null)",
    "create table if not exists day_debt (one integer primary key, owed real not null, silent_since_ms real not null)",
];
const READ: &str = "select u.day, u.units, u.used, coalesce(d.owed, 0) as owed, coalesce(d.silent_since_ms, 0) as silent_since_ms \
                    from day_units u left join day_debt d on d.one = u.one";

impl Quota {
    pub(super) fn new(state: &State, env: &Env) -> Self {
        // A wrong one stops the Worker at its first request.
        let length = environment::day(env).unwrap_or(DayLength::UTC);
        let wait_ms = environment::number(env, "QUOTA_WAIT_MS", 1_500).unwrap_or(1_500);
        Self(Rc::new(Held {
            sql: state.storage().sql(),
            env: env.clone(),
            neon: environment::neon(env).ok().map(Neon::new),
            length,
            wait_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX),
            purse: RefCell::default(),
            stored: Cell::new(None),
            asking: Asking::default(),
        }))
    }

    /// Calls to Neon since this object began.
    pub(super) fn round_trips(&self) -> u64 {
        self.0.neon.as_ref().map_or(0, |neon| neon.traffic.round_trips())
    }

    /// How the day stands for a call at this gate. Nothing is spent yet: the buckets may still refuse it.
    pub(super) async fn stand(&self, state: &State, need: Need) -> worker::Result<Standing> {
        let held = &self.0;
        held.load(need.now_ms)?;
        if held.lacks(need) {
            // Nobody waits for a source that was silent: it is asked aside until it answers.
            if held.purse.borrow().is_silent() {
                self.fill_aside(state, need);
                return Ok(held.owing(need));
            }
            if held.ensure(Source::OrgGate, need).await.is_err() {
                return Ok(held.owing(need));
            }
        }
        let (day, purse) = (held.today(need.now_ms), *held.purse.borrow());
        let units = purse.units(day);
        if units > 0 && purse.is_low(day, need.quota) {
            self.fill_aside(state, need);
        }
        Ok(if units < need.cost { held.used_up(need) } else { Standing::Paid { spare: units - need.cost } })
    }

    /// Pays for a call and for the tokens it was granted besides, stores what the answer rests on, and gives what headers
    /// show.
    pub(super) fn pay(&self, standing: &Standing, need: Need, extra: u32) -> worker::Result<LimitView> {
        let held = &self.0;
        let units = need.cost.saturating_add(u64::from(extra));
        let day = held.today(need.now_ms);
        let mut purse = held.purse.borrow_mut();
        if matches!(standing, Standing::Owed { .. }) || !purse.spend(day, units) {
            purse.owe(units);
        }
        let view = purse.view(held.length, need.quota, need.now_ms);
        drop(purse);
        held.save(need.quota)?;
        Ok(view)
    }

    /// Gives units to another gate of the organisation, out of this one's own; of the later day, if the two are not in the
    /// same one.
    pub(super) async fn give(&self, asked: Reservation, now_ms: u64) -> worker::Result<Option<Granted>> {
        let held = &self.0;
        held.load(now_ms)?;
        held.purse.borrow_mut().begin(asked.day, held.length.day(now_ms));
        // Whoever asks owes by himself: this gate says that it cannot count.
        let need = Need { org: asked.org, quota: asked.quota, cost: asked.wanted, now_ms, owing_ms: 0 };
        held.purse.borrow_mut().owe(asked.owed);
        // A debt is counted at once: it would end with this object.
        let counted = if asked.owed == 0 { Ok(()) } else { held.fill(Source::Postgres, need).await };
        if counted.is_err() || held.ensure(Source::Postgres, need).await.is_err() {
            held.purse.borrow_mut().forgive(asked.owed);
            return Ok(None);
        }
        let day = held.today(now_ms);
        let units = asked.wanted.min(held.purse.borrow().units(day));
        held.purse.borrow_mut().spend(day, units);
        held.save(asked.quota)?;
        let used = held.purse.borrow().used(day);
        Ok(Some(Granted { day, units, used }))
    }

    /// Asks without anybody waiting, unless somebody does or the source has just been silent.
    fn fill_aside(&self, state: &State, need: Need) {
        if !self.0.may_ask(need.now_ms) {
            return;
        }
        let held = Rc::clone(&self.0);
        state.wait_until(async move {
            if held.may_ask(need.now_ms) {
                held.fill(Source::OrgGate, Need { cost: 0, ..need }).await.ok();
            }
        });
    }
}

impl Held {
    /// The day to reckon with; it may change while something is awaited.
    fn today(&self, now_ms: u64) -> Day {
        self.purse.borrow().today(self.length.day(now_ms))
    }

    fn may_ask(&self, now_ms: u64) -> bool {
        !self.asking.is_under_way.get() && self.purse.borrow().may_ask(now_ms)
    }

    /// Whether there is not enough for a call, and the source may have more.
    fn lacks(&self, need: Need) -> bool {
        let (day, purse) = (self.today(need.now_ms), *self.purse.borrow());
        purse.units(day) < need.cost && !purse.is_used_up(day, need.now_ms)
    }

    /// Waits until there is enough for a call, or nothing left of the day; an error if the source is silent.
    async fn ensure(&self, source: Source, need: Need) -> Result<(), ()> {
        while self.lacks(need) {
            if self.asking.is_under_way.get() {
                if !self.asking.wait(need.cost).await {
                    return Err(());
                }
            } else {
                let cost = need.cost.saturating_add(self.asking.needed.get());
                self.fill(source, Need { cost, ..need }).await?;
            }
        }
        Ok(())
    }

    /// Fetches a block, or as many units as are needed, and pays what is owed.
    async fn fill(&self, source: Source, need: Need) -> Result<(), ()> {
        let question = self.asking.begin();
        let filled = self.fetch(source, need).await;
        self.asking.tell(filled.is_ok());
        drop(question);
        filled
    }

    async fn fetch(&self, source: Source, need: Need) -> Result<(), ()> {
        let day = self.today(need.now_ms);
        let (wanted, owed) = {
            let mut purse = self.purse.borrow_mut();
            (purse.wanted(day, need.quota, need.cost.saturating_sub(purse.units(day))), purse.take_debt())
        };
        let asked = Reservation { org: need.org, day, wanted, owed, quota: need.quota };
        let granted = match source {
            Source::Postgres => self.reserve(asked, need.now_ms).await.map_err(|error| error.to_string()),
            Source::OrgGate => self.ask_org(asked).await,
        };
        let mut purse = self.purse.borrow_mut();
        match granted {
            // An answer about a day that is over says nothing of today: the call goes on as if there were none.
            Ok(granted) => {
                purse.settle(owed, true);
                let is_of_today = purse.granted(granted, need.now_ms);
                drop(purse);
                // What is counted must not be owed again by a later life; if this is lost, it is counted twice.
                self.save(need.quota).ok();
                is_of_today.then_some(()).ok_or(())
            }
            Err(cause) => {
                purse.settle(owed, false);
                purse.fell_silent(need.now_ms);
                worker::console_warn!("quota: the source is silent: {cause}");
                Err(())
            }
        }
    }

    async fn reserve(&self, asked: Reservation, now_ms: u64) -> Result<Granted, StoreError> {
        let fault = || StoreError::Fault { detail: "NEON_CONNECTION_STRING is missing or malformed".to_owned() };
        let neon = self.neon.as_ref().ok_or_else(fault)?;
        let mut random = [0; 24];
        getrandom::fill(&mut random).ok();
        let trace = Traceparent::new(random).to_string();
        let timings = Timings::default();
        let deadline = Deadline::at(now_ms + u64::from(self.wait_ms));
        usage::reserve(&Session::new(neon, Caller::default(), deadline, &trace, &timings), asked).await
    }

    async fn ask_org(&self, asked: Reservation) -> Result<Granted, String> {
        let client = GateClient { env: &self.env, timeout_ms: self.wait_ms };
        let given = client.reserve(asked).await.map_err(|error| error.to_string())?;
        given.ok_or_else(|| "the organisation's gate could not reach Postgres".to_owned())
    }

    /// How a call stands that the source says nothing about.
    fn owing(&self, need: Need) -> Standing {
        let day = self.today(need.now_ms);
        match self.purse.borrow().owing(day, need.quota, need.cost, need.now_ms, need.owing_ms) {
            Owing::May { spare } => Standing::Owed { spare },
            Owing::UsedUp => self.used_up(need),
            Owing::TooLong => Standing::Silent,
        }
    }

    fn used_up(&self, need: Need) -> Standing {
        let view = self.purse.borrow().view(self.length, need.quota, need.now_ms);
        let until_ms = self.length.left_ms(need.now_ms);
        Standing::UsedUp { view: LimitView { remaining: 0, ..view }, until_ms }
    }

    /// Reads, once, what an earlier life of this object left.
    fn load(&self, now_ms: u64) -> worker::Result<()> {
        if self.stored.get().is_some() {
            return Ok(());
        }
        for table in TABLES {
            self.sql.exec(table, None)?;
        }
        let rows: Vec<Row> = self.sql.exec(READ, None)?.to_array()?;
        let stored = rows.first().map_or_else(StoredPurse::default, stored);
        self.stored.set(Some(stored));
        *self.purse.borrow_mut() = Purse::restart(stored, self.length.day(now_ms));
        Ok(())
    }

    fn save(&self, quota: u64) -> worker::Result<()> {
        let stored = self.stored.get().unwrap_or_default();
        let Some(row) = self.purse.borrow().unsaved(stored, quota) else { return Ok(()) };
        let statement = "insert or replace into day_units (one, day, units, used) values (1, ?, ?, ?)";
        let Day(day) = row.day;
        self.sql.exec(statement, vec![number(day), number(row.units), number(row.used)])?.to_array::<Row>()?;
        if (row.owed, row.silent_since_ms) != (stored.owed, stored.silent_since_ms) {
            let statement = "insert or replace into day_debt (one, owed, silent_since_ms) values (1, ?, ?)";
            self.sql.exec(statement, vec![number(row.owed), number(row.silent_since_ms)])?.to_array::<Row>()?;
        }
        self.stored.set(Some(row));
        Ok(())
    }
}

/// Days and units stay far below 2^53, which a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "days since 1970 and units of one day stay below 2^53")]
fn number(value: u64) -> SqlStorageValue {
    SqlStorageValue::Float(value as f64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "written by `number` from whole numbers")]
fn stored(row: &Row) -> StoredPurse {
    let whole = |value: f64| value.max(0.0) as u64;
    StoredPurse {
        day: Day(whole(row.day)),
        units: whole(row.units),
        used: whole(row.used),
        owed: whole(row.owed),
        silent_since_ms: whole(row.silent_since_ms),
    }
}
