// The Cache API in one crossing each way: opening, matching, reading and the wait's end would each be a promise, two closures
// and a microtask of WebAssembly.

const HEADERS = "x-drey-stored-headers";

/** Headers and body of an entry, or undefined: there is none, or it did not come in time. A cache that fails is a miss. */
export async function find(name, key, patience) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, patience);
  });
  try {
    return await Promise.race([read(name, key), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

async function read(name, key) {
  const cache = await caches.open(name);
  const response = await cache.match(key);
  const headers = response?.headers.get(HEADERS);
  if (headers == null) return undefined;
  return { headers, body: new Uint8Array(await response.arrayBuffer()) };
}

/** Stores an entry; what keeps it from being stored is thrown. */
export async function store(name, key, stored, bytes, seconds) {
  const headers = { "cache-control": `max-age=${seconds}`, [HEADERS]: stored };
  const response = new Response(bytes.slice(), { headers });
  const cache = await caches.open(name);
  await cache.put(key, response);
}
