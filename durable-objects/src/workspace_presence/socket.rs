//! What a room does with a socket of the runtime.
//!
//! In scope: calls into JavaScript that cannot panic: the `worker` crate unwraps several of these, and a panic resets
//! every object of the isolate. Out of scope: which socket, and why.

use std::collections::BTreeMap;

use drey_core::presence::{Audience, Connection, PING, PONG};
use worker::js_sys::{Array, Date, Function, Reflect};
use worker::wasm_bindgen::JsCast as _;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::worker_sys::WebSocketRequestResponsePair;
use worker::{State, WebSocket, web_sys};

#[wasm_bindgen(module = "/src/workspace_presence/sockets.js")]
extern "C" {
    #[wasm_bindgen(js_name = sendAll)]
    fn send_all(sockets: &Array, text: &str);
}

/// Has the runtime answer pings without waking the object. The setting outlives hibernation; setting it again is free.
pub(crate) fn answer_pings(state: &State) {
    // If this fails, pings wake the object and the room answers them.
    let _ = WebSocketRequestResponsePair::new(PING, PONG)
        .and_then(|pair| state.as_raw().set_websocket_auto_response(&pair));
}

/// Keeps the socket over hibernation, tagged with its connection.
pub(crate) fn accept(state: &State, socket: &WebSocket, connection: Connection) -> Result<(), JsValue> {
    let tag = JsValue::from_str(&connection.0.to_string());
    state.as_raw().accept_websocket_with_tags(socket.as_ref(), vec![tag])
}

/// Every socket the runtime holds, closing ones included.
pub(crate) fn all(state: &State) -> Vec<WebSocket> {
    state.as_raw().get_websockets().unwrap_or_default().into_iter().map(WebSocket::from).collect()
}

/// The connection a socket is tagged with.
pub(crate) fn connection(state: &State, socket: &WebSocket) -> Option<Connection> {
    let tags = state.as_raw().get_tags(socket.as_ref()).ok()?;
    tags.first()?.parse().ok().map(Connection)
}

/// Sends. A socket that is closing refuses, and its own event follows.
pub(crate) fn send(socket: &WebSocket, text: &str) {
    send_these([socket].into_iter(), text);
}

/// Sends to all: the text crosses into JavaScript once, and is copied there.
pub(crate) fn send_to(sockets: &BTreeMap<Connection, WebSocket>, to: &Audience, text: &str) {
    match to {
        Audience::AllBut(others) => {
            let these = sockets.iter().filter(|(connection, _)| !others.contains(connection));
            send_these(these.map(|(_, socket)| socket), text);
        }
        Audience::Only(these) => send_these(these.iter().filter_map(|connection| sockets.get(connection)), text),
    }
}

fn send_these<'s>(sockets: impl Iterator<Item = &'s WebSocket>, text: &str) {
    let these = Array::new();
    for socket in sockets {
        let socket: &web_sys::WebSocket = socket.as_ref();
        these.push(socket);
    }
    send_all(&these, text);
}

/// Closes. A socket that is closed already refuses, which is as well.
pub(crate) fn close(socket: &WebSocket, code: u16, reason: &str) {
    let _ = socket.close(Some(code), Some(reason));
}

/// Remembers a text over hibernation; at most 16,384 bytes, one for each character of ASCII.
pub(crate) fn attach(socket: &WebSocket, text: &str) {
    // It fails only above the limit, which no peer reaches (`the_largest_peer_fits_an_attachment` is the law).
    let _ = socket.serialize_attachment(text);
}

/// The text remembered; empty if there is none.
pub(crate) fn attachment(socket: &WebSocket) -> String {
    socket.deserialize_attachment().ok().flatten().unwrap_or_default()
}

/// When the runtime last answered a ping of this socket, in milliseconds since 1970. The `worker` crate does not bind it.
pub(crate) fn last_ping_ms(state: &State, socket: &WebSocket) -> Option<u64> {
    let object: &JsValue = state.as_raw().as_ref();
    let method = Reflect::get(object, &JsValue::from_str("getWebSocketAutoResponseTimestamp")).ok()?;
    let socket: &web_sys::WebSocket = socket.as_ref();
    let date: Date = method.dyn_ref::<Function>()?.call1(object, socket).ok()?.dyn_into().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    Some(date.get_time() as u64)
}
