// The request and response boundary in as few crossings as possible: one string in, one call out. Every `Headers.get`
// from WebAssembly is a crossing with two string copies; here the copies happen once.

let known = [];

/** Tells which headers `read` looks for. */
export function learn(names) {
  known = names.split("\n").map((name, at) => [name, `\n${String.fromCharCode(65 + at)}`]);
}

/** Reads method, URL and those of the known headers that were sent, a line each, after the letter of its place. Header values hold no line feed. */
export function read(request) {
  const headers = request.headers;
  let text = `${request.method}\n${request.url}`;
  for (const [name, letter] of known) {
    const value = headers.get(name);
    if (value !== null) text += letter + value;
  }
  return text;
}

/**
 * Reads the body, or gives null as soon as it is known to be over the limit, and undefined when it does not come in time. The
 * wait's end is on this side: a timer of WebAssembly costs two closures and a second promise.
 */
export async function body(request, limit, timeout) {
  if (request.body === null) return new Uint8Array(0);
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeout);
  });
  try {
    return await Promise.race([whole(request, limit), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A declared length is refused before a byte is read. */
async function whole(request, limit) {
  const declared = request.headers.get("content-length");
  if (declared !== null) {
    if (Number(declared) > limit) return null;
    return new Uint8Array(await request.arrayBuffer());
  }
  const chunks = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > limit) return null;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Builds the response; `headers` alternates names and values, one a line. The body is copied out of WebAssembly's memory. */
export function respond(status, headers, bytes) {
  const empty = status === 204 || status === 304 || bytes === undefined;
  return headed(new Response(empty ? null : bytes.slice(), { status }), headers);
}

/** The same with a body that somebody else writes, passed on as it comes. */
export function pass(headers, from) {
  return headed(new Response(from.body, { status: from.status }), headers);
}

/** Gives back a body that nobody is going to read. That its source has failed meanwhile is nobody's loss. */
export function cancel(from) {
  from.body?.cancel().catch(() => {});
}

/** Headers that are handed to a `Response` are copied by it, one by one, and both have to be collected afterwards. */
function headed(response, headers) {
  const head = response.headers;
  const lines = headers.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) head.append(lines[at], lines[at + 1]);
  return response;
}
