//! A promise as a future.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::{Closure, wasm_bindgen};

#[wasm_bindgen(module = "/src/promises.js")]
extern "C" {
    fn connect(told: &Closure<dyn Fn(u32, bool, JsValue)>);

    fn listen(promise: &Promise, wait: u32);
}

/// The runtime may end a request while it waits, and then nobody hears of its promises. More waits than an isolate has at
/// once are such: the oldest is given up, with all that its request holds.
const MOST_WAITS: usize = 8_192;

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

/// How far a promise is.
#[derive(Debug)]
enum Wait {
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
    let given_up = WAITS.with_borrow_mut(|waits| {
        waits.insert(wait, Wait::Pending(None));
        (waits.len() > MOST_WAITS).then(|| waits.pop_first())
    });
    // Here and not above: a request that ends gives its own waits up, and the table is borrowed there.
    drop(given_up);
    listen(promise, wait);
    Awaited(wait)
}

/// Whether a waker is called because of a promise, with nothing of JavaScript's or of ours on the way: it may go on at once.
/// Other wakers are called from the middle of things (`worker::Delay` calls its own before it knows that it is over).
pub(crate) fn is_telling() -> bool {
    TELLING.get()
}

fn tell(wait: u32, fulfilled: bool, value: JsValue) {
    let end = if fulfilled { Ok(value) } else { Err(value) };
    let waker = WAITS.with_borrow_mut(|waits| match waits.get_mut(&wait) {
        Some(Wait::Pending(waker)) => {
            let waker = waker.take();
            waits.insert(wait, Wait::Settled(end));
            waker
        }
        _ => None,
    });
    if let Some(waker) = waker {
        TELLING.set(true);
        waker.wake();
        TELLING.set(false);
    }
}

impl Future for Awaited {
    type Output = Result<JsValue, JsValue>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        WAITS.with_borrow_mut(|waits| match waits.remove(&self.0) {
            Some(Wait::Settled(end)) => Poll::Ready(end),
            Some(Wait::Pending(_)) => {
                waits.insert(self.0, Wait::Pending(Some(context.waker().clone())));
                Poll::Pending
            }
            None => Poll::Pending,
        })
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let left = WAITS.with_borrow_mut(|waits| waits.remove(&self.0));
        drop(left);
    }
}
