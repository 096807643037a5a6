//! `WorkspacePresence`: the sockets of one workspace's room.
//!
//! In scope: the class, its commands, its name and its client; sockets, attachments, the alarm. Out of scope: who may
//! enter (the Worker admits before it forwards) and every rule of the room (`drey_core::presence`).
//!
//! The room is stored in the sockets' attachments; heartbeats and tickets, which have no socket, in tables. It sleeps while
//! nobody sends, pings are answered without waking it, and what wakes it finds the room as it was. Close codes stand in `drey_core::presence::close`.

mod alarm;
mod beats;
pub(crate) mod check;
mod client;
mod command;
mod entering;
mod room;
mod settings;
mod shards;
pub(crate) mod socket;
mod streams;
mod ticker;
mod tickets;
pub(crate) mod told;

pub use client::{Asked, By, Join, Page, PresenceClient, PresenceError};
pub use settings::settings;

use drey_core::id::UserId;
use drey_core::presence::{
    Effect, Identity, PeerView, People, PersonView, Places, ScopeNews, Settings, Shown, Snapshot, close,
};
use drey_core::refusal::{Code, Refusal};
use drey_core::sync::ClientId;
use worker::{
    Date, DurableObject, Env, Error, Request, Response, State, WebSocket, WebSocketIncomingMessage, durable_object,
};

use crate::rpc;
use alarm::Alarm;
use check::Standing;
use command::{Command, Turned};
use room::Hall;
use shards::Shards;
use ticker::Ticker;
use tickets::Tickets;
use told::Told;

/// The binding of `wrangler.toml`. An object's name is its workspace's id.
pub const BINDING: &str = "PRESENCE";

/// The digest of a ticket, between Worker and object.
const TICKET_HEADER: &str = "x-drey-ticket";

/// Tickets expire as time goes by: seconds after which to try again.
const RETRY_TICKETS_S: u32 = 5;

/// The object; the macro exports the class, and nobody else names it. Nothing is borrowed across an await: the room is taken
/// for one step, which waits for nobody.
#[durable_object]
#[derive(Debug)]
struct WorkspacePresence {
    state: State,
    env: Env,
    settings: Settings,
    ticker: Ticker,
    tickets: Tickets,
    shards: Shards,
    told: Told,
}

