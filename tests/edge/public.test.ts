/** Public answers: what a CDN may keep of them, our own copies, and ending those by tag. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, call, expectProblem, expectStatus, user } from "./actors.ts";
import { type OwnCell, poll, world } from "./world.ts";

const TAG_REFRESH_MS = 500;
const PATH = "/openapi.json";
const PURGE = "/v1/operator/cache/purge";
let cell: OwnCell;

beforeAll(async () => {
  cell = await world().restart(
    { TAG_REFRESH_MS: String(TAG_REFRESH_MS), LOG_FORMAT: "json" },
    { isolates: 3 },
  );
});
afterAll(() => cell.stop());

test("a public answer says how long and under which tags it may be kept, and nothing of who asked", async () => {
  const caller = await user(cell.api);
  const answers = [
    await read(cell.api),
    await read(cell.api, { "x-correlation-id": "mine", authorization: `Bearer ${caller.token}` }),
    await read(cell.api, { "if-none-match": String((await read(cell.api)).headers.get("etag")) }),
  ];
  for (const answer of answers) {
    const { date: _date, age: _age, ...headers } = Object.fromEntries(answer.headers);
    const body = answer.status === 304 ? [] : ["content-length", "content-type", "transfer-encoding"];
    expect(headers).toMatchObject({
      "cache-control": "public, max-age=60, s-maxage=60, stale-while-revalidate=60",
      "cdn-cache-control": "max-age=60, stale-while-revalidate=60",
      "cache-tag": expect.stringMatching(/^drey,drey-openapi,drey-v\d+\.\d+\.\d+$/),
      etag: expect.stringMatching(/^"[\w-]+"$/),
    });
    const expected = ["cache-control", "cdn-cache-control", "cache-tag", "etag", "x-content-type-options"];
    const known = [...expected, ...body, "referrer-policy", "cross-origin-resource-policy"];
    expect(Object.keys(headers).filter((name) => !known.includes(name))).toEqual([]);
  }
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 304]);
  expect(answers[2]?.text).toBe("");
  expect(new Set(answers.map((answer) => answer.headers.get("etag"))).size).toBe(1);
});

test("a repeated read is a copy and tells its age; another isolate finds it in the data centre's cache", async () => {
  const path = `${PATH}?copy`;
  const [here, there = ""] = cell.apis;
  const first = expectStatus(await call(null, "GET", `${here}${path}`), 200);
  expect(first.headers.get("age")).toBeNull();
  for (const api of [here, there]) {
    const copy = await poll(`a copy at ${api}`, async () => {
      const answer = await call(null, "GET", `${api}${path}`);
      return Number(answer.headers.get("age")) > 0 && answer;
    });
    expect(copy.text).toBe(first.text);
    expect(copy.headers.get("etag")).toBe(first.headers.get("etag"));
  }
  const lines = (await cell.logs()).filter((line) => line.includes('"route":"/openapi.json"'));
  expect(lines.some((line) => line.includes('"cache":"HIT"'))).toBe(true);
});

test("a purge ends the copies of every isolate within its bound, and no others", async () => {
  const aged = await Promise.all(cell.apis.map((api) => olderThan(api, 1)));
  const purged = await purge(["drey-openapi"]);
  const { versions } = expectStatus(purged, 200).body;
  const end = Date.now() + TAG_REFRESH_MS + 1_000;
  expect(await ageAt(cell.api)).toBe(0);
  await Promise.all(
    cell.apis.map((api, index) =>
      poll(`a new answer at ${api}`, async () => (await ageAt(api)) < (aged[index] ?? 0), end - Date.now()),
    ),
  );
  await cell.evict("WorkspaceGate", "public");
  const again = expectStatus(await purge(["drey", "drey-openapi"]), 200).body.versions;
  expect(again["drey-openapi"]).toBe(Number(versions["drey-openapi"]) + 1);
  expect(again.drey).toBe((versions.drey ?? 0) + 1);
});

test("only the operator purges, and only tags that there are", async () => {
  const body = { tags: ["drey"] };
  expectProblem(await call(null, "POST", `${cell.api}${PURGE}`, body), 401, "unauthenticated");
  expectProblem(await call(await user(cell.api), "POST", PURGE, body), 401, "unauthenticated");
  for (const tags of [[], ["drey", "drey", "drey"], ["other"], ["drey", "drey-healthz"], "drey", [1]]) {
    expectProblem(await purge(tags), 400, "invalid-body");
  }
  expectProblem(
    await call(null, "POST", `${cell.api}${PURGE}`, { tags: ["drey"], all: true }, operator()),
    400,
    "unknown-field",
  );
});

test("while nobody knows the tags' versions no copy is used, and the answer comes all the same", async () => {
  await using headless = await world().restart({}, { broken: "GATE" });
  for (let n = 0; n < 3; n += 1) {
    const answer = expectStatus(await read(headless.api), 200);
    expect(answer.headers.get("age")).toBeNull();
    expect(answer.headers.get("cache-tag")).toContain("drey-openapi");
  }
  const purged = await call(null, "POST", `${headless.api}${PURGE}`, { tags: ["drey"] }, operator());
  expectProblem(purged, 503, "gate-unavailable");
});

function read(api: string, headers: Record<string, string> = {}): Promise<Answer<unknown>> {
  return call<unknown>(null, "GET", `${api}${PATH}`, undefined, headers);
}

async function ageAt(api: string): Promise<number> {
  return Number((await read(api)).headers.get("age"));
}

function olderThan(api: string, seconds: number): Promise<number> {
  return poll(`a copy at ${api} older than ${seconds} s`, async () => {
    const age = await ageAt(api);
    return age > seconds && age;
  });
}

function purge(tags: unknown): Promise<Answer<{ versions: Record<string, number> }>> {
  return call(null, "POST", `${cell.api}${PURGE}`, { tags }, operator());
}

function operator(): Record<string, string> {
  return { authorization: `Bearer ${world().operatorToken}` };
}
