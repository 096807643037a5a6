// Sends in one crossing: a thousand of them a tick are most of what a large room does.

/** Sends a text to all of these. One that is closing refuses, and its own event follows. */
export function sendAll(sockets, text) {
  for (const socket of sockets) {
    try {
      socket.send(text);
    } catch {}
  }
}
