/**
 * `npm run client-types`: the TypeScript client's copy of the API's description, from the Worker that was built last, and the
 * types that are generated from it. With `--check` (`npm run lint`) it writes nothing and compares the types with the copy;
 * that the copy is what the Worker answers is tested where a Worker runs (`clients/typescript/tests/openapi.test.ts`).
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile, type JSONSchema } from "json-schema-to-typescript";
import { ROOT } from "./paths.ts";
import { startWorkers } from "./world/workers.ts";

const HOME = join(ROOT, "clients", "typescript");
const DOCUMENT = join(HOME, "openapi.json");
const TYPES = join(HOME, "src", "api", "openapi.ts");

const BANNER =
  "// Generated from openapi.json by `npm run client-types`: change the routes of the Worker instead.";

const ANYTHING = { additionalProperties: true };

interface Content {
  content?: Record<string, { schema: JSONSchema }>;
}

interface Operation {
  parameters: { name: string; in: string; required?: boolean; schema: JSONSchema }[];
  requestBody?: Content;
  responses: Record<string, Content>;
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JSONSchema> };
}

if (process.argv.includes("--check")) {
  const isCurrent = readFileSync(TYPES, "utf8") === (await typesOf(readFileSync(DOCUMENT, "utf8")));
  if (!isCurrent)
    console.error("drey: src/api/openapi.ts is not what openapi.json says: npm run client-types");
  process.exitCode = isCurrent ? 0 : 1;
} else {
  const text = await documentOfWorker();
  writeFileSync(DOCUMENT, text);
  writeFileSync(TYPES, await typesOf(text));
}

/** The document needs neither database nor issuer, so the Worker gets none. */
async function documentOfWorker(): Promise<string> {
  const issuer = {
    issuer: "https://nowhere.invalid",
    audience: "none",
    jwks_uri: "https://nowhere.invalid/jwks",
  };
  const database = "postgresql://nobody:none@nowhere.invalid/none";
  const vars = { ISSUERS: JSON.stringify([issuer]), NEON_CONNECTION_STRING: database };
  const secrets = { INVITATION_SECRET: "0".repeat(32), API_KEY_SECRET: "0".repeat(32) };
  const workers = await startWorkers({ root: ROOT, vars: { ...vars, ...secrets }, isolates: 1 });
  try {
    const answer = await fetch(`${workers.apis[0]}/openapi.json`);
    if (!answer.ok) throw new Error(`/openapi.json answered ${answer.status}: ${await answer.text()}`);
    return inLines((await answer.json()) as Document);
  } finally {
    await workers.stop();
  }
}

/** A line for each path and each schema: what changes shows, and no more. */
function inLines({ paths, components: { schemas, ...parts }, ...rest }: Document): string {
  const lines = (of: object) =>
    Object.entries(of)
      .map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)
      .join(",\n");
  const components = `"components": {\n${lines(parts)},\n"schemas": {\n${lines(schemas)}\n}\n}`;
  return `{\n${lines(rest)},\n"paths": {\n${lines(paths)}\n},\n${components}\n}\n`;
}

/** The schemas by name, and `Routes`: what each route takes and gives. */
async function typesOf(text: string): Promise<string> {
  // The generator knows JSON Schema, whose place for named schemas is `$defs`.
  const moved = text.replaceAll("#/components/schemas/", "#/$defs/");
  const document = JSON.parse(moved, (_, value) =>
    isAnyObject(value) ? { ...value, ...ANYTHING } : value,
  ) as Document;
  const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => [
      `${method.toUpperCase()} ${path}`,
      routeOf(operation),
    ]),
  );
  const root = {
    ...objectOf(Object.fromEntries(routes)),
    title: "Routes",
    $defs: document.components.schemas,
  };
  const types = await compile(root as JSONSchema, "Routes", {
    additionalProperties: false,
    bannerComment: BANNER,
    unreachableDefinitions: true,
    // A list of at most 500 would become as many tuples.
    ignoreMinAndMaxItems: true,
    style: { printWidth: 110 },
  });
  return types.replaceAll(/\/\*\*\n \* This interface was referenced by[^/]*\*\/\n/g, "");
}

/** A schema of an object that says nothing of its members. */
function isAnyObject(value: unknown): boolean {
  const { type, properties, additionalProperties } = (value ?? {}) as Record<string, unknown>;
  const isObject = type === "object" || (Array.isArray(type) && type.includes("object"));
  return isObject && properties === undefined && additionalProperties === undefined;
}

function routeOf(operation: Operation): JSONSchema {
  const success = Object.entries(operation.responses).find(([status]) => status.startsWith("2"))?.[1];
  const answer = success?.content?.["application/json"]?.schema ?? { type: "null" };
  const body = operation.requestBody?.content?.["application/json"]?.schema ?? { type: "null" };
  const query = operation.parameters.filter((parameter) => parameter.in === "query");
  const named = Object.fromEntries(query.map(({ name, schema }) => [name, schema]));
  const required = query.filter((parameter) => parameter.required).map(({ name }) => name);
  return objectOf({ answer, body, query: objectOf(named, required) });
}

function objectOf(properties: Record<string, unknown>, required = Object.keys(properties)): JSONSchema {
  return { type: "object", additionalProperties: false, properties, required } as JSONSchema;
}
