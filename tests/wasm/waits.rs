//! How Rust waits for JavaScript's promises, and JavaScript for Rust.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use drey_promises::{now_or_promise, settled};
use futures::channel::oneshot;
use futures::future::join;
use js_sys::Promise;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen(inline_js = r#"
const now = Date.now;
export function put_clock_forward(ms) { Date.now = () => now() + ms; }
"#)]
extern "C" {
    fn put_clock_forward(ms: f64);
}

/// What the future gives, and whether it had to wait.
async fn ended(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> (Result<JsValue, JsValue>, bool) {
    match now_or_promise(future) {
        Ok(value) if value.is_instance_of::<Promise>() => {
            (JsFuture::from(value.unchecked_into::<Promise>()).await, true)
        }
        end => (end, false),
    }
}

fn text(text: &str) -> JsValue {
    JsValue::from_str(text)
}

#[wasm_bindgen_test]
async fn what_is_ready_at_once_makes_no_promise() {
    assert_eq!(ended(async { Ok(text("value")) }).await, (Ok(text("value")), false));
    assert_eq!(ended(async { Err(text("error")) }).await, (Err(text("error")), false));
}

#[wasm_bindgen_test]
async fn a_promise_ends_as_the_one_that_was_waited_for() {
    let kept = || Promise::resolve(&text("value"));
    let broken = || Promise::reject(&text("error"));
    assert_eq!(ended(async move { settled(&kept()).await }).await, (Ok(text("value")), true));
    assert_eq!(ended(async move { settled(&broken()).await }).await, (Err(text("error")), true));
    let (one, other) = (settled(&kept()), settled(&broken()));
    assert_eq!(join(other, one).await, (Err(text("error")), Ok(text("value"))));
}

#[wasm_bindgen_test]
async fn waits_one_after_the_other_keep_their_order() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let step = |name: &'static str| {
        let seen = Rc::clone(&seen);
        ended(async move {
            for n in 0..3 {
                settled(&Promise::resolve(&JsValue::NULL)).await?;
                seen.borrow_mut().push(format!("{name}{n}"));
            }
            Ok(JsValue::NULL)
        })
    };
    let (a, b) = join(step("a"), step("b")).await;
    assert!(a.0.is_ok() && b.0.is_ok());
    assert_eq!(*seen.borrow(), ["a0", "b0", "a1", "b1", "a2", "b2"]);
}

/// `worker::Delay` calls its waker before it knows that it is over: whoever polled in that call would wait for good.
async fn called_too_early() {
    let is_over = Rc::new(Cell::new(false));
    poll_fn(move |context| {
        if is_over.get() {
            return Poll::Ready(());
        }
        let (waker, is_over) = (context.waker().clone(), Rc::clone(&is_over));
        spawn_local(async move {
            waker.wake();
            is_over.set(true);
        });
        Poll::Pending
    })
    .await;
}

#[wasm_bindgen_test]
async fn who_is_called_too_early_goes_on_all_the_same() {
    let waits = async {
        called_too_early().await;
        settled(&Promise::resolve(&JsValue::NULL)).await?;
        called_too_early().await;
        Ok(text("over"))
    };
    assert_eq!(ended(waits).await, (Ok(text("over")), true));
}

#[wasm_bindgen_test]
async fn who_is_woken_by_another_goes_on_after_him() {
    let (send, receive) = oneshot::channel::<()>();
    let cell = Rc::new(RefCell::new(0));
    let (mine, his) = (Rc::clone(&cell), Rc::clone(&cell));
    let waiting = ended(async move {
        receive.await.map_err(|error| text(&error.to_string()))?;
        *his.borrow_mut() += 1;
        Ok(JsValue::NULL)
    });
    let waking = ended(async move {
        settled(&Promise::resolve(&JsValue::NULL)).await?;
        let mut held = mine.borrow_mut();
        send.send(()).map_err(|()| text("nobody waits"))?;
        *held += 1;
        Ok(JsValue::NULL)
    });
    let (waited, woke) = join(waiting, waking).await;
    assert!(waited.0.is_ok() && woke.0.is_ok());
    assert_eq!(*cell.borrow(), 2);
}

#[wasm_bindgen_test]
async fn a_request_that_ends_lets_go_of_what_it_held() {
    let held = Rc::new(());
    let (one, other) = (Rc::clone(&held), Rc::clone(&held));
    let never = Promise::new(&mut |_, _| {});
    let dropped = settled(&never);
    drop(dropped);
    let (end, has_waited) = ended(async move {
        let kept = one;
        settled(&Promise::resolve(&JsValue::NULL)).await?;
        drop(kept);
        Ok(JsValue::NULL)
    })
    .await;
    assert!(end.is_ok() && has_waited);
    assert_eq!(Rc::strong_count(&held), 2);
    // Nobody ever tells of its end; after ten minutes the next wait gives it up.
    let abandoned = now_or_promise(async move {
        let kept = other;
        let end = settled(&never).await;
        drop(kept);
        end
    });
    assert!(abandoned.is_ok() && Rc::strong_count(&held) == 2);
    drop(settled(&Promise::resolve(&JsValue::NULL)));
    assert_eq!(Rc::strong_count(&held), 2);
    put_clock_forward(600_001.0);
    drop(settled(&Promise::resolve(&JsValue::NULL)));
    put_clock_forward(0.0);
    assert_eq!(Rc::strong_count(&held), 1);
}
