/** Results for people, and for the next run. */
import type { Compared, Result, SideResult } from "./measure.ts";
import { type Spread, spread } from "./spread.ts";
import { told } from "./targets.ts";

export function table(result: Result): string {
  const lines = [
    `\n${result.workload}: ${result.about}`,
    `  load average ${result.load.map((load) => load.toFixed(1)).join(" → ")}, ${calmness(result)}`,
  ];
  const rooms = result.sides.some(({ idleKb }) => idleKb !== undefined);
  lines.push(...columns(rooms ? roomRows(result.sides) : requestRows(result.sides)));
  for (const [peer, ratios] of Object.entries(result.ratios)) lines.push(ratioLine(peer, ratios));
  lines.push(...(rooms ? idleLines(result.sides) : []));
  lines.push(...result.targets.map((target) => `  target: ${told(target)}`));
  return lines.join("\n");
}

function calmness({ kept: { rounds, ran, stolen } }: Result): string {
  return `${rounds.length} of ${ran} rounds count, of which the host took up to ${(100 * stolen).toFixed(1)} % for others`;
}

function requestRows(sides: SideResult[]): string[][] {
  const head = [
    "",
    "req/s",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "cpu ms",
    "peak MB",
    "queries",
    "hops",
    "bytes",
    "over",
  ];
  return [head, ...sides.map(row)];
}

/** Of a room: (receiver, peer) pairs that showed the newest state in time. */
function roomRows(sides: SideResult[]): string[][] {
  const head = [
    "",
    "pairs/s",
    "pairs/cpu s",
    "in time",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "idle KB",
    "peak MB",
    "load cpu",
  ];
  return [head, ...sides.map(roomRow)];
}

function roomRow(side: SideResult): string[] {
  const of = (figure: "rps" | "p50" | "p95" | "p99" | "cpu" | "fresh" | "busy") => median(side, figure);
  return [
    side.name,
    of("rps").toFixed(0),
    (1000 / of("cpu")).toFixed(0),
    `${(100 * of("fresh")).toFixed(1)} %`,
    of("p50").toFixed(1),
    of("p95").toFixed(1),
    of("p99").toFixed(1),
    (side.idleKb ?? 0).toFixed(1),
    side.peakMb.toFixed(0),
    `${(100 * of("busy")).toFixed(0)} %`,
  ];
}

function idleLines([drey, ...peers]: SideResult[]): string[] {
  return peers.map((peer) => {
    const ratio = (drey?.idleKb ?? 0) / (peer.idleKb ?? 0);
    return `  drey / ${peer.name}: memory per idle socket ${ratio.toFixed(2)}   pairs per cpu s ${range(pairsPerCpu(drey, peer))}`;
  });
}

/** Round by round. */
function pairsPerCpu(drey: SideResult | undefined, peer: SideResult): Spread {
  return spread((drey?.rounds ?? []).map(({ cpu }, round) => (peer.rounds[round]?.cpu ?? 0) / cpu));
}

function median(
  side: SideResult,
  figure: Exclude<keyof SideResult["rounds"][number], "hops" | "over">,
): number {
  return spread(side.rounds.map((round) => round[figure] ?? 0)).median;
}

/** What was reached, and what was not, of all workloads. */
export function summary(results: Result[]): string {
  const all = results.flatMap(({ workload, targets }) => targets.map((target) => ({ workload, target })));
  const missed = all.filter(({ target }) => !target.reached);
  const lines = missed.map(({ workload, target }) => `  ${workload}: ${told(target)}`);
  return [`drey: ${all.length - missed.length} of ${all.length} targets reached`, ...lines].join("\n");
}

function row(side: SideResult): string[] {
  const of = (figure: "rps" | "p50" | "p95" | "p99" | "cpu" | "queriesInAll" | "bytes") =>
    median(side, figure);
  const overs = side.rounds.flatMap(({ over }) => (over === null ? [] : [over]));
  const hops = side.rounds.at(-1)?.hops;
  return [
    side.name,
    of("rps").toFixed(0),
    of("p50").toFixed(2),
    of("p95").toFixed(2),
    of("p99").toFixed(2),
    of("cpu").toFixed(3),
    side.peakMb.toFixed(0),
    of("queriesInAll").toFixed(3),
    hops == null ? "" : hops.toFixed(3),
    of("bytes").toFixed(0),
    overs.length === 0 ? "" : `${Math.min(...overs)}…${Math.max(...overs)}`,
  ];
}

function columns(rows: string[][]): string[] {
  const widths =
    rows[0]?.map((_, index) => Math.max(...rows.map((cells) => cells[index]?.length ?? 0))) ?? [];
  return rows.map(
    (cells) =>
      `  ${cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[index] ?? 0))).join("  ")}`,
  );
}

function ratioLine(peer: string, ratios: Record<Compared, Spread>): string {
  const shown: [Compared, string][] = [
    ["rps", "req/s"],
    ["p50", "p50"],
    ["p95", "p95"],
    ["p99", "p99"],
    ["cpu", "cpu"],
    ["peakMb", "memory"],
    ["bytes", "bytes"],
  ];
  const parts = shown.map(([figure, label]) => `${label} ${range(ratios[figure])}`);
  return `  drey / ${peer}: ${parts.join("   ")}`;
}

/** min–median–max */
function range({ min, median, max }: Spread): string {
  const text = (value: number) => value.toFixed(2);
  return min === max ? text(median) : `${text(min)}–${text(median)}–${text(max)}`;
}
