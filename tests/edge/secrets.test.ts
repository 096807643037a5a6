/**
 * What is secret stays where it was brought to: not in a log line, a copy, an object, a stream, a divergence, a frame of
 * presence, a metric or the audit.
 *
 * In scope: planting each kind of secret everywhere a caller may put it, and looking everywhere. That the whole run leaves
 * none behind is looked at when it ends (`dev/world/leaks.ts`).
 */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { PLANTED } from "../../dev/world/leaks.ts";
import { call, expectProblem, expectStatus, home, type OwnedWorkspace, project, trace } from "./actors.ts";
import { apiKey, mistyped, program } from "./keys.ts";
import { neonFault, redisEntries } from "./neighbours.ts";
import {
  catchUp,
  device,
  mutation,
  openSession,
  push,
  readScope,
  type Scope,
  workspaceScope,
} from "./pushes.ts";
import { refusedUpgrade, sit, sitByTicket, ticketFor, untilClosed } from "./rooms.ts";
import { at, listen, longPoll, START } from "./streams.ts";
import { type OwnCell, poll, world } from "./world.ts";

/** A secret nobody else plants. */
const plant = (kind: string) => `${PLANTED}${kind}-${randomBytes(8).toString("hex")}`;

/** The secrets that callers bring in headers, whatever they call. */
function headers(secret: string): Record<string, string>[] {
  return [
    { authorization: `Bearer ${secret}` },
    { authorization: `Bearer eyJhbGciOiJFZERTQSJ9.${secret}.x` },
    { authorization: `Basic ${secret}` },
    { "x-api-key": secret },
    { cookie: `session=${secret}` },
    { "x-hub-signature-256": secret, "stripe-signature": secret, "webhook-signature": secret },
    { "idempotency-key": secret },
    { "if-match": `"${secret}"`, "if-none-match": `"${secret}"` },
    { "x-drey-revision": secret },
    { traceparent: secret, "x-actor-id": secret },
  ];
}

/** Each route, as somebody calls it who pastes a secret into the wrong place. */
async function paste(place: OwnedWorkspace, secret: string): Promise<string[]> {
  const ws = `/v1/workspaces/${place.id}`;
  const answers: string[] = [];
  const send = async (...args: Parameters<typeof call>) => answers.push((await call(...args)).text);
  for (const extra of headers(secret)) {
    await send(place.owner, "GET", `${ws}/projects`, undefined, extra);
    await send(place.owner, "POST", `${ws}/sync/push`, { client_id: "c", mutations: [] }, extra);
    await send(null, "GET", `${place.owner.api}${ws}/sync/workspace/${place.id}`, undefined, extra);
  }
  const query = encodeURIComponent(secret);
  for (const path of [
    `/v1/${query}`,
    `/v1/workspaces/${query}/projects`,
    `${ws}/projects/${query}`,
    `${ws}/projects?cursor=${query}&limit=${query}`,
    `${ws}/sync/workspace/${query}?offset=${query}`,
    `${ws}/sync/workspace/${place.id}?offset=${query}&live=long-poll&cursor=${query}`,
    `${ws}/sync/divergences/${query}?scope_type=${query}`,
    `${ws}/sync/sessions/${query}`,
    `${ws}/presence?client_id=${query}&view=${query}`,
    `/v1/me?access_token=${query}`,
  ]) {
    await send(place.owner, "GET", path);
    await send(place.owner, "PATCH", path, `{"${secret}":`);
  }
  for (const [path, body] of [
    [`${ws}/projects`, { name: "p", [secret]: 1 }],
    [`${ws}/projects`, `{"name":"${secret}`],
    [`${ws}/sync/push`, { client_id: secret, mutations: [{ id: 1, op: secret }] }],
    [`${ws}/sync/sessions`, { client_id: "c", client_name: "n", capabilities: { secret } }],
    [`${ws}/api-keys`, { name: "k", scopes: [secret] }],
    ["/v1/invitations/accept", { token: `drey_inv_${secret}` }],
  ] as const) {
    await send(place.owner, "POST", path, body);
  }
  return answers;
}

/** Mutations that carry a secret's value, and one that does not. */
function secretMutations(
  place: OwnedWorkspace,
  scope: Scope,
  secret: string,
): [unknown[], ReturnType<typeof device>] {
  const from = device(place.owner, place);
  const variable = { key: "k", secret: true, value: secret };
  const made = (type: string, value: object) => mutation(from, scope, { entity: { type, id: "s" }, value });
  return [
    [
      made("variable", variable),
      made("variable", { ...variable, value: "", initialValue: secret }),
      made("environment", { variables: [{ key: "a" }, variable] }),
      made("collection", { variables: [{ ...variable, currentValue: { deep: secret } }] }),
      mutation(from, scope),
    ],
    from,
  ];
}

/** A secret variable that two write at once, from both sides: what marks it secret and what fills it never merge. */
async function contest(place: OwnedWorkspace, scope: Scope): Promise<string> {
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = { type: "variable", id: "contested" };
  const write = (from: typeof one, base_version: number | null, value: object) =>
    push(from, [mutation(from, scope, { entity, base_version, value })]);
  const base = expectStatus(await write(one, null, { key: "k" }), 200).body.results[0]?.version ?? 0;
  expectStatus(await write(one, base, { key: "k", secret: true }), 200);
  const late = expectStatus(await write(two, base, { key: "k", value: "visible" }), 200).body.results[0];
  expect(late?.outcome).toBe("diverged");
  return late?.divergence_id ?? "";
}

