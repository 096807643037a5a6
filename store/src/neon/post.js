// One batch to Neon in one crossing: headers, signal and both waits stay on this side. Read from WebAssembly, each chunk
// of the answer would be a promise, a microtask and a copy of its own.

const HEADERS = {
  "content-type": "application/json",
  "neon-raw-text-output": "true",
  "neon-array-mode": "true",
  "neon-batch-isolation-level": "ReadCommitted",
};

/**
 * Posts and gives status and body. The signal ends the wait for the headers and for the body alike. Its timer ends with the
 * answer: one that is left over keeps an object in memory that has nothing more to do.
 */
export async function post(url, connection, readOnly, bytes, timeout) {
  // Bytes as they are: as a string they would be decoded on the way here and encoded again on the way out.
  const body = bytes.slice();
  const headers = { ...HEADERS, "neon-connection-string": connection };
  if (readOnly) headers["neon-batch-read-only"] = "true";
  // A redirect would carry the connection string to wherever it points.
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${timeout} ms`)), timeout);
  const options = { method: "POST", redirect: "manual", headers, body, signal: controller.signal };
  try {
    const response = await fetch(url, options);
    return { status: response.status, bytes: new Uint8Array(await response.arrayBuffer()) };
  } finally {
    clearTimeout(timer);
  }
}
