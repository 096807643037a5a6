//! A future as a promise, if it has to wait at all.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::spawn_local;
use worker::send::SendWrapper;

use crate::awaited::is_telling;

#[wasm_bindgen]
extern "C" {
    /// A promise and the two functions that end it.
    type Resolvers;

    #[wasm_bindgen(js_namespace = Promise, js_name = withResolvers)]
    fn with_resolvers() -> Resolvers;

    #[wasm_bindgen(method, getter)]
    fn promise(this: &Resolvers) -> Promise;

    #[wasm_bindgen(method)]
    fn resolve(this: &Resolvers, value: &JsValue);

    #[wasm_bindgen(method)]
    fn reject(this: &Resolvers, error: &JsValue);
}

type Going = Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>>;

thread_local! {
    /// Whether one is on its way: another that is woken from there waits for its turn, because both may look into the same
    /// cells.
    static GOING: Cell<bool> = const { Cell::new(false) };
}

/// A future that JavaScript waits for, and its own waker: WebAssembly has one thread, so nothing is ever sent.
struct Way(SendWrapper<State>);

#[derive(Default)]
struct State {
    /// None while it is on its way, and once it has ended: then nothing of its request is held any more.
    future: RefCell<Option<Going>>,
    answer: RefCell<Option<Resolvers>>,
    /// Whether it was woken on its way, or waits for its turn.
    is_woken: Cell<bool>,
}

/// The value, if the future is ready at once, else a promise of it.
///
/// # Errors
/// Those of a future that fails at once; a later failure rejects the promise.
pub fn now_or_promise<F>(future: F) -> Result<JsValue, JsValue>
where
    F: Future<Output = Result<JsValue, JsValue>> + 'static,
{
    let state = State { future: RefCell::new(Some(Box::pin(future))), ..State::default() };
    let way = Arc::new(Way(SendWrapper::new(state)));
    if let Some(end) = way.go() {
        return end;
    }
    let resolvers = with_resolvers();
    let promise = resolvers.promise();
    way.0.answer.replace(Some(resolvers));
    Ok(promise.into())
}

impl Way {
    /// As far as it gets without waiting: what it ends with, if that is the end.
    fn go(self: &Arc<Self>) -> Option<Result<JsValue, JsValue>> {
        let mut future = self.0.future.take()?;
        let waker = Waker::from(Arc::clone(self));
        GOING.set(true);
        let end = loop {
            self.0.is_woken.set(false);
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(end) => break Some(end),
                Poll::Pending if self.0.is_woken.get() => {}
                Poll::Pending => break None,
            }
        };
        GOING.set(false);
        if end.is_none() {
            self.0.future.replace(Some(future));
        }
        end
    }

    fn go_on(self: &Arc<Self>) {
        let Some(end) = self.go() else { return };
        let Some(answer) = self.0.answer.take() else { return };
        match end {
            Ok(value) => answer.resolve(&value),
            Err(error) => answer.reject(&error),
        }
    }
}

impl Wake for Way {
    fn wake(self: Arc<Self>) {
        let was_woken = self.0.is_woken.replace(true);
        if was_woken || self.0.future.borrow().is_none() {
            return;
        }
        if is_telling() && !GOING.get() {
            self.go_on();
        } else {
            spawn_local(async move { self.go_on() });
        }
    }
}
