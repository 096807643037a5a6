/** All workloads, in the order of the table. */
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
];

// biome-ignore lint/suspicious/noExplicitAny: each workload knows the type of its own data; nobody else looks into it.
export type AnyWorkload = Workload<any>;

export async function workloadNamed(name: string): Promise<AnyWorkload> {
  const module = (await import(`./workloads/${name}.ts`)) as { default: AnyWorkload };
  return module.default;
}
