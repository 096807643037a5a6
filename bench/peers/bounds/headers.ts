/** drey's headers and log line, from JavaScript, with nothing decided. */
const EVERYWHERE: [string, string][] = [
  ["server-timing", 'total;dur=0, db;dur=0;desc="0", gate;desc="0"'],
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
  ["cross-origin-resource-policy", "same-origin"],
];

/** Appends what drey sends of its own, and these; gives the request's id. */
export function dress(answer: Response, own: [string, string][], limited: boolean): string {
  const id = crypto.randomUUID();
  const headers = answer.headers;
  headers.delete("content-type");
  // Headers that are handed over are copied.
  for (const [name, value] of own) headers.append(name, value);
  for (const [name, value] of EVERYWHERE) headers.append(name, value);
  headers.set("x-request-id", id);
  headers.set("x-correlation-id", id);
  headers.set("traceparent", `00-${id.replaceAll("-", "")}-${id.slice(0, 8)}${id.slice(9, 13)}0001-01`);
  if (limited) limits(headers, id);
  return id;
}

/** A line as drey writes it of each request, with less in it. */
export function logged(request: Request, answer: Response, id: string): void {
  const line = { level: "info", id, method: request.method, url: request.url, status: answer.status };
  console.log(JSON.stringify(line));
}

function limits(headers: Headers, id: string): void {
  headers.set("x-actor-id", "user_01k30dw4hmfay8vvr14d2pf2db");
  headers.set("ratelimit-policy", '"relaxed";q=1000000;w=60');
  headers.set("ratelimit", `"relaxed";r=${id.charCodeAt(0)};t=1`);
  for (const family of ["x-ratelimit", "x-rate-limit"]) {
    headers.set(`${family}-limit`, "1000000");
    headers.set(`${family}-remaining`, "999999");
    headers.set(`${family}-reset`, "1");
  }
}
