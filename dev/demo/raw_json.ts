/**
 * JSON as text: the members of an object and the elements of an array, each exactly as it was written.
 *
 * In scope: cutting valid JSON at its top level. Out of scope: validating (JSON.parse has done that before).
 */

const SCALAR = /"[^"\\]*(?:\\.[^"\\]*)*"|[^\s,:{}[\]]+/y;
const BRACKET_OR_STRING = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]/g;
const BLANK = /[\s,:]*/y;

/** Raw text of each member, by name. */
export function members(object: string): Map<string, string> {
  const parts = cut(object, "{", "}");
  const found = new Map<string, string>();
  for (let index = 0; index + 1 < parts.length; index += 2) {
    found.set(JSON.parse(String(parts[index])) as string, String(parts[index + 1]));
  }
  return found;
}

/** Raw text of each element. */
export function elements(array: string): string[] {
  return cut(array, "[", "]");
}

function cut(text: string, open: string, close: string): string[] {
  const parts: string[] = [];
  let at = skipBlank(text, 0);
  if (text[at] !== open) throw new Error(`expected ${open} and found ${text.slice(at, at + 20)}`);
  at = skipBlank(text, at + 1);
  while (text[at] !== close) {
    const end = endOfValue(text, at);
    parts.push(text.slice(at, end));
    at = skipBlank(text, end);
  }
  return parts;
}

function skipBlank(text: string, start: number): number {
  BLANK.lastIndex = start;
  BLANK.exec(text);
  return BLANK.lastIndex;
}

function endOfValue(text: string, start: number): number {
  if (text[start] !== "{" && text[start] !== "[") return endOfScalar(text, start);
  let depth = 0;
  BRACKET_OR_STRING.lastIndex = start;
  for (let token = BRACKET_OR_STRING.exec(text); token; token = BRACKET_OR_STRING.exec(text)) {
    if (token[0] === "{" || token[0] === "[") depth += 1;
    if (token[0] === "}" || token[0] === "]") depth -= 1;
    if (depth === 0) return BRACKET_OR_STRING.lastIndex;
  }
  throw new Error(`the value at ${start} has no end`);
}

function endOfScalar(text: string, start: number): number {
  SCALAR.lastIndex = start;
  if (!SCALAR.test(text)) throw new Error(`no value at ${start}: ${text.slice(start, start + 20)}`);
  return SCALAR.lastIndex;
}
