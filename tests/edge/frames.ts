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

/** What the room says, and what its clients say: no frame is both. */
type Side = keyof AsyncApi["operations"];

/** Frames that fit: a room sends the same text to many, and many send the same text to it. */
const judged: Record<Side, Set<string>> = { hear: new Set(), say: new Set() };

/** Throws for a frame of the room that docs/asyncapi.yaml does not describe. */
export function judgeHeard(text: string): void {
  judge("hear", text);
}

/** Throws for a frame of a client that docs/asyncapi.yaml does not describe. */
export function judgeSaid(text: string): void {
  judge("say", text);
}

function judge(side: Side, text: string): void {
  const fitting = judged[side];
  if (fitting.has(text)) return;
  const wrong = faultsOf(side, text);
  if (wrong.length > 0) throw new Error(`a frame that is not documented: ${wrong.join("; ")}\n${text}`);
  if (fitting.size > 1_000) fitting.clear();
  fitting.add(text);
}

function faultsOf(side: Side, text: string): string[] {
  // `ping` and `pong` are their own kinds: they are no JSON.
  const isJson = text.startsWith("{");
  const frame: unknown = isJson ? JSON.parse(text) : text;
  const kind = isJson ? String((frame as { kind?: unknown }).kind) : text;
  const kinds = document.operations[side].messages.map(({ $ref }) => $ref.split("/").at(-1));
  return kinds.includes(kind) ? faults(kind, frame) : [`${kind} is nothing to ${side}`];
}
