/**
 * Every row of `/openapi.json` that writes, when its answer is lost; those that honour `Idempotency-Key`, when fifty
 * come at once. A row without a case here fails the test that lists them.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Answer,
  atOnce,
  call,
  expectProblem,
  expectStatus,
  home,
  invite,
  member,
  type OwnedWorkspace,
  project,
  trace,
  type User,
  unique,
  user,
} from "./actors.ts";
import { apiKey, keysPath } from "./keys.ts";
import { neonFault } from "./neighbours.ts";
import { catchUp, device, diverge, openSession, workspaceScope } from "./pushes.ts";
import type { Page } from "./shapes.ts";
import { rows, spec } from "./spec.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** A write that is ready to be sent, by a caller whom the gates know. */
interface Write {
  caller: User;
  path: string;
  body?: unknown;
  /** How many things of its kind there are. */
  count(): Promise<number>;
}

/** What has tests of its own: a push knows its mutations, and presence writes no row of Postgres. */
const ELSEWHERE = [
  "POST /v1/operator/cache/purge",
  "POST /v1/operator/presence/drain",
  "PUT /v1/operator/settings",
  "DELETE /v1/operator/settings",
  "PUT /v1/operator/orgs/{org}/settings",
  "DELETE /v1/operator/orgs/{org}/settings",
  "POST /v1/workspaces/{ws}/presence",
  "POST /v1/workspaces/{ws}/presence/tickets",
  "POST /v1/workspaces/{ws}/sync/push",
];
let cell: OwnCell;

beforeAll(async () => {
  const LIMITS = JSON.stringify({ anonymous: { base: 100_000 }, strict: { base: 10_000 } });
  cell = await world().restart({ LIMITS, SELF_HOSTED: "true" }, { isolates: 3 });
});
afterAll(() => cell.stop());

const CREATES: Record<string, (place: OwnedWorkspace) => Promise<Write>> = {
  "POST /v1/orgs": async ({ owner }) => listed(owner, "/v1/orgs", { name: "Once" }),
  "POST /v1/orgs/{org}/workspaces": async ({ owner, org_id }) =>
    listed(owner, `/v1/orgs/${org_id}/workspaces`, { name: "Once", slug: unique("once") }),
  "POST /v1/orgs/{org}/invitations": async ({ owner, org_id }) =>
    listed(owner, `/v1/orgs/${org_id}/invitations`, { email: "once@example.test", role: "member" }),
  "POST /v1/workspaces/{ws}/projects": async ({ owner, id }) =>
    listed(owner, `/v1/workspaces/${id}/projects`, { name: "Once", slug: unique("once") }),
  "POST /v1/workspaces/{ws}/api-keys": async ({ owner, id }) =>
    listed(owner, `/v1/workspaces/${id}/api-keys`, { name: "Once", scopes: ["read"] }),
  "POST /v1/workspaces/{ws}/api-keys/{key}/rotate": async (place) => {
    const { id } = await apiKey(place);
    const { count } = listed(place.owner, keysPath(place), {});
    return {
      caller: place.owner,
      path: `${keysPath(place, id)}/rotate`,
      body: { overlap_seconds: 60 },
      count,
    };
  },
  "POST /v1/workspaces/{ws}/sync/sessions": async ({ owner, id }) =>
    listed(owner, `/v1/workspaces/${id}/sync/sessions`, { client_id: unique("client"), client_name: "Once" }),
  "POST /v1/workspaces/{ws}/sync/divergences/{divergence}/resolve": async (place) => {
    const { id } = await diverge(place, place.owner, place.owner);
    const count = async () => (await catchUp(place.owner, place, workspaceScope(place))).length;
    const path = `/v1/workspaces/${place.id}/sync/divergences/${id}/resolve`;
    return { caller: place.owner, path, body: { take: "mine" }, count };
  },
  "POST /v1/invitations/accept": async ({ owner, org_id }) => {
    const { token } = await invite({ id: org_id, owner }, {});
    const guest = await user(owner.api);
    const { count } = listed(owner, `/v1/orgs/${org_id}/members`, {});
    return { caller: guest, path: "/v1/invitations/accept", body: { token }, count };
  },
};

/** Changes of one item, each with what reads it. */
const CHANGES: Record<
  string,
  (place: OwnedWorkspace) => Promise<{ path: string; body: object; read?: string }>
