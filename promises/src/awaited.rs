//! A promise as a future.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use js_sys::{Date, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};

#[wasm_bindgen(module = "/src/promises.js")]
extern "C" {
    fn connect(told: &Closure<dyn Fn(u32, bool, JsValue)>);

    fn listen(promise: &Promise, wait: u32);
}

/// The runtime may end a request while it waits, and then nobody hears of its promises. Whatever drey waits for has a deadline
/// of seconds, so a wait of ten minutes is such a one: it is given up, with all that its request holds and counts for.
const GIVEN_UP_MS: f64 = 600_000.0;

thread_local! {
    static WAITS: RefCell<BTreeMap<u32, Wait>> = const { RefCell::new(BTreeMap::new()) };
    static LAST: Cell<u32> = const { Cell::new(0) };
    static TELLING: Cell<bool> = const { Cell::new(false) };
    static TOLD: Closure<dyn Fn(u32, bool, JsValue)> = {
        let told = Closure::new(tell);
        connect(&told);
        told
    };
}

/// A promise that is waited for since then, in milliseconds since 1970.
#[derive(Debug)]
struct Wait {
    since_ms: f64,
    end: End,
}

/// How far a promise is.
#[derive(Debug)]
enum End {
    Pending(Option<Waker>),
    Settled(Result<JsValue, JsValue>),
}

/// The end of a promise. Who drops it does not hear of it any more.
#[derive(Debug)]
#[must_use = "nobody hears of it unless it is awaited"]
pub struct Awaited(u32);

/// Waits for a promise: its value, or what it was rejected with.
pub fn settled(promise: &Promise) -> Awaited {
    TOLD.with(|_| ());
    let wait = LAST.get().wrapping_add(1);
    LAST.set(wait);
    let since_ms = Date::now();
    WAITS.with_borrow_mut(|waits| waits.insert(wait, Wait { since_ms, end: End::Pending(None) }));
    give_up(since_ms - GIVEN_UP_MS);
    listen(promise, wait);
    Awaited(wait)
}

/// Gives the oldest waits up that began before then. Outside of the borrow: a request that ends gives its own waits up.
fn give_up(before_ms: f64) {
    let oldest = || {
        WAITS.with_borrow_mut(|waits| {
            let oldest = waits.first_entry()?;
            (oldest.get().since_ms < before_ms).then(|| oldest.remove())
        })
    };
    while let Some(wait) = oldest() {
        drop(wait);
    }
}

/// Whether a waker is called because of a promise, with nothing of JavaScript's or of ours on the way: it may go on at once.
/// Other wakers are called from the middle of things (`worker::Delay` calls its own before it knows that it is over).
pub(crate) fn is_telling() -> bool {
    TELLING.get()
}

fn tell(wait: u32, fulfilled: bool, value: JsValue) {
    let end = if fulfilled { Ok(value) } else { Err(value) };
    let before = WAITS.with_borrow_mut(|waits| Some(mem::replace(&mut waits.get_mut(&wait)?.end, End::Settled(end))));
    let Some(End::Pending(waker)) = before else { return };
    if let Some(waker) = waker {
        TELLING.set(true);
        waker.wake();
        TELLING.set(false);
    }
}

impl Future for Awaited {
    type Output = Result<JsValue, JsValue>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let waits_on = End::Pending(Some(context.waker().clone()));
        let before = WAITS.with_borrow_mut(|waits| Some(mem::replace(&mut waits.get_mut(&self.0)?.end, waits_on)));
        // Outside of the borrow: a waker may be the last that holds a request, which gives its own waits up.
        match before {
            Some(End::Settled(end)) => Poll::Ready(end),
            Some(End::Pending(_)) | None => Poll::Pending,
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let left = WAITS.with_borrow_mut(|waits| waits.remove(&self.0));
        drop(left);
    }
}
