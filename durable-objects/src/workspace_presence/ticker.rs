//! The tick: what has changed in a room goes out together.
//!
//! A pending timer keeps the object in memory, so nothing untold sleeps; it lasts one tick. The timer and every event
//! run one after the other in one thread, and none waits while it holds the room.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use drey_core::id::WorkspaceId;
use drey_core::presence::{Connection, Settings};
use wasm_bindgen_futures::spawn_local;
use worker::{Date, Env, State};

use super::alarm::Alarm;
use super::room::Hall;
use crate::timer::Timer;

/// A room that is restored when it is first needed, and its timer.
#[derive(Clone, Debug)]
pub(super) struct Ticker {
    /// None until the first event after a start or a hibernation.
    hall: Rc<RefCell<Option<Hall>>>,
    tick: Timer,
    /// When to try shards again that did not answer: the tick does not wait for them.
    retry: Timer,
    pub(super) alarm: Rc<Alarm>,
    pub(super) env: Env,
    /// Whose room; known to a room that has shards, for they are named after it.
    pub(super) workspace: Rc<Cell<Option<WorkspaceId>>>,
}

impl Ticker {
    pub(super) fn new(env: Env, alarm: Alarm) -> Self {
        let (tick, retry) = (Timer::default(), Timer::default());
        Self { hall: Rc::default(), tick, retry, alarm: Rc::new(alarm), env, workspace: Rc::default() }
    }

    /// Whether the room is restored.
    pub(super) fn is_open(&self) -> bool {
        self.hall.borrow().is_some()
    }

    /// One step of a room that is restored.
    pub(super) fn if_open<T>(&self, step: impl FnOnce(&mut Hall) -> T) -> Option<T> {
        self.hall.borrow_mut().as_mut().map(step)
    }

    /// One step of the room.
    pub(super) fn in_hall<T>(&self, state: &State, settings: Settings, step: impl FnOnce(&mut Hall) -> T) -> T {
        step(self.hall.borrow_mut().get_or_insert_with(|| Hall::restore(state, settings, Date::now().as_millis())))
    }

    /// The reader of a stream has gone. Told in the middle of a step, that step finds it out by itself.
    pub(super) fn left(&self, connection: Connection) {
        if let Ok(mut hall) = self.hall.try_borrow_mut()
            && let Some(hall) = hall.as_mut()
        {
            hall.left(vec![connection]);
        }
    }

    /// Tells what is due, and sees to it that the rest is told when it is.
    pub(super) fn settle(&self) {
        let now_ms = Date::now().as_millis();
        if let Some(at_ms) = self.flush(now_ms) {
            self.settle_at(&self.tick, at_ms, now_ms);
        }
        if let Some(at_ms) = self.send_orders(now_ms) {
            self.settle_at(&self.retry, at_ms, now_ms);
        }
    }

    fn settle_at(&self, timer: &Timer, at_ms: u64, now_ms: u64) {
        let ticker = self.clone();
        timer.set(at_ms.saturating_sub(now_ms), move || ticker.tick());
    }

    /// Who is found not to read is shed after a while, also when nothing else happens meanwhile.
    fn tick(self) {
        self.settle();
        // Not set, as when the object is on its way out, the next event sets it.
        spawn_local(async move { self.set_alarm(Date::now().as_millis()).await.unwrap_or_default() });
    }

    /// Sets the alarm for what the room has to do next.
    pub(super) fn set_alarm(&self, now_ms: u64) -> impl Future<Output = worker::Result<()>> + use<> {
        let next = self.if_open(|hall| hall.room.next_tick_ms(now_ms));
        let alarm = Rc::clone(&self.alarm);
        async move {
            match next {
                Some(next) => alarm.set(next, now_ms).await,
                None => Ok(()),
            }
        }
    }

    /// Tells what is due; when the next is, if there is more.
    fn flush(&self, now_ms: u64) -> Option<u64> {
        let mut hall = self.hall.borrow_mut();
        let hall = hall.as_mut()?;
        if hall.room.flush_ms()? <= now_ms {
            let effects = hall.room.flush(now_ms);
            hall.perform(effects);
        }
        hall.room.flush_ms()
    }
}
