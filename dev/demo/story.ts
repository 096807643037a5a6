/**
 * The demo's story: two people share real documents at the edge, a third of another organisation sees nothing.
 *
 * In scope: the steps and what must hold after each. Out of scope: calls (client.ts), documents (documents.ts).
 */
import { enter, must, newTrace, type Person, person, queriesOf, send, until } from "./client.ts";
import { catchUp, type Place, pushAll, sameBytes } from "./documents.ts";
import type { Collection } from "./operations.ts";
import { count, hold, type Report } from "./report.ts";
import type { Addresses } from "./stack.ts";

interface Cast {
  ada: Person;
  bob: Person;
  eve: Person;
}

export async function tell(
  addresses: Addresses,
  { documents, operations }: Collection,
  report: Report,
): Promise<void> {
  const cast = await introduce(addresses);
  let org = "";
  let place: Place = { workspace: "", project: "" };
  await report.step("Ada creates her tenant", async () => {
    ({ org, ...place } = await createTenant(cast.ada));
    return `${org}, ${place.workspace}, ${place.project}`;
  });
  await report.step("Ada pushes every operation", async () => {
    return `${await pushAll(cast.ada, place, operations)} of ${documents} OpenAPI files`;
  });
  await report.step("Bob is invited and joins", () => join(cast, org, place));
  await report.step("Bob catches up, byte for byte", async () => {
    const { documents: received, reads } = await catchUp(cast.bob, place);
    return `${count(received.size)} documents, ${reads} reads, sha256 ${sameBytes(operations, received)}…`;
  });
  await report.step("They see each other", () => meet(cast, place));
  await report.step("A repeated read costs no query", () => readTwice(cast.bob, place));
  await report.step("A burst is limited", () => burst(cast.ada, org));
  await report.step("Eve of another tenant sees nothing", () =>
    intrude(cast.eve, org, place, idOf(cast.bob)),
  );
}

async function introduce(addresses: Addresses): Promise<Cast> {
  const [ada, bob, eve] = await Promise.all(["Ada", "Bob", "Eve"].map((name) => person(addresses, name)));
  if (!ada || !bob || !eve) throw new Error("the issuer gave no tokens");
  return { ada, bob, eve };
}

async function createTenant(who: Person): Promise<Place & { org: string }> {
  const org = String((await must(201, who, "POST", "/v1/orgs", { name: `${who.name}'s organisation` })).id);
  const workspace = await must(201, who, "POST", `/v1/orgs/${org}/workspaces`, { name: "OpenAPI examples" });
  const path = `/v1/workspaces/${workspace.id}/projects`;
  const project = await must(201, who, "POST", path, { name: "Operations" });
  return { org, workspace: String(workspace.id), project: String(project.id) };
}

async function join({ ada, bob }: Cast, org: string, { workspace }: Place): Promise<string> {
  const body = { email: "bob@example.test", role: "member" };
  const { token } = await must(201, ada, "POST", `/v1/orgs/${org}/invitations`, body);
  await must(200, bob, "POST", "/v1/invitations/accept", { token });
  const { id } = await must(200, bob, "GET", "/v1/me");
  hold(
    (await send(bob, "GET", `/v1/workspaces/${workspace}`)).status === 404,
    "Bob is in before he was let in",
  );
  const member = await must(200, ada, "PUT", `/v1/workspaces/${workspace}/members/${id}`, { role: "editor" });
  const seen = await must(200, bob, "GET", `/v1/workspaces/${workspace}`);
  hold(seen.role === "editor" && member.role === "editor", `Bob's role is ${seen.role}`);
  return "invitation accepted, editor of the workspace";
}

async function meet({ ada, bob }: Cast, { workspace }: Place): Promise<string> {
  const rooms = await Promise.all([enter(ada, workspace), enter(bob, workspace)]);
  try {
    const [hers, his] = rooms;
    hers.show({ looking_at: "train-travel" });
    his.show({ looking_at: "star-trek" });
    await until("Ada to see Bob", async () =>
      hers.frames.some((frame) => frame.peers?.some((peer) => peer.name === "Bob")),
    );
    await until("Bob to see Ada", async () =>
      his.frames.some((frame) => frame.peers?.some((peer) => peer.name === "Ada")),
    );
    const { data } = await must(200, bob, "GET", `/v1/workspaces/${workspace}/presence`);
    hold((data as unknown[]).length === 2, `${(data as unknown[]).length} people are in the room, not 2`);
    return "2 people, 2 sockets";
  } finally {
    for (const room of rooms) room.leave();
  }
}

async function readTwice(who: Person, { workspace }: Place): Promise<string> {
  const path = `/v1/workspaces/${workspace}/projects`;
  const first = await send(who, "GET", path);
  const hit = await until("an x-cache: HIT", async () => {
    const trace = newTrace();
    const reply = await send(who, "GET", path, undefined, { traceparent: trace.traceparent });
    return reply.headers.get("x-cache") === "HIT" && { reply, trace };
  });
  const queries = await queriesOf(who.addresses, hit.trace.id);
  hold(hit.reply.text === first.text, "the cached answer differs from the first");
  hold(queries === 0, `the cached answer cost ${queries} queries`);
  const etag = String(hit.reply.headers.get("etag"));
  const unchanged = await send(who, "GET", path, undefined, { "if-none-match": etag });
  hold(unchanged.status === 304 && unchanged.text === "", `If-None-Match answered ${unchanged.status}`);
  return `x-cache: HIT, ${queries} queries, then 304 with 0 bytes`;
}

