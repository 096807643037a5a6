//! Where a waiter's messages go.

use drey_core::sync::{Frame, control_event, data_event};
use futures::channel::oneshot::Sender;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use worker::web_sys;

#[wasm_bindgen(module = "/src/scope_feed/feed.js")]
extern "C" {
    /// A body that the object writes to.
    #[derive(Debug)]
    pub(crate) type Outlet;

    #[wasm_bindgen(constructor, catch)]
    fn new(most: u32, gone: &JsValue) -> Result<Outlet, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub(crate) fn response(this: &Outlet) -> Result<web_sys::Response, JsValue>;

    #[wasm_bindgen(method)]
    pub(crate) fn send(this: &Outlet, bytes: &JsValue) -> bool;

    #[wasm_bindgen(method)]
    pub(crate) fn end(this: &Outlet);

    /// A text as bytes that can be sent many times.
    pub(crate) fn encode(text: &str) -> JsValue;
}

/// A reader who has this much unread is ended: two chunks of the log.
const MOST_UNREAD: u32 = 2 * 1024 * 1024;

/// A waiter's end of the line.
#[derive(Debug)]
pub(super) enum Sink {
    /// A long-poll: answered once, before this time. It leaves by itself, unless the runtime has dropped it with its client.
    Poll { sender: Sender<Frame>, ends_ms: u64 },
    /// A stream of events, until this time.
    Stream {
        outlet: Outlet,
        /// No later event carries an earlier one.
        cursor: u64,
        ends_ms: u64,
    },
}

impl Sink {
    /// When its time is over.
    pub(super) const fn ends_ms(&self) -> u64 {
        match self {
            Self::Poll { ends_ms, .. } | Self::Stream { ends_ms, .. } => *ends_ms,
        }
    }
}

/// A stream; `gone` is called when a write finds that its reader has gone away.
pub(crate) fn open(gone: impl FnOnce() + 'static) -> Result<Outlet, JsValue> {
    Outlet::new(MOST_UNREAD, &Closure::once_into_js(gone))
}

/// The events of a delivery.
pub(super) fn events(frame: &Frame, cursor: u64, up_to_date: bool) -> String {
    let mut text = data_event(&frame.messages);
    text.push_str(&control_event(frame.next, cursor, up_to_date));
    text
}
