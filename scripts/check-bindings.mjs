/**
 * `wrangler.toml` and the code name the same bindings, in every environment. A binding that only one of them knows shows
 * at its first use, in production. Run by `npm run lint`; `check-build.mjs` holds the classes to the build.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
/** Brakes of the platform's that the gates replace where they are absent, as under `npm run dev`. */
const OPTIONAL = new Set(["ANON_LIMIT", "SIGNIN_LIMIT"]);

const known = namesInCode();
const problems = Object.entries(namesByEnvironment()).flatMap(([environment, bound]) => [
  ...[...bound]
    .filter((name) => !known.has(name))
    .map((name) => `${environment} binds ${name}, which no code reads`),
  ...[...known]
    .filter((name) => !bound.has(name) && !(OPTIONAL.has(name) && environment === "development"))
    .map((name) => `${environment} does not bind ${name}`),
]);
for (const problem of problems) console.error(`drey: wrangler.toml: ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;

/** `pub const BINDING: &str = "X"` and `rate_limiter("X")`. */
function namesInCode() {
  const files = ["src", "durable-objects/src"].flatMap((room) =>
    readdirSync(join(ROOT, room), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".rs"))
      .map((name) => readFileSync(join(ROOT, room, name), "utf8")),
  );
  const found = files.flatMap((text) => [
    ...text.matchAll(/BINDING: &str = "(\w+)"|rate_limiter\("(\w+)"\)/g),
  ]);
  return new Set(found.map(([, constant, call]) => constant ?? call));
}

/** The `name = "…"` lines below `[[durable_objects.bindings]]` and `[[ratelimits]]`, by environment. */
function namesByEnvironment() {
  const environments = { development: new Set(), staging: new Set(), production: new Set() };
  let into;
  for (const line of readFileSync(join(ROOT, "wrangler.toml"), "utf8").split("\n")) {
    const table = /^\[\[?(?:env\.(\w+)\.)?([^\]]+)\]/.exec(line);
    if (table)
      into = /^(durable_objects\.bindings|ratelimits)$/.test(table[2])
        ? environments[table[1] ?? "development"]
        : undefined;
    const name = /^name = "([^"]+)"/.exec(line)?.[1];
    if (name) into?.add(name);
  }
  return environments;
}
