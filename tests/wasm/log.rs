//! Events as JSON lines.

use std::cell::RefCell;
use std::rc::Rc;

use drey::edge::log::line;
use tracing::Subscriber;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use wasm_bindgen_test::wasm_bindgen_test;

#[derive(Clone, Default)]
struct Lines(Rc<RefCell<Vec<String>>>);

// WebAssembly here has one thread: nothing is ever shared with another.
#[expect(unsafe_code, reason = "a subscriber must be Send and Sync, which nothing needs on one thread")]
unsafe impl Send for Lines {}
#[expect(unsafe_code, reason = "as above")]
unsafe impl Sync for Lines {}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        self.0.borrow_mut().push(line(event));
    }
}

#[wasm_bindgen_test]
fn an_event_is_one_json_line_with_its_fields_typed() {
    let lines = Lines::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.clone()), || {
        tracing::info!(target: "request", status = 200_u64, ms = 1.5, ok = true, route = "/v1/me", left = -1_i64, odd = ?Some("a\nb"));
    });
    let written = lines.0.borrow().join("\n");
    assert_eq!(written.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    let expected = serde_json::json!({
        "level": "info", "target": "request", "status": 200, "ms": 1.5, "ok": true, "route": "/v1/me", "left": -1,
        "odd": "Some(\"a\\nb\")"
    });
    assert_eq!(value, expected);
}