impl DurableObject for WorkspacePresence {
    fn new(state: State, env: Env) -> Self {
        socket::answer_pings(&state);
        // A wrong variable stops the Worker at its first request; an object of another version keeps the defaults.
        let settings = settings(&env).unwrap_or_default();
        let tickets = Tickets::new(state.storage().sql());
        let told = Told::new(&env);
        let ticker = Ticker::new(env.clone(), Alarm::new(state.storage()));
        let shards = Shards::new(state.storage().sql());
        Self { state, env, settings, ticker, tickets, shards, told }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if let Some(asked) = self.asks() {
            asked.await?;
        }
        if let Some(header) = request.headers().get(Identity::HEADER)? {
            return match Identity::from_header(&header) {
                Ok(identity) => self.join(identity).await,
                Err(error) => turned(&Refusal::new(Code::Internal, error.to_string())),
            };
        }
        if let Some(digest) = request.headers().get(TICKET_HEADER)? {
            return self.redeem(&digest).await;
        }
        match rpc::command(&mut request).await? {
            Command::Snapshot { after, limit, at } => rpc::reply(&self.snapshot(after.as_ref(), at.as_ref(), limit)),
            Command::People { after, limit, at } => rpc::reply(&self.people(after, at.as_ref(), limit)),
            Command::Beat { identity, clock, state, at } => {
                rpc::reply(&self.beat(&identity, clock, Shown { state, at }).await?)
            }
            Command::Ticket { digest, identity } => rpc::reply(&self.keep(&digest, &identity)?),
            Command::Narrow { user_id, authz_epoch } => {
                self.tickets.forget(user_id);
                self.everywhere((), |hall, _| hall.room.narrow(user_id, authz_epoch)).await
            }
            Command::Close => {
                self.tickets.clear();
                self.everywhere((), |hall, _| hall.room.clear()).await
            }
            Command::Listen { identity, last_event, at } => self.listen(&identity, last_event, at).await,
            Command::Notice { scopes } => rpc::reply(&self.notify(scopes)),
            Command::Report { workspace, report } => self.hear(workspace, &report).await,
            Command::Drain { after_ms } => {
                self.everywhere(self.ticker.seats(), |hall, now_ms| hall.room.drain(after_ms, now_ms)).await
            }
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.ticker.alarm.gone_off();
        self.told.alarm();
        match self.asks() {
            Some(asked) => asked.await?,
            None if self.in_hall(|hall| hall.room.is_to_roll(Date::now().as_millis())) => {
                self.ticker.roll_all(&self.shards).await;
            }
            None => {}
        }
        let mut asked = None;
        self.act(|hall, now_ms| {
            hall.hear_pings(&self.state);
            hall.comment();
            let effects = hall.room.tick(now_ms);
            asked = Some(hall.room.to_check(now_ms));
            effects
        })
        .await?;
        self.tell_metrics(Date::now().as_millis(), true);
        let Some((seats, up_to)) = asked else { return Response::empty() };
        for (user_id, standing) in check::round(&self.env, seats).await {
            self.in_hall(|hall| hall.room.checked(user_id));
            self.act(|hall, _| match standing {
                Some(Standing::Out) => hall.room.revoke(user_id, up_to),
                Some(Standing::In { authz_epoch }) => hall.room.recheck_keys(user_id, authz_epoch, up_to),
                None => Vec::new(),
            })
            .await?;
        }
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> worker::Result<()> {
        if let Some(asked) = self.asks() {
            asked.await?;
        }
        let connection = socket::connection(&self.state, &socket);
        let Some(connection) =
            connection.filter(|connection| self.in_hall(|hall| hall.room.peer(*connection).is_some()))
        else {
            // Its place is taken or its attachment lost. One that is closing already ignores this.
            socket::close(&socket, close::RESTART, "unknown connection");
            return Ok(());
        };
        self.act(|hall, now_ms| match &message {
            WebSocketIncomingMessage::String(text) => hall.room.frame(connection, text, now_ms),
            WebSocketIncomingMessage::Binary(_) => hall.room.binary(connection),
        })
        .await
    }

    /// The runtime answers the close frame by itself (compatibility date 2026-04-07); the others learn of it here.
    async fn websocket_close(&self, socket: WebSocket, _: usize, _: String, _: bool) -> worker::Result<()> {
        self.gone(&socket).await
    }

    async fn websocket_error(&self, socket: WebSocket, _: Error) -> worker::Result<()> {
        self.gone(&socket).await
    }

    async fn connect(&self, socket: worker::Socket) -> worker::Result<()> {
        // The bare attribute exports every handler, and the default one panics. Nobody connects to a room by TCP.
        drop(socket);
        Ok(())
    }
}

impl WorkspacePresence {
    /// A heartbeat; for how long it is good.
    async fn beat(&self, identity: &str, clock: u64, shown: Shown) -> worker::Result<Result<u64, Turned>> {
        let identity = admitted(identity)?;
        let mut refused = None;
        self.act(|hall, now_ms| match hall.room.beat(identity, clock, shown, now_ms) {
            Ok(effects) => effects,
            Err(refusal) => {
                refused = Some(Turned::from(&refusal));
                Vec::new()
            }
        })
        .await?;
        Ok(refused.map_or(Ok(self.settings.beat_ms), Err))
    }

    /// Keeps a ticket; for how long it is good.
    fn keep(&self, digest: &str, identity: &str) -> worker::Result<Result<u64, Turned>> {
        let identity = admitted(identity)?;
        let now_ms = Date::now().as_millis();
        let ends_ms = now_ms.saturating_add(self.settings.ticket_ms).min(identity.expires_at_ms);
        if self.tickets.put(digest, &identity, ends_ms, now_ms, self.settings.max_per_user)? {
            return Ok(Ok(ends_ms.saturating_sub(now_ms)));
        }
        let detail = "You have as many unused tickets as you may have connections. Use one, or wait until they expire.";
        Ok(Err(Turned::from(&Refusal::new(Code::QuotaExceeded, detail).with_retry_after(RETRY_TICKETS_S))))
    }

    /// Takes news of scopes for those who are here; whether anybody is.
    fn notify(&self, scopes: Vec<ScopeNews>) -> bool {
        let occupied = self.in_hall(|hall| {
            hall.room.notify(scopes);
            hall.sockets().saturating_add(hall.links.count()) > 0
        });
        self.ticker.settle();
        occupied
    }

    fn snapshot(&self, after: Option<&ClientId>, at: Option<&Places>, limit: u32) -> room::Present<PeerView, ClientId> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Snapshot { data, next } = self.in_hall(|hall| {
            hall.hear_pings(&self.state);
            hall.room.snapshot(after, at, limit)
        });
        room::Present { data, next }
    }

    fn people(&self, after: Option<UserId>, at: Option<&Places>, limit: u32) -> room::Present<PersonView, UserId> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let People { data, next } = self.in_hall(|hall| {
            hall.hear_pings(&self.state);
            hall.room.people(after, at, limit)
        });
        room::Present { data, next }
    }

    async fn gone(&self, socket: &WebSocket) -> worker::Result<()> {
        if let Some(asked) = self.asks() {
            asked.await?;
        }
        let Some(connection) = socket::connection(&self.state, socket) else { return Ok(()) };
        self.act(|hall, _| hall.room.closed(connection)).await
    }

    /// One step of the room and its effects, without an await between: the object's input gate lets no other event in.
    /// Then the others are told, if it is time, and the alarm is set, which alone is left to be awaited.
    fn act(&self, step: impl FnOnce(&mut Hall, u64) -> Vec<Effect>) -> impl Future<Output = worker::Result<()>> {
        let now_ms = Date::now().as_millis();
        self.in_hall(|hall| {
            let effects = step(hall, now_ms);
            hall.perform(effects);
        });
        self.ticker.settle();
        self.tell_metrics(now_ms, false);
        self.ticker.set_alarm(now_ms)
    }

    fn tell_metrics(&self, now_ms: u64, again: bool) {
        let occupants = self.in_hall(|hall| hall.occupants());
        self.told.tell(&self.state, &self.env, occupants, now_ms, again);
    }

    fn in_hall<T>(&self, step: impl FnOnce(&mut Hall) -> T) -> T {
        self.ticker.in_hall(&self.state, self.settings, step)
    }
}

/// An identity as the Worker wrote it: in a command as in the header.
fn admitted(text: &str) -> worker::Result<Identity> {
    Identity::from_header(text).map_err(|error| worker::Error::RustError(error.to_string()))
}

/// An answer to an upgrade that is no upgrade; the client in the Worker reads it.
fn turned(refusal: &Refusal) -> worker::Result<Response> {
    rpc::reply(&Turned::from(refusal))
}
