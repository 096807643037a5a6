// One call to an object in one crossing: name, fetch and text together. Each step from WebAssembly would be its own
// crossing with its own promise.

/**
 * Posts a command and gives the reply's text. Throws when the object fails, is overloaded or is too slow. The timer ends with
 * the reply: one that is left over keeps the object that asked in memory, although it has nothing more to do.
 */
export async function hop(namespace, name, hint, command, timeout) {
  const id = namespace.idFromName(name);
  const stub = hint === undefined ? namespace.get(id) : namespace.get(id, { locationHint: hint });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`no reply within ${timeout} ms`)), timeout);
  try {
    return await reply(stub, { method: "POST", body: command, signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}

async function reply(stub, command) {
  const response = await stub.fetch("https://object/", command);
  // Between two contexts even a body without bytes is a stream to wait for: what has nothing to say comes without one.
  if (response.status === 204) return "null";
  const text = await response.text();
  if (response.status !== 200) throw new Error(`the object answered ${response.status}: ${text}`);
  return text;
}
