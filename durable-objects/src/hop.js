// One call to an object in one crossing: name, fetch and text together. Each step from WebAssembly would be its own
// crossing with its own promise.

/** Posts a command and gives the reply's text. Throws when the object fails, is overloaded or is too slow. */
export async function hop(namespace, name, hint, command, timeout) {
  const id = namespace.idFromName(name);
  const stub = hint === undefined ? namespace.get(id) : namespace.get(id, { locationHint: hint });
  const signal = AbortSignal.timeout(timeout);
  const response = await stub.fetch("https://object/", { method: "POST", body: command, signal });
  // Between two contexts even a body without bytes is a stream to wait for: what has nothing to say comes without one.
  if (response.status === 204) return "null";
  const text = await response.text();
  if (response.status !== 200) throw new Error(`the object answered ${response.status}: ${text}`);
  return text;
}