/** Every place of a cell, and of what it shares with others, that has this text. */
async function places(cell: OwnCell, secret: string): Promise<string[]> {
  const redis = (await redisEntries()).filter((text) => text.includes(secret));
  return [...(await cell.search(secret)), ...redis.map(() => "Redis")];
}

test("no planted secret is anywhere but where it was brought to", async () => {
  // Wide limits: it is not them that this is about.
  await using cell = await world().restart({ LIMIT_SCALE: "1000", FEED_CHECK_MS: "200" }, { isolates: 3 });
  const place = await home(cell.api);
  const made = await project(place);
  const scope = workspaceScope(place);
  const ws = `/v1/workspaces/${place.id}`;
  const key = await apiKey(place, { scopes: ["read", "write", "sync"] });
  const [pasted, variable, ticket] = [
    plant("pasted"),
    plant("variable"),
    await ticketFor(place.owner, place),
  ];

  await using stream = await listen(at(place.owner, 1, cell), place, scope, START);
  const seats = [await sit(place.owner, place), await sitByTicket(cell.api, place, ticket)];
  seats[0]?.update(1, { cursor: 1 });
  await paste(place, pasted).then((answers) => expect(answers.length).toBeGreaterThan(50));

  // Secret values: rejected, whoever pushes them how often, and no choice of a divergence either.
  const [mutations, from] = secretMutations(place, scope, variable);
  for (const _ of ["first", "repeated"]) {
    const { results } = expectStatus(await push(from, mutations), 200).body;
    expect(results.length).toBe(5);
  }
  const divergence = await contest(place, scope);
  const choice = { take: "value", value: { key: "k", secret: true, value: variable } };
  const resolve = `${ws}/sync/divergences/${divergence}/resolve`;
  expectProblem(await call(place.owner, "POST", resolve, choice), 400, "invalid-body");
  await openSession(from, { client_name: "Tests" });

  // A key, a mistyped one, and a revoked one; reads that fill every cache.
  const caller = program(key, cell.api);
  for (const isolate of [0, 1, 2]) {
    const reader = at(caller, isolate, cell);
    for (const path of [`${ws}/projects`, `${ws}/projects/${made.id}`, ws]) await call(reader, "GET", path);
    await readScope(reader, place, scope);
    await readScope(reader, place, scope, "?offset=snapshot");
    await longPoll(reader, place, scope, START);
    await call({ ...reader, token: mistyped(key.key, 50) }, "GET", ws);
  }
  expectStatus(await call(place.owner, "DELETE", `${ws}/api-keys/${key.id}`), 204);
  await call(caller, "GET", ws);

  // Postgres fails with the secrets in the statement, before and after its commit.
  for (const kind of ["status500", "drop_before_commit", "drop_after_commit"] as const) {
    const { id, traceparent } = trace();
    await neonFault({ kind, match: id, times: 9 });
    const [again, other] = secretMutations(place, scope, variable);
    await push(other, again, { traceparent, "idempotency-key": pasted });
  }

  // Rooms: a ticket that is used, one that is made up, a frame that is none, a token among the protocols.
  await refusedUpgrade({ api: cell.api, token: "" }, place, {}, ticket.protocols).catch(() => {});
  await refusedUpgrade({ api: cell.api, token: "" }, place, {}, ["drey.v1", `ticket.${pasted}`]).catch(
    () => {},
  );
  const [first = expect.unreachable()] = seats;
  first.raw(`{"kind":"${pasted}"}`);
  first.raw(`{"kind":"update","token":"${pasted}"`);
  await untilClosed(first);

  // Operator's routes, with the token and without.
  const settings = `/v1/operator/orgs/${place.org_id}/settings`;
  await call({ ...place.owner, token: world().operatorToken }, "GET", settings);
  await call({ ...place.owner, token: pasted }, "GET", settings);
  const metrics = await call({ ...place.owner, token: world().operatorToken }, "GET", "/metrics");

  const last = device(place.owner, place);
  expectStatus(await push(last, [mutation(last, scope)]), 200);
  const log = await catchUp(place.owner, place, scope);
  await stream.received(log.length);
  const shown = JSON.stringify([
    log,
    stream.messages,
    stream.controls,
    seats.map((seat) => seat.frames),
    (await call(place.owner, "GET", `${ws}/sync/divergences`)).text,
    (await call(place.owner, "GET", `${ws}/sync/divergences/${divergence}`)).text,
    (await call(place.owner, "GET", `${ws}/audit?limit=100`)).text,
    (await call(place.owner, "GET", `${ws}/sync/sessions`)).text,
    (await call(place.owner, "GET", `${ws}/api-keys`)).text,
    metrics.text,
  ]);
  const { operatorToken, neonConnection, redisToken } = world();
  const secrets = {
    pasted,
    variable,
    ticket: ticket.ticket,
    token: place.owner.token,
    key: key.key,
    operatorToken,
  };
  const kept = {
    ...secrets,
    tail: key.key.slice(-49),
    password: new URL(neonConnection).password,
    redisToken,
  };
  for (const [name, secret] of Object.entries(secrets)) expect(shown.includes(secret), name).toBe(false);

  // What is no secret is found where it belongs: the search looks at what is written.
  await poll("a copy of a project", async () =>
    (await cell.search(made.name)).some((where) => where.includes("cache")),
  );
  await poll("a log line of the workspace", async () => (await cell.search(place.id)).includes("log"));
  await poll("a copy in Redis", async () => (await redisEntries()).some((text) => text.includes(made.name)));
  expect((await cell.search(place.id)).some((where) => /storage\/.*(do|durable)/.test(where))).toBe(true);
  for (const [name, secret] of Object.entries(kept)) expect(await places(cell, secret), name).toEqual([]);
});
