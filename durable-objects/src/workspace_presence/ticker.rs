//! The tick: what has changed in a room goes out together.
//!
//! A pending timer keeps the object in memory, so nothing untold sleeps; it lasts one tick. The timer and every event
//! run one after the other in one thread, and none waits while it holds the room.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use worker::js_sys::Function;
use worker::wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::{Date, State};

use super::room::Hall;
use drey_core::presence::{Connection, Settings};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(callback: &Function, ms: u32) -> Result<JsValue, JsValue>;
}

/// A room that is restored when it is first needed, and its timer.
#[derive(Clone, Debug)]
pub(super) struct Ticker {
    /// None until the first event after a start or a hibernation.
    hall: Rc<RefCell<Option<Hall>>>,
    is_set: Rc<Cell<bool>>,
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self { hall: Rc::default(), is_set: Rc::default() }
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
        let Some(at_ms) = self.flush(now_ms) else { return };
        if self.is_set.replace(true) {
            return;
        }
        let ticker = self.clone();
        let fire = Closure::once_into_js(move || {
            ticker.is_set.set(false);
            ticker.settle();
        });
        // A timer that fires a little early must not fire again at once, many times.
        let wait_ms = u32::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(u32::MAX).max(1);
        if set_timeout(fire.unchecked_ref(), wait_ms).is_err() {
            self.is_set.set(false);
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
