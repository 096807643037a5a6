import { grownBy, nameOf, type Sizes, sidesOf, sizeOf } from "../growth.ts";
import { drey } from "../sides.ts";
import { http, workload } from "../workload.ts";
import { type Home, homes } from "../world.ts";

const SIZES: Sizes = [1, 10, 100];
/** What bounds it: as many tenants, of whom nothing is looked up again in a round. No deployment could have that. */
const NEVER = { WORKSPACE_LEASE_MS: "600000", TOKEN_LEASE_MS: "600000", GATE_REFRESH_MS: "600000" };
const held = drey({}, {}, NEVER, `${nameOf(Math.max(...SIZES))}-held`);
/** So many are made at once. */
const BATCH = 50;

export default workload<Home[]>({
  name: "growth-tenants",
  about: "The cached read of a workspace, by the owners of so many organisations in turn, in one isolate.",
  sides: [...sidesOf(SIZES), held],
  connections: 32,
  warmup: 3,
  // While the other sides have their turn, workerd lets this side's gates go: each round wakes all of them again.
  seconds: 12,
  status: 200,
  targets: [grownBy(SIZES)],
  prepare: async (world, api) => {
    const all: Home[] = [];
    while (all.length < Math.max(...SIZES)) all.push(...(await homes(world, api, BATCH)));
    return all;
  },
  request: (tenants, { n, side }) => {
    const { workspace = "", token = "" } = tenants[n % sizeOf(side)] ?? {};
    return http("GET", `/v1/workspaces/${workspace}`, { authorization: `Bearer ${token}` });
  },
});
