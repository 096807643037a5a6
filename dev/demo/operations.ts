/**
 * The real input of the demo: every operation of the OpenAPI documents of npm `@readme/oas-examples`, byte for byte.
 *
 * In scope: finding and cutting them. Out of scope: what is done with them (story.ts).
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { members } from "./raw_json.ts";

export interface Operation {
  /** 1–64 of `[A-Za-z0-9_-]`: the entity's id. */
  id: string;
  /** The operation's JSON, spaces and line ends included. */
  raw: string;
}

export interface Collection {
  documents: number;
  operations: Operation[];
}

const VERSIONS = ["3.0", "3.1"];
const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

export function readOperations(): Collection {
  const root = dirname(createRequire(import.meta.url).resolve("@readme/oas-examples/package.json"));
  const files = VERSIONS.flatMap((version) =>
    readdirSync(join(root, version, "json"))
      .filter((name) => name.endsWith(".json"))
      .map((name) => ({ version, path: join(root, version, "json", name) })),
  );
  const operations = files.flatMap(({ version, path }) => operationsOf(version, path));
  return { documents: files.length, operations };
}

function operationsOf(version: string, path: string): Operation[] {
  const paths = members(readFileSync(path, "utf8")).get("paths");
  if (!paths) return [];
  return [...members(paths)].flatMap(([url, item]) => {
    if (!item.startsWith("{")) return [];
    const methods = [...members(item)].filter(([name]) => METHODS.includes(name));
    return methods.map(([method, raw]) => ({ id: idOf(version, path, method, url), raw }));
  });
}

/** Readable in front, unique behind. */
function idOf(version: string, path: string, method: string, url: string): string {
  const name = basename(path, ".json").slice(0, 36);
  const digest = createHash("sha256")
    .update(`${version} ${name} ${method} ${url}`)
    .digest("hex")
    .slice(0, 12);
  return `${name}-${version.replace(".", "")}-${method}-${digest}`;
}
