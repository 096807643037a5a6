import { grownBy, type Sizes, sidesOf, sizeOf } from "../growth.ts";
import { http, workload } from "../workload.ts";
import { addProjects, addViewers, type Home, home, type Person } from "../world.ts";

const SIZES: Sizes = [1, 10, 100];

export default workload<{ place: Home; people: Person[] }>({
  name: "growth-members",
  about: "The cached list of a workspace's ten projects, by so many of its members in turn.",
  sides: sidesOf(SIZES),
  connections: 32,
  warmup: 3,
  // While the other sides have their turn, workerd lets this side's gate go: each round begins by knowing nobody.
  seconds: 12,
  status: 200,
  targets: [grownBy(SIZES)],
  prepare: async (world, api) => {
    const place = await home(world, api);
    await addProjects(api, place, 10);
    return { place, people: await addViewers(world, place, Math.max(...SIZES)) };
  },
  request: ({ place, people }, { n, side }) => {
    const authorization = `Bearer ${people[n % sizeOf(side)]?.token}`;
    return http("GET", `/v1/workspaces/${place.workspace}/projects`, { authorization });
  },
});
