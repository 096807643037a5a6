// The Cache API in one crossing each way: opening, matching, reading and the wait's end would each be a promise, two closures
// and a microtask of WebAssembly.

const HEADERS = "x-drey-stored-headers";

/**
 * Headers and body of an entry, or undefined: there is none, or it did not come in time. A cache that fails is a miss. A body
 * that is said to be longer than `most` is left unread: it is `stream`'s, and `body` is empty.
 */
export async function find(name, key, most, patience) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, patience);
  });
  try {
    return await Promise.race([read(name, key, most), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function read(name, key, most) {
  const cache = await caches.open(name);
  const response = await cache.match(key);
  const headers = response?.headers.get(HEADERS);
  if (headers == null) return undefined;
  if (Number(response.headers.get("content-length")) > most) {
    return { headers, body: new Uint8Array(0), stream: response };
  }
  return { headers, body: new Uint8Array(await response.arrayBuffer()), stream: undefined };
}

/** Stores an entry; what keeps it from being stored is thrown. */
export async function store(name, key, stored, bytes, seconds) {
  const headers = { "cache-control": `max-age=${seconds}`, [HEADERS]: stored };
  const response = new Response(bytes.slice(), { headers });
  const cache = await caches.open(name);
  await cache.put(key, response);
}
