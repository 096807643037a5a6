/** A profile as a flame graph: calls from the left, callees above, as wide as their share of the time. SVG without scripts. */
import type { Node, Profile } from "./profile.ts";

const [WIDTH, ROW, TOP] = [1200, 17, 30];
/** What is narrower says nothing and would be most of the file. */
const LEAST_SHARE = 0.002;
const SKIPPED = ["(root)", "(idle)"];

interface Frame {
  name: string;
  time: number;
  callees: Map<string, Frame>;
}

/** `nameOf` says how a function is called; functions of one name under one caller are one box. */
export function flameGraph(profile: Profile, title: string, nameOf: (node: Node) => string): string {
  const root = framesOf(profile, nameOf);
  const boxes = [...boxesOf(root, 0, 0, WIDTH / root.time)];
  const depth = Math.max(0, ...boxes.map(({ level }) => level)) + 1;
  const height = TOP + depth * ROW + 6;
  const drawn = boxes.map((box) => draw(box, height, root.time)).join("\n");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="ui-monospace, monospace" font-size="11">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="8" y="19" font-size="13" font-weight="600" fill="#1c2430">${escaped(title)}</text>
${drawn}
</svg>
`;
}

/** Samples of equal stacks added up. */
function framesOf({ nodes, samples, timeDeltas }: Profile, nameOf: (node: Node) => string): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])));
  const root: Frame = { name: "all", time: 0, callees: new Map() };
  for (const [index, id] of samples.entries()) {
    const stack: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const node = byId.get(at);
      if (node && !SKIPPED.includes(node.callFrame.functionName)) stack.unshift(nameOf(node));
    }
    if (stack.length > 0) add(root, stack, timeDeltas[index] ?? 0);
  }
  return root;
}

function add(root: Frame, stack: string[], time: number): void {
  root.time += time;
  let at = root;
  for (const name of stack) {
    const callee = at.callees.get(name) ?? { name, time: 0, callees: new Map() };
    callee.time += time;
    at.callees.set(name, callee);
    at = callee;
  }
}

interface Box {
  frame: Frame;
  level: number;
  x: number;
  width: number;
}

function* boxesOf(frame: Frame, level: number, x: number, scale: number): Generator<Box> {
  const width = frame.time * scale;
  if (width < WIDTH * LEAST_SHARE) return;
  yield { frame, level, x, width };
  let left = x;
  for (const callee of [...frame.callees.values()].sort((one, other) => other.time - one.time)) {
    yield* boxesOf(callee, level + 1, left, scale);
    left += callee.time * scale;
  }
}

function draw({ frame, level, x, width }: Box, height: number, whole: number): string {
  const y = height - 6 - (level + 1) * ROW;
  const share = `${((100 * frame.time) / whole).toFixed(1)} %`;
  // About 6.7 units a character.
  const shown = frame.name.slice(0, Math.max(0, Math.floor((width - 6) / 6.7)));
  const text =
    shown.length < 3 ? "" : `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(shown)}</text>`;
  return `<g><title>${escaped(frame.name)}, ${share}</title><rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.5, width - 0.5).toFixed(1)}" height="${ROW - 1}" fill="${colour(frame.name)}"/>${text}</g>`;
}

/** Ours, the glue between the languages, and what the runtime does. */
function colour(name: string): string {
  if (name.startsWith("drey")) return "#e8835a";
  if (name.includes(".wasm")) return "#f0b48f";
  if (/index\.m?js|^__wbg/.test(name)) return "#f2d472";
  return "#c9d3de";
}

function escaped(text: string): string {
  return text.replace(/[<>&"]/g, (special) => `&#${special.charCodeAt(0)};`);
}
