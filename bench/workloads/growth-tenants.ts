import { grownBy, type Sizes, sidesOf, sizeOf } from "../growth.ts";
import { http, workload } from "../workload.ts";
import { type Home, homes } from "../world.ts";

const SIZES: Sizes = [1, 10, 100];
/** So many are made at once. */
const BATCH = 50;

export default workload<Home[]>({
  name: "growth-tenants",
  about: "The cached read of a workspace, by the owners of so many organisations in turn, in one isolate.",
  sides: sidesOf(SIZES),
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