> = {
  "PATCH /v1/orgs/{org}": async ({ org_id }) => ({ path: `/v1/orgs/${org_id}`, body: { name: "Once" } }),
  "PUT /v1/orgs/{org}/plan": async ({ org_id }) => {
    const read = `/v1/orgs/${org_id}`;
    return { path: `${read}/plan`, body: { plan: "team" }, read };
  },
  "PUT /v1/orgs/{org}/members/{user}": async (place) => {
    const { id } = await member(place, "viewer");
    return { path: `/v1/orgs/${place.org_id}/members/${id}`, body: { role: "admin" } };
  },
  "PATCH /v1/workspaces/{ws}": async ({ id }) => ({ path: `/v1/workspaces/${id}`, body: { name: "Once" } }),
  "PUT /v1/workspaces/{ws}/members/{user}": async (place) => {
    const { id } = await member(place, "viewer");
    return { path: `/v1/workspaces/${place.id}/members/${id}`, body: { role: "editor" } };
  },
  "PATCH /v1/workspaces/{ws}/projects/{project}": async (place) => {
    const { id } = await project(place);
    return { path: `/v1/workspaces/${place.id}/projects/${id}`, body: { name: "Once" } };
  },
};

const DELETES: Record<string, (place: OwnedWorkspace) => Promise<string>> = {
  "DELETE /v1/orgs/{org}": async ({ org_id }) => `/v1/orgs/${org_id}`,
  "DELETE /v1/orgs/{org}/members/{user}": async (place) =>
    `/v1/orgs/${place.org_id}/members/${(await member(place, "viewer")).id}`,
  "DELETE /v1/orgs/{org}/invitations/{invitation}": async ({ org_id, owner }) =>
    `/v1/orgs/${org_id}/invitations/${(await invite({ id: org_id, owner }, {})).id}`,
  "DELETE /v1/workspaces/{ws}": async ({ id }) => `/v1/workspaces/${id}`,
  "DELETE /v1/workspaces/{ws}/api-keys/{key}": async (place) => keysPath(place, (await apiKey(place)).id),
  "DELETE /v1/workspaces/{ws}/sync/sessions/{session}": async (place) =>
    `/v1/workspaces/${place.id}/sync/sessions/${(await openSession(device(place.owner, place))).body.id}`,
  "DELETE /v1/workspaces/{ws}/members/{user}": async (place) =>
    `/v1/workspaces/${place.id}/members/${(await member(place, "viewer")).id}`,
  "DELETE /v1/workspaces/{ws}/projects/{project}": async (place) =>
    `/v1/workspaces/${place.id}/projects/${(await project(place)).id}`,
};

test("every row that writes is tried here", async () => {
  const all = rows(await spec());
  const named = (wanted: (row: (typeof all)[number]) => boolean) =>
    all
      .filter(wanted)
      .map((row) => `${row.method} ${row.path}`)
      .sort();
  expect(named((row) => row.operation["x-policy"]?.idempotent === true)).toEqual(Object.keys(CREATES).sort());
  const tried = [...Object.keys(CREATES), ...Object.keys(CHANGES), ...Object.keys(DELETES), ...ELSEWHERE];
  expect(named((row) => row.method !== "GET")).toEqual(tried.sort());
});

describe.each(Object.keys(CREATES))("%s", (row) => {
  const ready = async () => {
    const make = CREATES[row];
    if (!make) throw new Error(row);
    return make(await home(cell.api));
  };

  test.each([{}, { "idempotency-key": randomUUID() }])(
    "whose answer was lost is done once: %o",
    async (headers) => {
      const write = await ready();
      const before = await write.count();
      const lost = await send(row, write, headers);
      expect([200, 201], lost.text).toContain(lost.status);
      expect(lost.headers.get("idempotent-replayed")).toBeNull();
      expect(await write.count()).toBe(before + 1);
    },
  );

  test("whose client went away in the middle is done once when he comes back with his key", async () => {
    const write = await ready();
    const before = await write.count();
    const headers = { "idempotency-key": randomUUID() };
    await leave(write, headers);
    await poll("the answer", async () => {
      const answer = await call(write.caller, "POST", write.path, write.body, headers);
      return answer.status < 300 && answer;
    });
    expect(await write.count()).toBe(before + 1);
  });

  test("fifty at once with one key are done once, and replayed", async () => {
    const write = await ready();
    const before = await write.count();
    const headers = { "idempotency-key": randomUUID() };
    const act = (index: number) => {
      const caller = { ...write.caller, api: cell.apis[index % 3] ?? cell.api };
      return call<unknown>(caller, "POST", write.path, write.body, headers);
    };
    const answers = await atOnce(50, act);
    const done = answers.filter((answer) => answer.status < 300);
    expect(done.filter((answer) => !answer.headers.has("idempotent-replayed"))).toHaveLength(1);
    for (const answer of answers.filter((one) => one.status >= 300)) {
      expectProblem(answer, 409, "idempotency-in-flight");
    }
    const later = await poll("the replay", async () => {
      const answer = await act(0);
      return answer.status < 300 && answer;
    });
    expect(later.headers.get("idempotent-replayed")).toBe("true");
    expect(new Set([...done, later].map((answer) => answer.text)).size).toBe(1);
    expect(await write.count()).toBe(before + 1);
  });
});

