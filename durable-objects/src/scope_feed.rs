//! `ScopeFeed`: those who wait for more of one scope's log.
//!
//! In scope: the class, its commands, its name and its client; streams, timers, reading Postgres. Out of scope: who may
//! wait (the Worker admits, and proves it by reading as the caller) and the order of delivery (`drey_core::sync::Feed`).
//!
//! The object stores nothing. What ends it loses nothing either: its readers come again with their offsets.

pub(crate) mod client;
mod line;
pub(crate) mod outlet;
mod settings;

pub use client::{Ask, FeedClient, FeedError, Reply, Stream};
pub use settings::{Settings, settings};

use std::rc::Rc;
use std::time::Duration;

use drey_core::sync::{Frame, Reader, WaiterId, Waits, Wish};
use futures::channel::oneshot;
use futures::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wasm_bindgen_futures::spawn_local;
use worker::{Date, Delay, DurableObject, Env, Request, Response, State, durable_object};

use crate::rpc;
use client::Heard;
use line::Line;
use outlet::Sink;

/// The binding of `wrangler.toml`. An object's name is `{workspace}/{scope type}/{scope id}`.
pub const BINDING: &str = "SCOPE_FEED";

/// What the Worker asks of a feed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Command {
    /// Wait for messages once.
    Poll(Ask),
    /// Wait for as long as a stream lasts; it begins with these messages.
    Stream {
        ask: Ask,
        #[serde(default)]
        first: Option<String>,
    },
    /// A push has reached this epoch; its messages, a JSON array, if they are told.
    Hear {
        generation: i64,
        epoch: i64,
        #[serde(default)]
        messages: Option<String>,
    },
}

/// The object; the macro exports the class, and nobody else names it.
#[durable_object(fetch)]
#[derive(Debug)]
struct ScopeFeed {
    line: Rc<Line>,
}

impl DurableObject for ScopeFeed {
    fn new(_: State, env: Env) -> Self {
        Self { line: Rc::new(Line::new(env)) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        match rpc::command(&mut request).await? {
            Command::Poll(ask) => self.poll(&ask).await,
            Command::Stream { ask, first } => self.stream(&ask, first),
            Command::Hear { generation, epoch, messages } => {
                self.line.hear(generation, epoch, messages.as_deref());
                self.line.catch_up();
                rpc::reply(&self.line.somebody_waits().then_some(Heard { waiting: true }))
            }
        }
    }
}

impl ScopeFeed {
    async fn poll(&self, ask: &Ask) -> worker::Result<Response> {
        let Some(wish) = wish(ask, false) else { return not(ask, false, None) };
        let id = match self.line.wait(ask, &wish) {
            Waits::Answer(frame) | Waits::Waiting(_, Some(frame)) => return delivered(&frame),
            Waits::Waiting(id, None) => id,
            turned => return not_waiting(ask, &turned),
        };
        let (sender, receiver) = oneshot::channel();
        let wait_ms = self.line.settings.long_poll_ms.min(ask.expires_in_ms);
        let ends_ms = Date::now().as_millis() + wait_ms;
        self.line.keep(id, Sink::Poll { sender, ends_ms });
        self.start();
        let wait = Duration::from_millis(wait_ms);
        let answer = match select(receiver, std::pin::pin!(Delay::from(wait))).await {
            Either::Left((Ok(frame), _)) => return delivered(&frame),
            // Ended, or nothing came: in both cases he has what he had.
            Either::Left((Err(_), _)) | Either::Right(_) => not(ask, false, None),
        };
        self.line.leave(id);
        answer
    }

    fn stream(&self, ask: &Ask, first: Option<String>) -> worker::Result<Response> {
        let Some(wish) = wish(ask, true) else { return not(ask, false, None) };
        let (id, missed) = match self.line.wait(ask, &wish) {
            Waits::Waiting(id, missed) => (id, missed),
            turned => return not_waiting(ask, &turned),
        };
        let opened = outlet::open(self.leaving(id)).and_then(|outlet| Ok((outlet.response()?, outlet)));
        // Nobody would ever end who waits without a stream.
        let (response, outlet) = opened.inspect_err(|_| self.line.leave(id))?;
        let cursor = self.line.begin(&outlet, &wish, ask.cursor, first, missed);
        let ends_ms = Date::now().as_millis() + self.line.settings.sse_ms.min(ask.expires_in_ms);
        self.line.keep(id, Sink::Stream { outlet, cursor, ends_ms });
        self.start();
        Ok(Response::from(response))
    }

    /// While somebody waits the scope is looked at now and then; what is heard of already is read at once.
    fn start(&self) {
        self.line.catch_up();
        if self.line.begins_to_tick() {
            spawn_local(Rc::clone(&self.line).tick());
        }
    }

    fn leaving(&self, id: WaiterId) -> impl FnOnce() + 'static {
        let line = Rc::downgrade(&self.line);
        move || {
            if let Some(line) = line.upgrade() {
                line.leave(id);
            }
        }
    }
}

fn wish(ask: &Ask, stays: bool) -> Option<Wish> {
    let reader = Reader { user: ask.user, api_key: ask.api_key };
    Some(Wish { reader, offset: ask.offset()?, proved: ask.proved, stays, admitted: ask.authz_epoch })
}

fn delivered(frame: &Frame) -> worker::Result<Response> {
    let messages = RawValue::from_string(frame.messages.clone())?;
    let (generation, epoch) = (frame.next.generation(), frame.next.epoch());
    rpc::reply(&Reply { generation, epoch, messages: Some(messages), ..Reply::default() })
}

fn not_waiting(ask: &Ask, waits: &Waits) -> worker::Result<Response> {
    match waits {
        Waits::Full => not(ask, false, Some("full")),
        Waits::TooMany => not(ask, false, Some("reader")),
        Waits::Ask | Waits::Waiting(..) | Waits::Answer(_) => not(ask, true, None),
    }
}

/// No messages: where the reader stands is where he stood.
fn not(ask: &Ask, again: bool, refused: Option<&str>) -> worker::Result<Response> {
    let (generation, epoch) = (ask.generation, ask.epoch);
    let refused = refused.map(str::to_owned);
    rpc::reply(&Reply { ask: again, refused, generation, epoch, messages: None })
}
