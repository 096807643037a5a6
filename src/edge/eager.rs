//! Work that usually waits for nothing, without the price of waiting.
//!
//! A promise, a task and a microtask for each request are a seventh of what a cached read costs. So the way of a request
//! is tried at once, and only what has to wait becomes a promise.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

/// Passes a wake on to the promise that has taken the future over. Some futures (timers) keep the waker of their first
/// poll for good: they must be given one that still counts afterwards.
#[derive(Debug, Default)]
struct Relay(AtomicWaker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

/// The value, if the future is ready at once, else a promise of it.
///
/// # Errors
/// Those of a future that fails at once; a later failure rejects the promise.
pub fn now_or_promise<F>(future: F) -> Result<JsValue, JsValue>
where
    F: Future<Output = Result<JsValue, JsValue>> + 'static,
{
    let relay = Arc::new(Relay::default());
    let waker = Waker::from(Arc::clone(&relay));
    let mut future = Box::pin(future);
    if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
        return value;
    }
    // A wake between the two polls is not lost: a promise polls once before it waits.
    let rest = poll_fn(move |context| {
        relay.0.register(context.waker());
        future.as_mut().poll(&mut Context::from_waker(&waker))
    });
    Ok(future_to_promise(rest).into())
}
