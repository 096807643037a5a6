/** What a mutation of a push must be; one that never can be is recorded as rejected and does not stop the others. */

export interface Mutation {
  id: number;
  scope: { type: string; id: string };
  entity: { type: string; id: string };
  op: "upsert" | "delete";
  base_version?: number | null;
  clock?: Record<string, number>;
  value?: unknown;
}

const SCOPES = new Set(["user", "workspace", "project", "collection", "environment"]);
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const MOST_BYTES = 256 * 1024;
const MOST_CLIENTS = 256;
const SECRETS = ["value", "initialValue", "currentValue", "initial_value", "current_value"];

/** The shape of the call: what is wrong here refuses all of it. */
export function isMutation(item: Mutation): boolean {
  return (
    Number.isInteger(item.id) &&
    typeof item.scope?.type === "string" &&
    typeof item.scope.id === "string" &&
    typeof item.entity?.type === "string" &&
    typeof item.entity.id === "string" &&
    typeof item.op === "string"
  );
}

/** Why the mutation can never be applied: a code, and the text of its value if it can. */
export function checked(mutation: Mutation, client: string): { reject?: string; value: string } {
  const { scope, entity, op, base_version: base = null, clock } = mutation;
  const reject = (code: string) => ({ reject: code, value: "null" });
  if (!SCOPES.has(scope.type) || !ID.test(scope.id)) return reject("invalid-scope");
  if (!ID.test(entity.type) || !ID.test(entity.id)) return reject("invalid-entity");
  if (base !== null && !(Number.isInteger(base) && base >= 0)) return reject("invalid-version");
  if (clock && !isClock(clock, client, mutation.id)) return reject("invalid-clock");
  if (op === "delete") return mutation.value === undefined ? { value: "null" } : reject("invalid-value");
  if (op !== "upsert") return reject("invalid-operation");
  return checkedValue(entity.type, mutation.value, reject);
}

function isClock(clock: Record<string, number>, client: string, id: number): boolean {
  const entries = Object.entries(clock);
  const fits = entries.every(([name, count]) => ID.test(name) && Number.isInteger(count) && count >= 0);
  return fits && entries.length <= MOST_CLIENTS && (entries.length === 0 || clock[client] === id);
}

function checkedValue(
  type: string,
  value: unknown,
  reject: (code: string) => { reject: string; value: string },
) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return reject("invalid-value");
  const text = JSON.stringify(value);
  // Bytes are at most three a character: most need no counting.
  if (text.length * 3 > MOST_BYTES && new TextEncoder().encode(text).length > MOST_BYTES) {
    return reject("value-too-large");
  }
  // Postgres holds no NUL.
  if (text.includes("\\u0000")) return reject("invalid-value");
  return hasSecret(type, value as Record<string, unknown>) ? reject("secret-value") : { value: text };
}

function hasSecret(type: string, value: Record<string, unknown>): boolean {
  const variables = Array.isArray(value.variables) ? value.variables : [];
  return (type === "variable" && isFilledSecret(value)) || variables.some(isFilledSecret);
}

function isFilledSecret(variable: Record<string, unknown> | null): boolean {
  return variable?.secret === true && SECRETS.some((name) => (variable[name] ?? "") !== "");
}
