/**
 * The structured fields of answers, read by a parser that others wrote (RFC 9651). `call` (actors.ts) judges every answer
 * of the whole suite, so that no route, level or refusal has a header that only we can read.
 *
 * In scope: syntax, and the types of the parameters that the drafts define. Out of scope: what the values say.
 */
import { type BareItem, type Item, isInnerList, parseList, Token } from "structured-headers";

type Judge = (value: BareItem) => boolean;

interface Field {
  name: Judge;
  parameters: Record<string, Judge>;
  needed: string[];
}

const isText: Judge = (value) => typeof value === "string";
const isToken: Judge = (value) => value instanceof Token;
const isNumber: Judge = (value) => typeof value === "number";
const isInteger: Judge = (value) => Number.isInteger(value);
const isCount: Judge = (value) => Number.isInteger(value) && Number(value) >= 0;
const isFlag: Judge = (value) => typeof value === "boolean";
const isName: Judge = (value) => isText(value) || isToken(value);

const FIELDS: Record<string, Field> = {
  // draft-ietf-httpapi-ratelimit-headers-10
  ratelimit: { name: isText, parameters: { r: isCount, t: isCount }, needed: ["r"] },
  "ratelimit-policy": { name: isText, parameters: { q: isCount, w: isCount, qu: isText }, needed: ["q"] },
  // RFC 9211
  "cache-status": {
    name: isName,
    parameters: { hit: isFlag, fwd: isToken, ttl: isInteger, collapsed: isFlag, detail: isName },
    needed: [],
  },
  // Its own grammar; what drey emits of it is a list of RFC 9651 as well.
  "server-timing": { name: isToken, parameters: { dur: isNumber, desc: isName }, needed: [] },
};

/** The members of a header by name; throws if it is no such list. */
export function members(header: string, value: string): Map<string, Map<string, BareItem>> {
  const field = FIELDS[header];
  if (!field) throw new Error(`nothing is known of ${header}`);
  const list = parseList(value);
  if (list.length === 0) throw new Error("an empty list");
  return new Map(
    list.map((member) => {
      if (isInnerList(member)) throw new Error("an inner list");
      judge(field, member);
      return [String(member[0]), member[1]];
    }),
  );
}

/** Throws when a structured field of an answer does not parse. */
export function judgeFields(headers: Headers): void {
  for (const header of Object.keys(FIELDS)) {
    const value = headers.get(header);
    if (value === null) continue;
    try {
      members(header, value);
    } catch (error) {
      throw new Error(`${header}: ${value} is no structured field: ${error}`);
    }
  }
}

function judge(field: Field, [name, parameters]: Item): void {
  if (!field.name(name)) throw new Error(`${name} is a name of another type`);
  for (const [key, value] of parameters) {
    if (field.parameters[key]?.(value) !== true) throw new Error(`${key} is unknown or of another type`);
  }
  const missing = field.needed.filter((key) => !parameters.has(key));
  if (missing.length > 0) throw new Error(`${missing} is missing`);
}
