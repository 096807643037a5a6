//! The feed with its waiters' ends: what `drey_core::sync::Feed` decides is done here.
//!
//! In scope: sending, reading Postgres, the look at scope and access while somebody waits. Out of scope: deciding.
//! Nothing is borrowed across an await.

mod look;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use drey_core::id::{UserId, WorkspaceId};
use drey_core::sync::{
    Feed, FeedEffect, Frame, LogRead, WaiterId, Waits, Wish, control_event, data_event, stream_cursor,
};
use drey_store::sync_read;
use drey_store::{Caller, Deadline, Neon, Session, StoreError, Timings};
use serde_json::value::RawValue;
use wasm_bindgen_futures::spawn_local;
use worker::{Date, Delay, Env};

use super::client::Ask;
use super::outlet::{Outlet, Sink, encode, events};
use super::settings::{Settings, settings};
use crate::environment;

/// A chunk of the log, as catch-up reads have it.
const CHUNK_BYTES: u32 = 1024 * 1024;
/// A read that takes longer is given up until the next look.
const READ_MS: u64 = 5_000;
/// How often the ends of those who wait are looked at.
const STEP_MS: u64 = 1_000;
/// How late what was not told may come to a reader who has come since.
const SILENT_LOOK_MS: u64 = 250;

/// Which scope it is.
#[derive(Clone, Debug)]
struct Scope {
    workspace: WorkspaceId,
    kind: String,
    id: String,
}

/// A feed and its waiters.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) settings: Settings,
    env: Env,
    neon: Option<Neon>,
    feed: RefCell<Feed>,
    sinks: RefCell<BTreeMap<WaiterId, Sink>>,
    scope: RefCell<Option<Scope>>,
    ticks: Cell<bool>,
    /// Until then pushes may tell nothing, because somebody was told that nobody waits. It stays until a look has begun after
    /// it: only that finds what was not told.
    silent_until_ms: Cell<Option<u64>>,
    /// When everybody's access was last looked at.
    looked_ms: Cell<u64>,
}

impl Line {
    pub(super) fn new(env: Env) -> Self {
        // A wrong variable stops the Worker at its first request; an object of another version keeps the defaults.
        let settings = settings(&env).unwrap_or_default();
        let neon = environment::neon(&env).ok().map(Neon::new);
        Self {
            settings,
            env,
            neon,
            feed: RefCell::new(Feed::new(settings.limits)),
            sinks: RefCell::default(),
            scope: RefCell::default(),
            ticks: Cell::new(false),
            // The object before this one may have said that nobody waits.
            silent_until_ms: Cell::new(Some(now_ms() + settings.quiet_ms)),
            looked_ms: Cell::new(0),
        }
    }

    /// Asks the feed to take a waiter.
    pub(super) fn wait(&self, ask: &Ask, wish: &Wish) -> Waits {
        let (kind, id) = (ask.scope_type.clone(), ask.scope_id.clone());
        *self.scope.borrow_mut() = Some(Scope { workspace: ask.workspace, kind, id });
        let (waits, effects) = self.feed.borrow_mut().wait(wish, now_ms());
        self.perform(effects);
        waits
    }

    /// Keeps a waiter's end.
    pub(super) fn keep(&self, id: WaiterId, sink: Sink) {
        self.sinks.borrow_mut().insert(id, sink);
    }

    /// Somebody waits no longer.
    pub(super) fn leave(&self, id: WaiterId) {
        self.feed.borrow_mut().leave(id);
        self.sinks.borrow_mut().remove(&id);
    }

    /// The first events of a stream; the cursor they carry.
    pub(super) fn begin(
        &self,
        outlet: &Outlet,
        wish: &Wish,
        sent: Option<u64>,
        first: Option<String>,
        missed: Option<Frame>,
    ) -> u64 {
        let cursor = stream_cursor(now_ms(), sent, jitter());
        let up_to_date = self.feed.borrow().is_current();
        let mut text = first.map(|first| data_event(&first)).unwrap_or_default();
        match missed {
            Some(frame) if text.is_empty() => text = events(&frame, cursor, up_to_date),
            Some(frame) => {
                text.push_str(&control_event(wish.offset, cursor, false));
                text.push_str(&events(&frame, cursor, up_to_date));
            }
            None => text.push_str(&control_event(wish.offset, cursor, up_to_date)),
        }
        outlet.send(&encode(&text));
        cursor
    }