describe.each(Object.keys(CHANGES))("%s", (row) => {
  const ready = async () => {
    const place = await home(cell.api);
    const made = await CHANGES[row]?.(place);
    if (!made) throw new Error(row);
    const read = () => call<{ version: number }>(place.owner, "GET", made.read ?? made.path);
    return { caller: place.owner, ...made, before: expectStatus(await read(), 200), again: read };
  };

  test("whose answer was lost is done once", async () => {
    const { before, again, ...write } = await ready();
    const lost = expectStatus(await send(row, write), 200) as Answer<{ version: number }>;
    expect(lost.body.version).toBe(before.body.version + 1);
    expect((await again()).body.version).toBe(before.body.version + 1);
  });

  test("of a stated version, whose answer was lost, is not done again", async () => {
    const { before, again, ...write } = await ready();
    const condition = { "if-match": String(before.headers.get("etag")) };
    expectProblem(await send(row, write, condition), 503, "upstream-unavailable");
    // Nobody could tell the gate, which finds out when it refreshes.
    await poll("the change", async () => (await again()).body.version === before.body.version + 1);
    const repeated = await call(write.caller, method(row), write.path, write.body, condition);
    expectProblem(repeated, 412, "precondition-failed");
  });
});

test.each(Object.keys(DELETES))("%s whose answer was lost has happened: the next is 404", async (row) => {
  const place = await home(cell.api);
  const path = await DELETES[row]?.(place);
  if (!path) throw new Error(row);
  const write = { caller: place.owner, path };
  expectProblem(await send(row, write), 503, "upstream-unavailable");
  expectProblem(await call(write.caller, "DELETE", path), 404, "not-found");
});

/** Sends a write whose first answer from Neon is lost after its commit. */
async function send(
  row: string,
  write: Pick<Write, "caller" | "path" | "body">,
  headers: Record<string, string> = {},
): Promise<Answer<unknown>> {
  const mine = trace();
  const fault = await neonFault({ kind: "drop_after_commit", match: mine.id });
  const { traceparent } = mine;
  const answer = await call(write.caller, method(row), write.path, write.body, { ...headers, traceparent });
  expect(await fault.fired()).toBe(1);
  return answer;
}

/** Sends a write, and goes away once it has reached Postgres. */
async function leave(write: Write, headers: Record<string, string>): Promise<void> {
  const mine = trace();
  const fault = await neonFault({ kind: "latency", latency_ms: 150, match: mine.id });
  const gone = new AbortController();
  const request = fetch(`${write.caller.api}${write.path}`, {
    method: "POST",
    signal: gone.signal,
    headers: {
      ...headers,
      authorization: `Bearer ${write.caller.token}`,
      "content-type": "application/json",
      traceparent: mine.traceparent,
    },
    body: JSON.stringify(write.body),
  });
  // An answer that comes before he goes is one he does not look at.
  const ended = request.then(
    () => undefined,
    () => undefined,
  );
  await poll("it to reach Postgres", async () => (await fault.fired()) === 1);
  gone.abort();
  await ended;
}

function method(row: string): string {
  return row.slice(0, row.indexOf(" "));
}

/** A create in a list; reading the list makes the gates know its caller. */
function listed(caller: User, path: string, body: object): Write {
  const count = async () => {
    const list = await call<Page<unknown>>(caller, "GET", `${path}?limit=100`);
    return expectStatus(list, 200).body.data.length;
  };
  return { caller, path, body, count };
}
