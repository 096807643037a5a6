//! The shard with its sockets: what `drey_core::presence::Shard` decides is done here.
//!
//! Nothing is borrowed across an await, and every event runs to its end before the next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use drey_core::id::WorkspaceId;
use drey_core::presence::{Connection, Effect, Orders, Peer, Report, Sent, Settings, Shard, close};
use wasm_bindgen_futures::spawn_local;
use worker::{Date, Env, State, WebSocket, WebSocketIncomingMessage};

use super::Rolled;
use crate::timer::Timer;
use crate::workspace_presence::{PresenceClient, settings, socket};

/// A room that takes longer is told again.
const TIMEOUT_MS: u32 = 2_000;

/// A shard and its sockets.
#[derive(Debug)]
pub(super) struct Desk {
    env: Env,
    settings: Settings,
    /// None until the first event after a start or a hibernation.
    inner: RefCell<Option<Inner>>,
    /// Whose room; a shard without sockets has forgotten it, and has nothing to say.
    workspace: Cell<Option<WorkspaceId>>,
    timer: Timer,
}

#[derive(Debug)]
struct Inner {
    shard: Shard,
    sockets: BTreeMap<Connection, WebSocket>,
}

impl Desk {
    pub(super) fn new(env: Env) -> Self {
        // A wrong variable stops the Worker at its first request; an object of another version keeps the defaults.
        let settings = settings(&env).unwrap_or_default();
        let (inner, workspace, timer) = (RefCell::new(None), Cell::new(None), Timer::default());
        Self { env, settings, inner, workspace, timer }
    }

    /// Takes up what the sockets remember, if that is not done.
    pub(super) fn wake(&self, state: &State) {
        let mut inner = self.inner.borrow_mut();
        if inner.is_some() {
            return;
        }
        let known = socket::all(state).into_iter();
        let known = known.filter_map(|socket| Some((Peer::from_attachment(&socket::attachment(&socket))?, socket)));
        let (peers, sockets): (Vec<_>, Vec<_>) = known.unzip();
        self.workspace.set(peers.first().map(|peer| peer.identity.workspace));
        let sockets = peers.iter().map(|peer| peer.connection).zip(sockets).collect();
        *inner = Some(Inner { shard: Shard::restore(self.settings, peers, Date::now().as_millis()), sockets });
    }

    /// Keeps a socket that the room has sent here; whether there is room for it.
    pub(super) fn open(&self, state: &State, sent: Sent, server: &WebSocket) -> bool {
        let Sent { shard, connection, identity } = sent;
        self.workspace.set(Some(identity.workspace));
        let opened = self.with(|inner| {
            let opened = inner.shard.open(identity, shard, connection, Date::now().as_millis())
                && socket::accept(state, server, connection).is_ok();
            if opened {
                inner.sockets.insert(connection, server.clone());
                inner.perform(vec![Effect::Save { of: connection }]);
            } else {
                inner.shard.closed(connection);
            }
            opened
        });
        opened.unwrap_or(false)
    }

    pub(super) fn message(&self, socket: &WebSocket, connection: Connection, message: &WebSocketIncomingMessage) {
        let now_ms = Date::now().as_millis();
        self.with(|inner| {
            if inner.shard.peer(connection).is_none() {
                // One that is closing already ignores this.
                return socket::close(socket, close::RESTART, "unknown connection");
            }
            let effects = match message {
                WebSocketIncomingMessage::String(text) => inner.shard.frame(connection, text, now_ms),
                WebSocketIncomingMessage::Binary(_) => inner.shard.binary(connection),
            };
            inner.perform(effects);
        });
    }

    pub(super) fn closed(&self, connection: Connection) {
        self.with(|inner| {
            let effects = inner.shard.closed(connection);
            inner.perform(effects);
        });
    }

    pub(super) fn obey(&self, orders: Orders) {
        self.with(|inner| {
            let effects = inner.shard.obey(orders);
            inner.perform(effects);
        });
    }

    /// When the room woke whose orders were carried out last.
    pub(super) fn obeyed(&self, state: &State) -> u64 {
        self.wake(state);
        self.with(|inner| inner.shard.obeyed()).unwrap_or_default()
    }

    /// A page of the sockets, with the pings that were answered without waking the object.
    pub(super) fn roll(&self, state: &State, after: Option<Connection>) -> Rolled {
        self.wake(state);
        let page = self.with(|inner| {
            if after.is_none() {
                let pings = inner.sockets.iter().filter_map(|(connection, socket)| {
                    socket::last_ping_ms(state, socket).map(|at_ms| (*connection, at_ms))
                });
                pings.for_each(|(connection, at_ms)| inner.shard.seen(connection, at_ms));
            }
            let peers = inner.shard.roll(after).iter().map(Peer::to_attachment).collect();
            Rolled { peers, unsaid: inner.shard.unsaid() }
        });
        page.unwrap_or_default()
    }

    /// Reports what is due, and sees to it that the rest is reported when it is.
    pub(super) fn settle(self: &Rc<Self>) {
        let now_ms = Date::now().as_millis();
        let Some(due_ms) = self.with(|inner| inner.shard.report_ms()).flatten() else { return };
        if due_ms > now_ms {
            let desk = Rc::clone(self);
            return self.timer.set(due_ms.saturating_sub(now_ms), move || desk.settle());
        }
        let report = self.with(|inner| {
            let (report, effects) = inner.shard.report(now_ms);
            inner.perform(effects);
            report
        });
        match report.flatten() {
            Some(report) => spawn_local(Rc::clone(self).send(report)),
            // States wait, and nothing else.
            None => self.settle(),
        }
    }

    async fn send(self: Rc<Self>, report: Report) {
        let Some(workspace) = self.workspace.get() else { return };
        let text = serde_json::to_string(&report).unwrap_or_default();
        let heard = PresenceClient { env: &self.env, timeout_ms: TIMEOUT_MS }.report(workspace, text).await;
        let now_ms = Date::now().as_millis();
        self.with(|inner| match heard {
            Ok(since) => inner.shard.answered(report, since, now_ms),
            Err(error) => {
                if inner.shard.failed(report, now_ms) {
                    worker::console_warn!("presence: a shard is not heard: {error}");
                }
            }
        });
        self.settle();
    }

    fn with<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> Option<T> {
        self.inner.borrow_mut().as_mut().map(step)
    }
}

impl Inner {
    /// Does what is decided, in order. A socket that cannot be sent to is ending: its own event will say so.
    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, text } => {
                    if let Some(socket) = self.sockets.get(&to) {
                        socket::send(socket, &text);
                    }
                }
                Effect::Broadcast { to, text } => socket::send_to(&self.sockets, &to, &text),
                Effect::Save { of } => {
                    if let (Some(socket), Some(peer)) = (self.sockets.get(&of), self.shard.peer(of)) {
                        socket::attach(socket, &peer.to_attachment());
                    }
                }
                Effect::Close { connection, code, reason } => {
                    if let Some(socket) = self.sockets.remove(&connection) {
                        // The runtime lists a closing socket until its close is answered.
                        socket::attach(&socket, "");
                        socket::close(&socket, code, &reason);
                    }
                }
                Effect::Forget { connection } => drop(self.sockets.remove(&connection)),
            }
        }
    }
}