/** The default limit is 100; a stack with LIMIT_SCALE raised for a bench is not the one to show limits on. */
const MOST_BURST = 5_000;

/** In a workspace of its own, so that nobody else of the story waits. */
async function burst(who: Person, org: string): Promise<string> {
  const { id } = await must(201, who, "POST", `/v1/orgs/${org}/workspaces`, { name: "Burst" });
  const act = () => send(who, "PATCH", `/v1/workspaces/${id}`, {});
  const since = Date.now();
  const first = await act();
  const limit = Number(first.headers.get("x-ratelimit-limit"));
  hold(first.status === 200 && limit > 0, `the first call answered ${first.status} with limit ${limit}`);
  hold(
    limit <= MOST_BURST,
    `the limit is ${limit}: a burst above it takes too long; start the stack with a smaller LIMIT_SCALE`,
  );
  const replies = [first, ...(await atMost(50, limit + 20, act))];
  const admitted = replies.filter((reply) => reply.status === 200).length;
  const refused = replies.filter((reply) => reply.status === 429);
  const seconds = (Date.now() - since) / 1000;
  hold(admitted + refused.length === replies.length, "a call of the burst was neither admitted nor limited");
  hold(
    admitted <= limit + Math.ceil((limit / 60) * seconds),
    `${admitted} were admitted of a limit of ${limit}`,
  );
  for (const reply of refused) checkRefusal(reply.headers, limit);
  hold(refused.length > 0, "nothing was limited");
  return `${count(replies.length)} calls: ${admitted} admitted, ${refused.length} refused, Retry-After ${refused[0]?.headers.get("retry-after")} s`;
}

function checkRefusal(headers: Headers, limit: number): void {
  const wait = Number(headers.get("retry-after"));
  hold(wait > 0, `Retry-After is ${headers.get("retry-after")}`);
  hold(
    headers.get("ratelimit-policy") === `"standard";q=${limit};w=60`,
    `RateLimit-Policy is ${headers.get("ratelimit-policy")}`,
  );
  hold(headers.get("ratelimit") === `"standard";r=0;t=${wait}`, `RateLimit is ${headers.get("ratelimit")}`);
  for (const family of ["x-ratelimit", "x-rate-limit"]) {
    const seen = ["limit", "remaining", "reset"].map((name) => headers.get(`${family}-${name}`)).join();
    hold(seen === `${limit},0,${wait}`, `${family}-{limit,remaining,reset} are ${seen}`);
  }
}

/** `total` calls, never more than `width` in flight. */
async function atMost<T>(width: number, total: number, act: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let left = total;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      results.push(await act());
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}

/** Every route of the API's own description that lies under a tenant, with Ada's real ids. */
async function intrude(eve: Person, org: string, place: Place, member: Promise<string>): Promise<string> {
  await createTenant(eve);
  const ids: Record<string, string> = {
    org,
    ws: place.workspace,
    user: await member,
    project: place.project,
    invitation: "inv_01k0000000e008000000000000",
    key: "key_01k0000000e008000000000000",
    divergence: "div_01k0000000e008000000000000",
    session: "ses_01k0000000e008000000000000",
    scope_type: "project",
    scope_id: place.project,
  };
  const routes = await tenantRoutes(eve);
  for (const { method, path, isOperators } of routes) {
    const url = path.replace(/\{(\w+)\}/g, (_, name: string) => {
      hold(name in ids, `the demo has no {${name}} of ${path}`);
      return ids[name] ?? "";
    });
    const reply = await send(eve, method, url, method === "GET" || method === "DELETE" ? undefined : {});
    hold(reply.status === (isOperators ? 401 : 404), `${method} ${path} answered Eve ${reply.status}`);
  }
  const operators = routes.filter((route) => route.isOperators).length;
  return `${routes.length - operators} routes, each 404; the operator's ${operators}, each 401`;
}

interface TenantRoute {
  method: string;
  path: string;
  isOperators: boolean;
}

async function tenantRoutes(who: Person): Promise<TenantRoute[]> {
  const { paths } = await must(200, who, "GET", "/openapi.json");
  return Object.entries(paths as Record<string, Record<string, { "x-policy"?: { who?: string } }>>)
    .filter(([path]) => /\{(org|ws)\}/.test(path))
    .flatMap(([path, item]) =>
      ["get", "post", "put", "patch", "delete"]
        .filter((method) => method in item)
        .map((method) => {
          const isOperators = item[method]?.["x-policy"]?.who === "operator";
          return { method: method.toUpperCase(), path, isOperators };
        }),
    );
}

async function idOf(who: Person): Promise<string> {
  return String((await must(200, who, "GET", "/v1/me")).id);
}
