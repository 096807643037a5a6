/** What Linux knows of a process: its children, processor time and memory. */
import { readdirSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";

/** `getconf CLK_TCK`, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Fields of /proc/<pid>/stat after the name, which stands in parentheses and may hold anything. */
function statOf(pid: number | string): { name: string; fields: string[] } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const end = stat.lastIndexOf(")");
    return { name: stat.slice(stat.indexOf("(") + 1, end), fields: stat.slice(end + 2).split(" ") };
  } catch {
    return undefined;
  }
}

export function childrenOf(parent: number, name: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      const stat = statOf(pid);
      return stat?.name === name && stat.fields[1] === String(parent);
    })
    .map(Number);
}

/** User and system time of all threads so far. */
export function cpuMs(pid: number): number {
  const fields = statOf(pid)?.fields ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

const [LOOK_MS, CALM_CPU_MS] = [250, 20];

/** Waits until a process does next to nothing, or for so long. */
export async function calm(pid: number, patienceMs: number): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let busy = Number.POSITIVE_INFINITY; busy > CALM_CPU_MS && performance.now() < deadline; ) {
    const before = cpuMs(pid);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    busy = cpuMs(pid) - before;
  }
}

/** The most memory the process has ever held, in MB. */
export function peakMb(pid: number): number {
  return statusKb(pid, "VmHWM") / 1024;
}

/** What it holds now, in KB. */
export function residentKb(pid: number): number {
  return statusKb(pid, "VmRSS");
}

function statusKb(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
}

/** How long ago the process was started: to a hundredth of a second, which is what Linux keeps. */
export function ageMs(pid: number): number {
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  return uptime * 1000 - (Number(statOf(pid)?.fields[19]) * 1000) / TICKS_PER_SECOND;
}

/** Of all processors, since the machine began: their time, and what of it the host gave to other machines. */
export function processorTicks(): { all: number; stolen: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, stolen = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { all: user + nice + system + idle + wait + irq + soft + stolen, stolen };
}

/** Of the last minute. */
export function load(): number {
  return loadavg()[0] ?? 0;
}
