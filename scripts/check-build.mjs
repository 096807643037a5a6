/**
 * Holds `build/` to `wrangler.toml`: a Durable Object class that is not exported, or a binding that the code does not
 * know, would only show when the first request needs it. Runs after each build; `node scripts/check-build.mjs` by hand.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Throws naming everything that is missing. */
export function checkBuild(root) {
  const config = readFileSync(join(root, "wrangler.toml"), "utf8");
  const shim = readFileSync(join(root, "build", "index.js"), "utf8");
  const wasm = readFileSync(join(root, "build", "index_bg.wasm"));
  const exported = exportedNames(shim);
  const classes = classNames(config).filter((name) => !exported.has(name));
  const bindings = bindingNames(config).filter((name) => !wasm.includes(name) && !shim.includes(name));
  const problems = [
    ...classes.map((name) => `class ${name} is not exported`),
    ...bindings.map((name) => `binding ${name} is not known to the code`),
  ];
  if (problems.length > 0)
    throw new Error(`build/index.js does not fit wrangler.toml: ${problems.join(", ")}`);
}

/** `class_name = "…"` of bindings, and the lists of the migrations. */
export function classNames(config) {
  const bound = [...config.matchAll(/^\s*class_name\s*=\s*"([^"]+)"|\bclass_name\s*=\s*"([^"]+)"/gm)];
  const lists = [...config.matchAll(/\bnew_(?:sqlite_)?classes\s*=\s*\[([^\]]*)\]/g)];
  const listed = lists.flatMap(([, list]) => [...list.matchAll(/"([^"]+)"/g)].map(([, name]) => name));
  return unique([...bound.map(([, first, second]) => first ?? second), ...listed]);
}

/** `binding = "…"`, and `name = "…"` inside a table of bindings; the Worker's own name stands before all tables. */
export function bindingNames(config) {
  const names = [];
  let table = "";
  for (const line of config.split("\n").filter((text) => !text.trim().startsWith("#"))) {
    table = /^\s*\[\[?([^\]]+)\]/.exec(line)?.[1] ?? table;
    const wholeLine = /(durable_objects\.bindings|ratelimits|unsafe\.bindings)$/.test(table);
    const found = wholeLine ? /\b(?:name|binding)\s*=\s*"([^"]+)"/ : /\bbinding\s*=\s*"([^"]+)"/;
    const inline = [...line.matchAll(/\{[^}]*\bname\s*=\s*"([^"]+)"[^}]*\bclass_name\b/g)].map(
      ([, name]) => name,
    );
    names.push(...inline, ...[found.exec(line)?.[1]].filter(Boolean));
  }
  return unique(names);
}

/** `export { a as b, c }`, `export class d`, `export default`. */
export function exportedNames(source) {
  const lists = [...source.matchAll(/\bexport\s*\{([^}]*)\}/g)].flatMap(([, list]) => list.split(","));
  const fromLists = lists.map((item) =>
    item
      .trim()
      .split(/\s+as\s+/)
      .at(-1),
  );
  const declared = [
    ...source.matchAll(/\bexport\s+(?:default\s+)?(?:class|function|const|let|var)\s+([\w$]+)/g),
  ];
  return new Set([...fromLists, ...declared.map(([, name]) => name)]);
}

function unique(names) {
  return [...new Set(names)];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  checkBuild(dirname(dirname(fileURLToPath(import.meta.url))));
  console.log("build/ fits wrangler.toml");
}
