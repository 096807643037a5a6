/**
 * The OpenAPI document of the running Worker as a list of operations, and ids filled into its paths.
 *
 * In scope: reading `/openapi.json`. Out of scope: judging it (openapi.test.ts).
 */
import { call } from "./actors.ts";

export interface Operation {
  operationId?: string;
  security?: unknown[];
  parameters?: { name: string; in: string }[];
  requestBody?: unknown;
  responses: Record<string, unknown>;
  "x-policy"?: { who: string; idempotent: boolean; key: { scope: string; of_a_project: boolean } | null };
}

export interface Spec {
  openapi: string;
  security?: unknown[];
  paths: Record<string, Record<string, Operation>>;
}

export interface Row {
  path: string;
  method: string;
  operation: Operation;
}

const METHODS = ["get", "post", "put", "patch", "delete"];

export async function spec(): Promise<Spec> {
  return (await call<Spec>(null, "GET", "/openapi.json")).body;
}

/** Every operation of the document, method in upper case. */
export function rows(document: Spec): Row[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      return operation ? [{ path, method: method.toUpperCase(), operation }] : [];
    }),
  );
}

/** Whether the operation asks for a credential. */
export function isGuarded(document: Spec, row: Row): boolean {
  const security = row.operation.security ?? document.security ?? [];
  return security.length > 0;
}

/** Whether only the operator may call it. */
export function isOperators(row: Row): boolean {
  return row.operation["x-policy"]?.who === "operator";
}

/** The path with each `{name}` replaced; a name without a value is an error of the test. */
export function fill(path: string, values: Record<string, string>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for {${name}} of ${path}`);
    return value;
  });
}
