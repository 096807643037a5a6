// An upgrade in one crossing. Nothing of the caller's request goes along but what is named here.

/**
 * Asks an object for a WebSocket and gives its response. Throws when it is too slow: the timer ends with the answer,
 * for a signal that fires later would end the socket.
 */
export async function upgrade(namespace, name, hint, header, value, protocol, timeout) {
  const id = namespace.idFromName(name);
  const stub = hint === undefined ? namespace.get(id) : namespace.get(id, { locationHint: hint });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${timeout} ms`)), timeout);
  try {
    const headers = { upgrade: "websocket", [header]: value };
    const response = await stub.fetch("https://object/", { headers, signal: controller.signal });
    if (protocol === undefined || response.webSocket === null) return response;
    // A browser that offers protocols ends a socket whose server names none of them.
    const chosen = { "sec-websocket-protocol": protocol };
    return new Response(null, { status: 101, webSocket: response.webSocket, headers: chosen });
  } finally {
    clearTimeout(timer);
  }
}
