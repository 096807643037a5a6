//! `PresenceShard`: sockets of a room that is too large for one object.
//!
//! In scope: the class, its commands, its name and its client. Out of scope: every rule (`drey_core::presence::Shard`), and
//! the room, which is a `WorkspacePresence`. A shard has no alarm and no storage but its sockets' attachments: its room looks
//! at it, and a shard without sockets costs nothing.

pub(crate) mod client;
mod desk;

use std::rc::Rc;

use drey_core::presence::{Connection, Orders, Report, Sent, close};
use serde::{Deserialize, Serialize};
use worker::{
    DurableObject, Env, Error, Request, Response, State, WebSocket, WebSocketIncomingMessage, WebSocketPair,
    durable_object,
};

use crate::rpc;
use crate::workspace_presence::socket;
use desk::Desk;

/// The binding of `wrangler.toml`. An object's name is its workspace's id, a slash and its number.
pub(crate) const BINDING: &str = "PRESENCE_SHARD";

/// What a room asks of a shard. Both may be of another version: new members have defaults.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Command {
    /// Do this; the reply says when the room woke whose orders were carried out last.
    Obey { orders: String },
    /// A page of the sockets, after the one named.
    Roll { after: Option<Connection> },
}

/// A page of the sockets as they are attached, and what else is still to be reported.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rolled {
    peers: Vec<String>,
    unsaid: Report,
}

/// The object; the macro exports the class, and nobody else names it.
#[durable_object]
#[derive(Debug)]
struct PresenceShard {
    state: State,
    desk: Rc<Desk>,
}

impl DurableObject for PresenceShard {
    fn new(state: State, env: Env) -> Self {
        socket::answer_pings(&state);
        Self { state, desk: Rc::new(Desk::new(env)) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if let Some(header) = request.headers().get(Sent::HEADER)? {
            let sent = Sent::from_header(&header).map_err(|error| Error::RustError(error.to_string()))?;
            return self.open(sent);
        }
        match rpc::command(&mut request).await? {
            Command::Obey { orders } => {
                let orders: Orders = rpc::parse(&orders)?;
                self.act(|desk| desk.obey(orders));
                rpc::reply(&self.desk.obeyed(&self.state))
            }
            Command::Roll { after } => {
                let roll = self.desk.roll(&self.state, after);
                self.desk.settle();
                rpc::reply(&roll)
            }
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        Response::empty()
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> worker::Result<()> {
        let Some(connection) = socket::connection(&self.state, &socket) else {
            socket::close(&socket, close::RESTART, "unknown connection");
            return Ok(());
        };
        self.act(|desk| desk.message(&socket, connection, &message));
        Ok(())
    }

    async fn websocket_close(&self, socket: WebSocket, _: usize, _: String, _: bool) -> worker::Result<()> {
        self.gone(&socket);
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _: Error) -> worker::Result<()> {
        self.gone(&socket);
        Ok(())
    }

    async fn connect(&self, socket: worker::Socket) -> worker::Result<()> {
        // The bare attribute exports every handler, and the default one panics. Nobody connects to a shard by TCP.
        drop(socket);
        Ok(())
    }
}

impl PresenceShard {
    /// Accepts a socket that its room has sent here.
    fn open(&self, sent: Sent) -> worker::Result<Response> {
        let pair = WebSocketPair::new()?;
        let mut opened = false;
        self.act(|desk| opened = desk.open(&self.state, sent, &pair.server));
        if opened { Response::from_websocket(pair.client) } else { Response::error("full", 503) }
    }

    fn gone(&self, socket: &WebSocket) {
        if let Some(connection) = socket::connection(&self.state, socket) {
            self.act(|desk| desk.closed(connection));
        }
    }

    /// One step without an await, then what is to be reported.
    fn act(&self, step: impl FnOnce(&Desk)) {
        self.desk.wake(&self.state);
        step(&self.desk);
        self.desk.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room and shard may be of two versions for a while.
    #[test]
    fn commands_and_rolls_are_fixed() {
        let texts = [
            r#"{"command":"obey","orders":"{}"}"#,
            r#"{"command":"roll","after":null}"#,
            r#"{"command":"roll","after":7}"#,
        ];
        for text in texts {
            let read: Command = serde_json::from_str(text).expect("a command");
            assert_eq!(serde_json::to_string(&read).expect("json"), text);
        }
        let rolled = r#"{"peers":["{}"],"unsaid":{"shard":2,"since":1,"number":3,"peers":[],"asks":[7],"acks":{"8":9},"ended":[]}}"#;
        let read: Rolled = serde_json::from_str(rolled).expect("a roll");
        assert_eq!(serde_json::to_string(&read).expect("json"), rolled);
    }
}
