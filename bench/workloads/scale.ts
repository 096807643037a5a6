import { fillAll, type Logs, readOf, sides, targets } from "../large_logs.ts";
import { workload } from "../workload.ts";

const CHUNK = 1000;

export default workload<Logs>({
  name: "scale",
  about: `Catch up by a chunk of ${CHUNK} changes from anywhere in a log, in a database of many and of few rows (\`--rows\`).`,
  sides,
  connections: 2,
  status: 200,
  queries: 1,
  targets,
  prepare: (world, _api, _rounds, apis) => fillAll(world, apis),
  request: (logs, turn) => readOf(logs, turn, (epochs, share) => share * (epochs - CHUNK)),
});
