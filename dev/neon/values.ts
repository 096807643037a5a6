/**
 * JSON to Postgres text (parameters) and Postgres text to JSON (results that did not ask for raw text).
 * The oddities are the proxy's own: array parameters become array literals, empty arrays read back wrongly.
 */
import { NeonFailure } from "./failure.ts";

/** A parameter as Postgres gets it: text, or null for NULL. */
export function toText(value: unknown): string | null {
  if (value === null || typeof value === "string") return value;
  return Array.isArray(value) ? toArrayLiteral(value) : JSON.stringify(value);
}

/** A JSON array becomes `{…}`, never JSON: sent to a jsonb parameter it is a syntax error there. */
function toArrayLiteral(values: unknown[]): string {
  const elements = values.map((value) => {
    if (value === null) return "NULL";
    if (Array.isArray(value)) return toArrayLiteral(value);
    if (typeof value === "string") return JSON.stringify(value);
    return typeof value === "object" ? JSON.stringify(JSON.stringify(value)) : String(value);
  });
  return `{${elements.join(",")}}`;
}

type Read = (text: string) => unknown;

const integer: Read = (text) => {
  if (!/^-?\d+$/.test(text)) throw new NeonFailure(500, "could not convert postgres value to json");
  return Number(text);
};
/** JSON has no NaN and no infinity: they stay text. */
const float: Read = (text) => (Number.isFinite(Number(text)) ? Number(text) : text);
const boolean: Read = (text) => text === "t";
const json: Read = (text) => JSON.parse(text);
const same: Read = (text) => text;

/** Type OIDs of pg_type that have a JSON form of their own; every other type stays text. */
const SCALARS = new Map<number, Read>([
  [16, boolean],
  [21, integer],
  [23, integer],
  [700, float],
  [701, float],
  [114, json],
  [3802, json],
]);

/** Array type OIDs by the reader of their elements. */
const ARRAYS = new Map<number, Read>([
  [1000, boolean],
  [1005, integer],
  [1007, integer],
  [1021, float],
  [1022, float],
  [199, json],
  [3807, json],
  ...[1001, 1002, 1003, 1009, 1014, 1015, 1016, 1028, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 2951].map(
    (oid): [number, Read] => [oid, same],
  ),
]);

/** A result value of the type `oid` in the proxy's default ("cooked") form. */
export function toJson(text: string, oid: number): unknown {
  const scalar = SCALARS.get(oid);
  if (scalar) return scalar(text);
  const element = ARRAYS.get(oid);
  return element ? readArray(text, element) : text;
}

/** One token of an array literal: a brace, a comma, a quoted element or a bare one. */
const TOKEN = /[{},]|"((?:[^"\\]|\\.)*)"|[^{},"]+/gs;

function readArray(literal: string, read: Read): unknown[] {
  // `[2:3]={…}` gives lower bounds that JSON cannot say.
  const text = literal.replace(/^\[[^{]*=/, "");
  // The proxy's parser finds one empty element in an empty array.
  if (text === "{}") return [read("")];
  const stack: unknown[][] = [[]];
  for (const [token, quoted] of text.matchAll(TOKEN)) {
    if (token === "{") stack.push([]);
    else if (token === "}") closeArray(stack);
    else if (token !== ",") stack.at(-1)?.push(element(token, quoted, read));
  }
  return stack[0]?.[0] as unknown[];
}

function closeArray(stack: unknown[][]): void {
  const finished = stack.pop();
  stack.at(-1)?.push(finished);
}

function element(token: string, quoted: string | undefined, read: Read): unknown {
  if (quoted !== undefined) return read(quoted.replace(/\\(.)/gs, "$1"));
  return token === "NULL" ? null : read(token);
}
