/**
 * docs/asyncapi.yaml as a judge of frames: every one that a test sees or sends must fit the schema of its kind.
 */
import { readFileSync } from "node:fs";
import { Ajv, type ValidateFunction } from "ajv";
import addFormats from "ajv-formats";
import { parse } from "yaml";

export interface AsyncApi {
  asyncapi: string;
  channels: { room: { messages: Record<string, { $ref: string }> } };
  operations: Record<"hear" | "say", { messages: { $ref: string }[] }>;
  components: {
    messages: Record<
      string,
      { payload: { $ref?: string; const?: string }; examples?: { payload: unknown }[] }
    >;
    schemas: Record<string, object>;
  };
}

export const document = parse(
  readFileSync(new URL("../../docs/asyncapi.yaml", import.meta.url), "utf8"),
) as AsyncApi;

const ajv = new Ajv({ allErrors: true, strict: false });
addFormats.default(ajv);
ajv.addSchema(document as object, "asyncapi");
const judges = new Map<string, ValidateFunction>();

/** What is wrong with a frame of this kind; nothing if it fits. */
export function faults(kind: string, frame: unknown): string[] {
  const { payload } = document.components.messages[kind] ?? {};
  if (!payload) return [`docs/asyncapi.yaml knows no ${kind}`];
  const judge = judges.get(kind) ?? ajv.compile(payload.$ref ? { $ref: `asyncapi${payload.$ref}` } : payload);
  judges.set(kind, judge);
  judge(frame);
  return (judge.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

/** Frames that fit: a room sends the same text to many. */
const judged = new Set<string>();

/** Throws for a frame that docs/asyncapi.yaml does not describe. */
export function judgeFrame(text: string): void {
  if (judged.has(text)) return;
  if (judged.size > 1_000) judged.clear();
  judged.add(text);
  const frame = JSON.parse(text) as { kind: string };
  const wrong = faults(frame.kind, frame);
  if (wrong.length > 0) throw new Error(`a frame that is not documented: ${wrong.join("; ")}\n${text}`);
}
