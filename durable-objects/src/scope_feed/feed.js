// What a feed does with streams of the runtime, and how the Worker asks for one.

/** A body that the object writes to. Its reader may go away or be too slow: then it is not written to any more. */
export class Outlet {
  constructor(most, gone) {
    const strategy = new ByteLengthQueuingStrategy({ highWaterMark: most });
    const start = (controller) => {
      this.controller = controller;
    };
    // The runtime cancels when a write finds that the client has gone.
    this.body = new ReadableStream({ start, cancel: () => gone() }, strategy);
  }

  response() {
    return new Response(this.body, { headers: { "content-type": "text/event-stream" } });
  }

  /** Whether it was taken. The same bytes may go to many. */
  send(bytes) {
    try {
      if (this.controller.desiredSize <= 0) return false;
      this.controller.enqueue(bytes);
      return true;
    } catch {
      return false;
    }
  }

  end() {
    try {
      this.controller.close();
    } catch {
      // It has ended already.
    }
  }
}

/** A text as bytes that can be sent many times. */
export function encode(text) {
  return new TextEncoder().encode(text);
}

/** Asks an object for a stream. The timer ends with the answer's head: a signal that fires later would end the stream. */
export async function open(namespace, name, hint, command, timeout) {
  const id = namespace.idFromName(name);
  const stub = hint === undefined ? namespace.get(id) : namespace.get(id, { locationHint: hint });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${timeout} ms`)), timeout);
  try {
    const init = { method: "POST", body: command, signal: controller.signal };
    return await stub.fetch("https://object/", init);
  } finally {
    clearTimeout(timer);
  }
}
