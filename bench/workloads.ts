/** All workloads, in the order of the table. */
import type { Room } from "./room.ts";
import type { Workload } from "./workload.ts";

export const NAMES = [
  "hello",
  "reads",
  "quiet",
  "304",
  "429",
  "limits",
  "burst",
  "first",
  "list",
  "create",
  "push1",
  "push100",
  "catchup500",
  "catchup10000",
  "live",
  "readers",
  "scale",
  "tail",
  "cold",
  "growth-tenants",
  "growth-members",
  "growth-rows",
  "growth-sockets",
  "presence10",
  "presence100",
  "presence1000",
  "presence1000calm",
];

// biome-ignore lint/suspicious/noExplicitAny: each workload knows the type of its own data; nobody else looks into it.
export type AnyWorkload = Workload<any>;

export async function workloadNamed(name: string): Promise<AnyWorkload> {
  const found = await anyNamed(name);
  if ("size" in found) throw new Error(`${name} is a room, not a load of requests`);
  return found;
}

export async function anyNamed(name: string): Promise<AnyWorkload | Room> {
  const module = (await import(`./workloads/${name}.ts`)) as { default: AnyWorkload | Room };
  return module.default;
}
