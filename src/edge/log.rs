//! The log: every `tracing` event becomes one JSON line, or the readable form under `npm run dev`.
//!
//! Events only. Spans are filtered out: `tracing-wasm` would call `performance.mark` for each, which the runtime lacks
//! without a flag (an uncaught exception resets the isolate) and never frees with it.

use std::fmt::{Debug, Display, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_wasm::{ConsoleConfig, WASMLayer, WASMLayerConfigBuilder};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = log)]
    fn console_log(line: &str);
}

/// Installs the log once per isolate; a second call changes nothing. What is below the level costs nothing: its fields are
/// not even read.
pub fn install(readable: bool, level: Level) {
    if readable {
        let config = WASMLayerConfigBuilder::new()
            .set_report_logs_in_timings(false)
            .set_console_config(ConsoleConfig::ReportWithoutConsoleColor)
            .set_max_level(level)
            .build();
        let layer = WASMLayer::new(config).with_filter(filter(level));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).ok();
    } else {
        let layer = JsonLines.with_filter(filter(level));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).ok();
    }
}

fn filter(level: Level) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    // The hint lets `tracing` answer for a whole level with one comparison.
    filter_fn(move |metadata| metadata.is_event() && *metadata.level() <= level).with_max_level_hint(level)
}

/// One JSON object per event, one line each.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        console_log(&line(event));
    }
}

/// The line of an event: level, target and its fields, written as they come. A tree of values in between would cost
/// more than the request that is logged.
#[must_use]
pub fn line(event: &Event<'_>) -> String {
    let mut fields = Fields(String::with_capacity(1024));
    fields.0.push('{');
    fields.text("level", &event.metadata().level().as_str().to_ascii_lowercase());
    fields.text("target", event.metadata().target());
    event.record(&mut fields);
    fields.0.push('}');
    fields.0
}

struct Fields(String);

impl Fields {
    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        // Names of fields are Rust identifiers: nothing in them needs escaping.
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        // Ids, routes and words, nearly always: nothing in them needs escaping.
        if value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        } else {
            self.0.push_str(&serde_json::to_string(value).unwrap_or_default());
        }
    }

    fn number(&mut self, field: &Field, value: impl Display) {
        self.name(field.name());
        // A string takes everything that is written to it.
        write!(self.0, "{value}").ok();
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no words for infinities.
        if value.is_finite() {
            self.number(field, value);
        } else {
            self.text(field.name(), &value.to_string());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // A line is paid for by its length, in time and in money: what is empty is left out.
        if !value.is_empty() {
            self.text(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}
