//! Something that is done a little later. While it is pending its object stays in memory.

use std::cell::Cell;
use std::rc::Rc;

use worker::js_sys::Function;
use worker::wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::wasm_bindgen::{JsCast as _, JsValue};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(callback: &Function, ms: u32) -> Result<JsValue, JsValue>;
}

/// A timer: one thing at most is pending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timer {
    is_set: Rc<Cell<bool>>,
}

impl Timer {
    /// Does something after so many milliseconds, unless something is pending already. At least one: a timer that fires a
    /// little early must not be set again for none, many times.
    pub(crate) fn set(&self, ms: u64, then: impl FnOnce() + 'static) {
        if self.is_set.replace(true) {
            return;
        }
        let is_set = Rc::clone(&self.is_set);
        let fire = Closure::once_into_js(move || {
            is_set.set(false);
            then();
        });
        let set = set_timeout(fire.unchecked_ref(), u32::try_from(ms).unwrap_or(u32::MAX).max(1));
        self.is_set.set(set.is_ok());
    }
}
