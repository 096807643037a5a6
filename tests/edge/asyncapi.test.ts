/** docs/asyncapi.yaml is an AsyncAPI document, and says of frames what is so. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { expect, test } from "vitest";
import { document, faults, judgeHeard, judgeSaid } from "./frames.ts";

test("the document fits the schema of AsyncAPI 3", () => {
  const path = createRequire(import.meta.url).resolve("@asyncapi/specs/schemas/3.0.0-without-$id.json");
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: true });
  addFormats.default(ajv);
  const judge = ajv.compile(JSON.parse(readFileSync(path, "utf8")) as object);
  judge(document);
  expect((judge.errors ?? []).map((error) => `${error.instancePath} ${error.message}`)).toEqual([]);
});

test("each reference leads somewhere, and each message belongs to one direction", () => {
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(
    (match) => match[1] as string,
  );
  expect(refs.length).toBeGreaterThan(40);
  expect(refs.filter((ref) => lookUp(ref) === undefined)).toEqual([]);
  const { hear, say } = document.operations;
  const told = [...hear.messages, ...say.messages].map(({ $ref }) => $ref.split("/").at(-1));
  expect(told.sort()).toEqual(Object.keys(document.components.messages).sort());
  expect(Object.keys(document.channels.room.messages).sort()).toEqual(told);
});

test("each example fits its own message and no other", () => {
  for (const [kind, { examples = [] }] of Object.entries(document.components.messages)) {
    for (const { payload } of examples) {
      const fitting = Object.keys(document.components.messages).filter(
        (other) => faults(other, payload).length === 0,
      );
      expect(fitting, JSON.stringify(payload)).toEqual([kind]);
    }
  }
});

test.each([
  ["update", { kind: "update", clock: 1 }],
  ["update", { kind: "update", clock: 1, state: [] }],
  ["update", { kind: "update", clock: 1, state: {}, at: ["request"] }],
  ["subscribe", { kind: "subscribe", to: ["everything"] }],
  ["patch", { kind: "patch", peers: [] }],
  ["leave", { kind: "leave", peers: [{ client_id: "c" }] }],
])("a wrong %s does not fit: %j", (kind, frame) => {
  expect(faults(kind, frame)).not.toEqual([]);
});

test.each([
  '{"kind":"update","clock":1,"state":[]}',
  '{"kind":"subscribe","to":["everything"]}',
  '{"kind":"ack","n":0}',
  '{"kind":"wave"}',
  '{"kind":"leave","peers":[{"client_id":"tab-1","clock":8}]}',
  "{}",
  "pong",
])("a test in which a client says %s fails", (text) => {
  expect(() => judgeSaid(text)).toThrow("not documented");
  // However often it is said.
  expect(() => judgeSaid(text)).toThrow("not documented");
});

test("what a client says is nothing that a room says", () => {
  const said = ['{"kind":"update","clock":1,"state":null}', '{"kind":"ack","n":1}', "ping"];
  for (const text of said) {
    judgeSaid(text);
    expect(() => judgeHeard(text)).toThrow("nothing to hear");
  }
});

function lookUp(ref: string): unknown {
  const steps = ref.replace(/^#\//, "").split("/");
  return steps.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], document);
}