    /// A notice. Messages that cannot be read are as if they had not been told.
    pub(super) fn hear(&self, generation: i64, epoch: i64, messages: Option<&str>) {
        let messages = messages.map(split).unwrap_or_default();
        let effects = self.feed.borrow_mut().hear(generation, epoch, messages);
        self.perform(effects);
    }

    /// Reads what is known to be missing.
    pub(super) fn catch_up(self: &Rc<Self>) {
        spawn_local(Rc::clone(self).read_on());
    }

    async fn read_on(self: Rc<Self>) {
        loop {
            let Some(after) = self.feed.borrow_mut().to_read() else { return };
            let Some(user) = self.feed.borrow().somebody() else {
                self.feed.borrow_mut().read(after, None);
                return;
            };
            let read = self.read(user, after.epoch()).await;
            let (read, goes_on) = match read {
                Ok(Some(read)) => (Some(read), true),
                // He may not read any more: the next is asked for.
                Ok(None) => {
                    self.revoke(user);
                    (None, true)
                }
                Err(error) => {
                    worker::console_warn!("feed: the log could not be read: {error}");
                    (None, false)
                }
            };
            let effects = self.feed.borrow_mut().read(after, read);
            self.perform(effects);
            if !goes_on {
                return;
            }
        }
    }

    async fn read(&self, user: UserId, after: i64) -> Result<Option<LogRead>, StoreError> {
        let Some((neon, scope)) = self.place() else { return Ok(None) };
        let timings = Timings::default();
        let s = session(neon, scope.workspace, user, &timings);
        let Some(chunk) = sync_read::read(&s, scope.workspace, &scope.kind, &scope.id, after, CHUNK_BYTES).await?
        else {
            return Ok(None);
        };
        let messages = split(&chunk.messages);
        Ok(Some(LogRead { generation: chunk.generation, epoch: chunk.epoch, floor: chunk.floor, messages }))
    }

    /// Whether somebody waits, for whoever tells of a push: if not, he tells nothing more for a while. Those whom a notice
    /// has just answered come again at once, so the clock tells, which goes on for a while.
    pub(super) fn somebody_waits(&self) -> bool {
        if !self.ticks.get() {
            self.silent_until_ms.set(Some(now_ms() + self.settings.quiet_ms));
        }
        self.ticks.get()
    }

    /// Whether the next waiter is to start the clock.
    pub(super) fn begins_to_tick(&self) -> bool {
        !self.ticks.replace(true)
    }

    /// While anybody waits: ends those whose time is over, looks at the scope, and at everybody's access.
    pub(super) async fn tick(self: Rc<Self>) {
        self.looked_ms.set(now_ms());
        let mut check_ms = self.next_look_ms();
        loop {
            let wait = self.next_end_ms().min(check_ms).saturating_sub(now_ms()).clamp(1, STEP_MS);
            Delay::from(Duration::from_millis(wait)).await;
            self.end_those_whose_time_is_over(now_ms());
            if self.feed.borrow().waiting() == 0 {
                self.feed.borrow_mut().rest();
                self.ticks.set(false);
                return;
            }
            if now_ms() >= check_ms {
                self.beat();
                self.look_after_silence().await;
                self.catch_up();
                check_ms = self.next_look_ms();
            }
        }
    }

    /// A comment to every stream: only a write shows that a client has gone, and that makes room for others.
    fn beat(&self) {
        let beat = encode(": \n\n");
        self.end_those(|sink| matches!(sink, Sink::Stream { outlet, .. } if !outlet.send(&beat)));
    }

