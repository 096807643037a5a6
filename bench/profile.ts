/**
 * Where the time goes: V8's sampling profiler over one load. The functions of the WebAssembly have names only in a build
 * that kept them: see README.md.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WebSocket } from "ws";
import { flameGraph } from "./flame.ts";

export interface Node {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

export interface Profile {
  nodes: Node[];
  samples: number[];
  timeDeltas: number[];
}

const SAMPLING_US = 200;
const FOLDER = join(import.meta.dirname, "profiles");

/** Profiles while `work` runs, writes `profiles/<name>.cpuprofile` and `.svg`, and gives the dearest functions as text. */
export async function profiled(
  inspector: string,
  name: string,
  work: () => Promise<{ requests: number; cpu: number }>,
): Promise<string> {
  const session = await Session.open(inspector);
  await session.send("Profiler.enable");
  await session.send("Profiler.setSamplingInterval", { interval: SAMPLING_US });
  await session.send("Profiler.start");
  const { requests, cpu } = await work();
  const { profile } = (await session.send("Profiler.stop")) as { profile: Profile };
  session.close();
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${name}.cpuprofile`), JSON.stringify(profile));
  writeFileSync(join(FOLDER, `${name}.svg`), flameGraph(profile, name, nameOf));
  return summary(profile, requests, cpu);
}

class Session {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data) => {
      const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
      if (id !== undefined) this.#waiting.get(id)?.(result);
    });
  }

  static open(url: string): Promise<Session> {
    const socket = new WebSocket(url.replace(/^http/, "ws"), { maxPayload: 1024 ** 3 });
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(new Session(socket)));
      socket.once("error", reject);
    });
  }

  send(method: string, params: object = {}): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  close(): void {
    this.#socket.close();
  }
}

/** Shares of the time that was not idle: in the function itself, and in it with all it called. The process' other time is the runtime's own: sockets, the kernel. */
function summary({ nodes, samples, timeDeltas }: Profile, requests: number, cpu: number): string {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const self = new Map<string, number>();
  const whole = new Map<string, number>();
  let busy = 0;
  samples.forEach((id, index) => {
    const node = byId.get(id);
    const time = timeDeltas[index] ?? 0;
    if (!node || ["(idle)", "(root)"].includes(node.callFrame.functionName)) return;
    busy += time;
    add(self, nameOf(node), time);
    const seen = new Set<string>();
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const above = byId.get(at);
      if (above) seen.add(nameOf(above));
    }
    for (const name of seen) add(whole, name, time);
  });
  const part = (title: string, times: Map<string, number>, most: number) => {
    const sorted = [...times].sort(([, one], [, other]) => other - one).slice(0, most);
    const lines = sorted.map(
      ([name, time]) => `  ${((100 * time) / busy).toFixed(1).padStart(5)} %  ${name}`,
    );
    return `${title}\n${lines.join("\n")}`;
  };
  const each = `${requests} requests; of each ${(busy / 1000 / requests).toFixed(3)} ms in V8, ${cpu.toFixed(3)} ms in the process`;
  return `${each}\n${part("in itself", self, 40)}\n${part("with what it called", whole, 70)}`;
}

function add(times: Map<string, number>, name: string, time: number): void {
  times.set(name, (times.get(name) ?? 0) + time);
}

/** Rust puts a hash behind each name. */
function nameOf({ callFrame }: Node): string {
  const file = callFrame.url.split("/").at(-1) ?? "";
  const name = callFrame.functionName.replace(/::h[0-9a-f]{16}$/, "").replaceAll(/\[[0-9a-f]{16}\]/g, "");
  return `${name || "(anonymous)"} ${file}:${callFrame.lineNumber + 1}`;
}
