/** More than an isolate takes at once: what is turned away, what goes on, and that nothing is left of it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type Answer,
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  type OwnedWorkspace,
  trace,
  unique,
} from "./actors.ts";
import { neonCounters, neonFault } from "./neighbours.ts";
import { device, mutation, push, workspaceScope } from "./pushes.ts";
import { type OwnCell, poll, world } from "./world.ts";

const MOST = 4;
let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart({ MAX_IN_FLIGHT: String(MOST), LOG_FORMAT: "json" });
});
afterAll(() => cell.stop());

test("above its measure an isolate turns work away at the door, and cheap reads go on", async () => {
  const place = await home(cell.api);
  const path = `/v1/workspaces/${place.id}/projects`;
  const kept = expectStatus(await call(place.owner, "GET", path), 200);
  const { full, mine } = await filled(place);
  const unpaid = trace();
  const refused = await call(
    place.owner,
    "POST",
    path,
    { name: "Too much" },
    {
      traceparent: unpaid.traceparent,
    },
  );
  expectProblem(refused, 503, "overloaded");
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(refused.headers.get("server-timing")).toContain('db;dur=0;desc="0", gate;desc="0"');
  expect(refused.headers.get("ratelimit")).toBeNull();
  expect((await neonCounters(unpaid.id)).requests).toBe(0);
  expectProblem(await call(place.owner, "GET", `${path}?limit=3`), 503, "overloaded");
  expectProblem(await call(place.owner, "GET", "/v1/orgs"), 503, "overloaded");
  const again = expectStatus(await call(place.owner, "GET", path), 200);
  expect([again.text, again.headers.get("x-cache")]).toEqual([kept.text, "HIT"]);
  const tag = { "if-none-match": String(kept.headers.get("etag")) };
  expect((await call(place.owner, "GET", path, undefined, tag)).status).toBe(304);
  expectStatus(await call(null, "GET", `${cell.api}/healthz`), 200);
  for (const answer of await full) expectStatus(answer, 201);
  expectStatus(await call(place.owner, "POST", path, { name: "Again" }), 201);
  expectStatus(await call(place.owner, "GET", `${path}?limit=3`), 200);
  expect((await neonCounters(mine)).requests).toBe(MOST);
  const line = await poll("its log line", async () =>
    (await cell.logs()).find((one) => one.includes(String(refused.headers.get("x-request-id")))),
  );
  expect(line).toContain('"code":"overloaded"');
  expect(line).toMatch(/"in_flight":[1-9]/);
});

test("clients that go away leave their places to others", async () => {
  const place = await home(cell.api);
  for (let round = 0; round < 3; round += 1) {
    const gone = new AbortController();
    const { full } = await filled(place, gone.signal);
    gone.abort();
    await full;
    await poll("all places to be free", async () => {
      const answers = await atOnce(MOST, () =>
        call(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, { name: unique("Next") }),
      );
      return answers.every((answer) => answer.status === 201);
    });
  }
});

test("large bodies have a measure of their own, and small ones go on", async () => {
  await using small = await world().restart({ MAX_BODY_BYTES: "1000000" });
  const place = await home(small.api);
  const next = () => device(place.owner, place);
  const [one, other, third, again] = [next(), next(), next(), next()];
  const scope = workspaceScope(place);
  const large = { value: { filler: "x".repeat(600_000) } };
  const mine = trace();
  const fault = await neonFault({ kind: "latency", latency_ms: 1_500, match: mine.id });
  const slow = push(one, [mutation(one, scope, large)], { traceparent: mine.traceparent });
  await poll("the first at Postgres", async () => (await fault.fired()) === 1);
  const refused = await push(other, [mutation(other, scope, large)]);
  expectProblem(refused, 503, "overloaded");
  expect(refused.headers.get("retry-after")).toBe("1");
  expectStatus(await push(third, [mutation(third, scope)]), 200);
  expectStatus(await slow, 200);
  expectStatus(await push(again, [mutation(again, scope, large)]), 200);
});

/** As many creates as an isolate takes, all of them waiting for Postgres. */
async function filled(
  place: OwnedWorkspace,
  signal: AbortSignal | null = null,
): Promise<{ full: Promise<Answer<unknown>[]>; mine: string }> {
  const mine = trace();
  const fault = await neonFault({ kind: "latency", latency_ms: 3_000, times: MOST, match: mine.id });
  const full = atOnce(MOST, async () => {
    const request = {
      method: "POST",
      signal,
      headers: {
        authorization: `Bearer ${place.owner.token}`,
        "content-type": "application/json",
        traceparent: mine.traceparent,
      },
      body: JSON.stringify({ name: unique("Slow") }),
    };
    const sent = fetch(`${cell.api}/v1/workspaces/${place.id}/projects`, request);
    const response = await sent.catch(() => new Response(null, { status: 499 }));
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: undefined };
  });
  await poll("all of them at Postgres", async () => (await fault.fired()) === MOST);
  return { full, mine: mine.id };
}
