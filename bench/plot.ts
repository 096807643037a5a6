/**
 * `--plot`: ratios as bar charts in SVG, for the README. No library: they are rectangles and words. The scale is logarithmic,
 * so that half as much and twice as much are equally long.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isLuck } from "./check.ts";
import type { Result } from "./measure.ts";
import type { Spread } from "./spread.ts";

const [WIDTH, LABELS, VALUES, ROW, GAP, TOP, FOOT] = [760, 230, 56, 20, 8, 74, 30];
const [INK, FAINT, GRID, BETTER, WORSE] = ["#1c2430", "#667080", "#e3e7ec", "#2f7d5b", "#c8502d"];
/** Powers of two that the scale spans at least and at most. */
const [LEAST, MOST] = [2, 5];

interface Chart {
  figure: "rps" | "cpu";
  file: string;
  title: string;
  hint: string;
  /** Whether more is better. */
  more: boolean;
}

const CHARTS: Chart[] = [
  {
    figure: "rps",
    file: "requests.svg",
    title: "Requests per second: drey / peer",
    hint: "to the right drey answers more",
    more: true,
  },
  {
    figure: "cpu",
    file: "cpu.svg",
    title: "Processor time per request: drey / peer",
    hint: "to the left drey needs less",
    more: false,
  },
];

export function plot(results: Result[]): string[] {
  const meant = results.filter((result) => !isLuck(result));
  return CHARTS.map((chart) => {
    const path = join(import.meta.dirname, chart.file);
    writeFileSync(path, draw(meant, chart));
    return path;
  });
}

interface Bar {
  workload: string;
  peer: string;
  spread: Spread;
}

/** Neither drey beside itself nor a bound (`answer-only`, `sql+cache` …) is what somebody would use instead. */
const BESIDE = /^drey|^sql|-only$/;

function barsOf({ workload, ratios }: Result, { figure }: Chart): Bar[] {
  return Object.entries(ratios)
    .filter(([peer]) => !BESIDE.test(peer))
    .map(([peer, ratio]) => ({ workload, peer, spread: ratio[figure] }));
}

function draw(results: Result[], chart: Chart): string {
  const groups = results.map((result) => barsOf(result, chart)).filter((bars) => bars.length > 0);
  const powers = groups.flat().map(({ spread }) => Math.ceil(Math.abs(Math.log2(spread.median))));
  const power = Math.min(MOST, Math.max(LEAST, ...powers));
  const x = scale(power);
  let y = TOP;
  const rows = groups.map((bars) => {
    const drawn = bars.map((bar, n) => row(bar, n === 0, y + n * ROW, x, chart.more));
    y += bars.length * ROW + GAP;
    return drawn.join("\n");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + FOOT}" font-family="system-ui, sans-serif" font-size="12">
<title>${chart.title}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="14" y="26" font-size="15" font-weight="600" fill="${INK}">${chart.title}</text>
<text x="14" y="44" fill="${FAINT}">${chart.hint}; the bar is the median of the rounds, the thin line their range</text>
${grid(power, x, y)}
${rows.join("\n")}
<text x="14" y="${y + FOOT - 10}" font-size="11" fill="${FAINT}">${conditions(results)}</text>
</svg>
`;
}

/** Where a ratio lies: 1 in the middle. What is beyond the ends ends there. */
function scale(power: number): (ratio: number) => number {
  const width = WIDTH - LABELS - VALUES;
  return (ratio) => {
    const share = (Math.log2(ratio) + power) / (2 * power);
    return LABELS + width * Math.min(1, Math.max(0, share));
  };
}

function grid(power: number, x: (ratio: number) => number, end: number): string {
  return Array.from({ length: 2 * power + 1 }, (_, n) => n - power)
    .map((exponent) => {
      const [at, isOne] = [x(2 ** exponent).toFixed(1), exponent === 0];
      const label = exponent < 0 ? `1/${2 ** -exponent}` : String(2 ** exponent);
      return [
        `<line x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${end - GAP}" stroke="${isOne ? INK : GRID}"/>`,
        `<text x="${at}" y="${TOP - 13}" text-anchor="middle" font-size="11" fill="${FAINT}">${label}</text>`,
      ].join("");
    })
    .join("\n");
}

function row(
  { workload, peer, spread: { min, median, max } }: Bar,
  isFirst: boolean,
  y: number,
  x: (ratio: number) => number,
  more: boolean,
): string {
  const middle = y + ROW / 2;
  const [from, to] = [Math.min(x(1), x(median)), Math.max(x(1), x(median))];
  const color = median >= 1 === more ? BETTER : WORSE;
  return [
    isFirst
      ? `<text x="14" y="${middle + 4}" font-weight="600" fill="${INK}">${escaped(workload)}</text>`
      : "",
    `<text x="${LABELS - 10}" y="${middle + 4}" text-anchor="end" fill="${FAINT}">${escaped(peer)}</text>`,
    `<rect x="${from.toFixed(1)}" y="${y + 3}" width="${Math.max(1, to - from).toFixed(1)}" height="${ROW - 6}" fill="${color}"/>`,
    `<line x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="${INK}" stroke-opacity="0.55"/>`,
    `<text x="${WIDTH - 14}" y="${middle + 4}" text-anchor="end" fill="${INK}">${median.toFixed(2)}</text>`,
  ].join("");
}

/** When it was, and how quiet. */
function conditions(results: Result[]): string {
  const loads = results.flatMap(({ load }) => load);
  const counts = results.flatMap(({ sides }) => sides.map((side) => side.rounds.length));
  const rounds = [...new Set([Math.min(...counts), Math.max(...counts)])].join(" to ");
  const [quietest, busiest] = [Math.min(...loads).toFixed(1), Math.max(...loads).toFixed(1)];
  return `npm run bench, ${new Date().toISOString().slice(0, 10)}, ${rounds} rounds, load average ${quietest} to ${busiest}`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