    /// A look, and the end of a silence that was over when it began. The silence ends here last: who keeps it counts from when
    /// he asked.
    async fn look_after_silence(&self) {
        let began_ms = now_ms();
        let has_looked = self.look().await;
        let is_over = self.silent_until_ms.get().is_some_and(|until_ms| until_ms <= began_ms);
        if has_looked && is_over {
            self.silent_until_ms.set(None);
        }
    }

    fn next_look_ms(&self) -> u64 {
        let check_ms = self.settings.check_ms;
        now_ms() + if self.silent_until_ms.get().is_some() { check_ms.min(SILENT_LOOK_MS) } else { check_ms }
    }

    fn next_end_ms(&self) -> u64 {
        let ends = self.sinks.borrow();
        ends.values().map(Sink::ends_ms).min().unwrap_or(u64::MAX)
    }

    fn end_those_whose_time_is_over(&self, now_ms: u64) {
        self.end_those(|sink| sink.ends_ms() <= now_ms);
    }

    fn end_those(&self, is_over: impl Fn(&Sink) -> bool) {
        let over = self.sinks.borrow().iter().filter(|(_, sink)| is_over(sink)).map(|(id, _)| *id).collect::<Vec<_>>();
        for id in over {
            self.feed.borrow_mut().leave(id);
            self.end(id);
        }
    }

    fn place(&self) -> Option<(&Neon, Scope)> {
        Some((self.neon.as_ref()?, self.scope.borrow().clone()?))
    }

    fn perform(&self, effects: Vec<FeedEffect>) {
        for effect in effects {
            match effect {
                FeedEffect::Deliver(ids, frame) => self.deliver(&ids, &frame),
                FeedEffect::End(ids) => ids.into_iter().for_each(|id| self.end(id)),
            }
        }
    }

    fn end(&self, id: WaiterId) {
        // A poll whose sender is dropped is answered with what it had.
        if let Some(Sink::Stream { outlet, .. }) = self.sinks.borrow_mut().remove(&id) {
            outlet.end();
        }
    }

    /// Encodes once for all streams, but for the few whose cursor runs ahead of the time.
    fn deliver(&self, ids: &[WaiterId], frame: &Frame) {
        let now = stream_cursor(now_ms(), None, 0.0);
        let up_to_date = self.feed.borrow().is_current();
        let mut encoded = None;
        for id in ids {
            let Some(sink) = self.sinks.borrow_mut().remove(id) else { continue };
            match sink {
                // A poll that has just gone away has nobody to receive it.
                Sink::Poll { sender, .. } => drop(sender.send(frame.clone())),
                Sink::Stream { outlet, cursor, ends_ms } => {
                    let bytes = if cursor > now {
                        encode(&events(frame, cursor, up_to_date))
                    } else {
                        encoded.get_or_insert_with(|| encode(&events(frame, now, up_to_date))).clone()
                    };
                    if outlet.send(&bytes) {
                        self.sinks.borrow_mut().insert(*id, Sink::Stream { outlet, cursor, ends_ms });
                    } else {
                        outlet.end();
                        self.feed.borrow_mut().leave(*id);
                    }
                }
            }
        }
    }
}

/// A session that acts as one of those who wait. His key is not asked again: who reads by one comes again with each
/// stream's end, and is admitted anew.
fn session<'a>(neon: &'a Neon, workspace: WorkspaceId, user: UserId, timings: &'a Timings) -> Session<'a> {
    let caller = Caller { user: Some(user), workspace: Some(workspace), ..Caller::default() };
    Session::new(neon, caller, Deadline::at(now_ms() + READ_MS), "", timings)
}

/// The messages of an array, byte for byte; none of a text that is no array.
fn split(array: &str) -> Vec<String> {
    let messages: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
    messages.into_iter().map(|message| message.get().to_owned()).collect()
}

fn now_ms() -> u64 {
    Date::now().as_millis()
}

fn jitter() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / (f64::from(u32::MAX) + 1.0))
}
