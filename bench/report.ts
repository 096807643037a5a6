/** Results for people, and for the next run. */
import { type Compared, type Result, type SideResult, type Spread, spread } from "./measure.ts";

export function table(result: Result): string {
  const lines = [
    `\n${result.workload}: ${result.about}`,
    `  load average ${result.load.map((load) => load.toFixed(1)).join(" → ")}`,
  ];
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
  lines.push(...columns([head, ...result.sides.map(row)]));
  for (const [peer, ratios] of Object.entries(result.ratios)) lines.push(ratioLine(peer, ratios));
  return lines.join("\n");
}

function row(side: SideResult): string[] {
  const of = (figure: "rps" | "p50" | "p95" | "p99" | "cpu" | "queriesInAll" | "bytes") =>
    spread(side.rounds.map((round) => round[figure])).median;
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
    ["p99", "p99"],
    ["cpu", "cpu"],
    ["peakMb", "memory"],
  ];
  const parts = shown.map(([figure, label]) => `${label} ${range(ratios[figure])}`);
  return `  drey / ${peer}: ${parts.join("   ")}`;
}

/** min–median–max */
function range({ min, median, max }: Spread): string {
  const text = (value: number) => value.toFixed(2);
  return min === max ? text(median) : `${text(min)}–${text(median)}–${text(max)}`;
}
