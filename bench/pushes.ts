/** Pushes of `size` mutations: each connection is a client with a workspace of his own. */
import { sqlOnly } from "./bounds.ts";
import { drey, hono } from "./sides.ts";
import { http, type Turn, type Workload, workload } from "./workload.ts";
import { type Home, homes } from "./world.ts";

/** About 600 bytes, as a saved request of an API client has. */
export const DOCUMENT = {
  name: "List the pets of the shop",
  method: "GET",
  url: "https://api.example.test/v1/shops/{shop}/pets?limit=100&after={cursor}",
  headers: Array.from({ length: 4 }, (_, n) => ({ key: `x-header-${n}`, value: `value ${n}`, active: true })),
  auth: { type: "bearer", token: "{{token}}" },
  body: { type: "json", text: '{"filter":{"kind":"dog","age":{"from":1,"to":9}},"sort":["name","-age"]}' },
  tests: "expect(response.status).toBe(200)",
};

export function pushes(size: number, connections: number, least: number): Workload<Home[]> {
  return workload<Home[]>({
    name: `push${size}`,
    about: `POST /sync/push with ${size} new document${size === 1 ? "" : "s"} of 600 bytes each.`,
    sides: [drey(), hono(), sqlOnly()],
    connections,
    // Some 1,500 requests: until then V8 compiles beside them, on the processors that are measured.
    warmup: 6,
    status: 200,
    queries: 1,
    targets: [{ figure: "rps", peer: "hono", least }],
    prepare: (world, api) => homes(world, api, connections),
    request: (places, turn) => {
      const { token = "", workspace = "" } = places[turn.connection] ?? {};
      const headers = { authorization: `Bearer ${token}` };
      return http("POST", `/v1/workspaces/${workspace}/sync/push`, headers, bodyOf(workspace, turn, size));
    },
  });
}

const VALUE = JSON.stringify(DOCUMENT);

/** A client id of this load, mutations numbered on. Put together as text: the load shares its processors with what is measured. */
export function bodyOf(
  workspace: string,
  { run, connection, own }: Pick<Turn, "run" | "connection" | "own">,
  size: number,
): string {
  const client = `${run}-${connection}`;
  const scope = `{"type":"workspace","id":"${workspace}"}`;
  const mutations = Array.from({ length: size }, (_, index) => {
    const id = own * size + index + 1;
    const entity = `{"type":"request","id":"${client}-${id}"}`;
    return `{"id":${id},"scope":${scope},"entity":${entity},"op":"upsert","base_version":null,"clock":{"${client}":${id}},"value":${VALUE}}`;
  });
  return `{"client_id":"${client}","mutations":[${mutations.join(",")}]}`;
}
