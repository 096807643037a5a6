/** `--plot`: bar charts of the ratios as SVG, for the README. No library: they are rectangles and words. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Compared, Result, Spread } from "./measure.ts";

const [WIDTH, LABELS, ROW, TOP] = [760, 250, 22, 44];

export function plot(results: Result[]): string[] {
  return [
    chart(results, "rps", "requests.svg", "Requests per second, drey / peer (longer is better)"),
    chart(results, "cpu", "cpu.svg", "Processor time per request, drey / peer (shorter is better)"),
  ];
}

function chart(results: Result[], figure: Compared, file: string, title: string): string {
  const bars = results.flatMap(({ workload, ratios }) =>
    Object.entries(ratios).map(([peer, ratio]) => ({
      label: `${workload} / ${peer}`,
      spread: ratio[figure],
    })),
  );
  const most = Math.max(1.2, ...bars.map(({ spread }) => Math.min(spread.max, 8)));
  const x = (ratio: number) => LABELS + ((WIDTH - LABELS - 60) * Math.min(ratio, most)) / most;
  const height = TOP + bars.length * ROW + 16;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">
<title>${title}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="22" font-size="14" font-weight="600" fill="#1c2430">${title}</text>
${bars.map(({ label, spread }, index) => bar(label, spread, TOP + index * ROW, x)).join("\n")}
<line x1="${x(1)}" x2="${x(1)}" y1="${TOP - 8}" y2="${height - 12}" stroke="#1c2430" stroke-dasharray="3 3"/>
</svg>
`;
  const path = join(import.meta.dirname, file);
  writeFileSync(path, svg);
  return path;
}

/** The median as a bar, the rounds' range as a line through its end. */
function bar(label: string, { min, median, max }: Spread, y: number, x: (ratio: number) => number): string {
  const middle = y + ROW / 2 - 2;
  return [
    `<text x="${LABELS - 8}" y="${middle + 4}" text-anchor="end" fill="#1c2430">${label}</text>`,
    `<rect x="${LABELS}" y="${y}" width="${(x(median) - LABELS).toFixed(1)}" height="${ROW - 6}" rx="2" fill="#c8502d"/>`,
    `<line x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="#1c2430"/>`,
    `<text x="${(x(Math.max(median, max)) + 6).toFixed(1)}" y="${middle + 4}" fill="#1c2430">${median.toFixed(2)}</text>`,
  ].join("");
}
