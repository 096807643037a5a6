/**
 * Pushing the operations and catching up with them, counted in bytes.
 *
 * In scope: batches within the server's limits, the stream to its end. Out of scope: who does it (story.ts).
 */
import { createHash, randomBytes } from "node:crypto";
import { type Person, send } from "./client.ts";
import type { Operation } from "./operations.ts";
import { elements, members } from "./raw_json.ts";
import { count, hold } from "./report.ts";

export interface Place {
  workspace: string;
  project: string;
}

/** The server's limits of one push. */
const MOST_MUTATIONS = 500;
const MOST_BYTES = 1024 * 1024;

export async function pushAll(who: Person, place: Place, operations: Operation[]): Promise<string> {
  const client = `demo-${randomBytes(6).toString("hex")}`;
  const batches = inBatches(
    operations.map((operation, index) => mutationOf(client, place, operation, index + 1)),
  );
  for (const batch of batches) {
    const body = `{"client_id":"${client}","mutations":[${batch.join(",")}]}`;
    const reply = await send(who, "POST", `/v1/workspaces/${place.workspace}/sync/push`, body);
    hold(reply.status === 200, `the push answered ${reply.status}: ${reply.text.slice(0, 300)}`);
    const results = reply.json.results as { outcome: string }[];
    const refused = results.find((result) => result.outcome !== "applied");
    hold(
      results.length === batch.length && !refused,
      `a mutation was not applied: ${JSON.stringify(refused)}`,
    );
  }
  return `${count(operations.length)} documents, ${count(bytesOf(operations))} bytes, ${batches.length} pushes`;
}

export interface CaughtUp {
  /** Raw text by entity id. */
  documents: Map<string, string>;
  reads: number;
}

/** The project's log from its beginning to its end. */
export async function catchUp(who: Person, place: Place): Promise<CaughtUp> {
  const documents = new Map<string, string>();
  const stream = `/v1/workspaces/${place.workspace}/sync/project/${place.project}`;
  let offset = "-1";
  for (let reads = 1; ; reads += 1) {
    const reply = await send(who, "GET", `${stream}?offset=${offset}`);
    hold(reply.status === 200, `the stream answered ${reply.status}: ${reply.text.slice(0, 300)}`);
    for (const message of elements(reply.text)) {
      const parts = members(message);
      const key = JSON.parse(String(parts.get("key"))) as string;
      documents.set(key.slice("request/".length), String(parts.get("value")));
    }
    if (reply.headers.get("stream-up-to-date") === "true") return { documents, reads };
    offset = String(reply.headers.get("stream-next-offset"));
  }
}

/** Both sides' digest when every document is there with the same bytes; throws at the first that differs. */
export function sameBytes(sent: Operation[], received: Map<string, string>): string {
  hold(received.size === sent.length, `${sent.length} documents were pushed and ${received.size} came`);
  for (const { id, raw } of sent) hold(received.get(id) === raw, `the document ${id} came with other bytes`);
  const digest = createHash("sha256");
  for (const { id } of sent) digest.update(`${id}\n${received.get(id)}\n`);
  return digest.digest("hex").slice(0, 16);
}

export function bytesOf(operations: Operation[]): number {
  return operations.reduce((sum, operation) => sum + Buffer.byteLength(operation.raw), 0);
}

/** Written by hand, so that the value keeps the bytes it has in the file. */
function mutationOf(client: string, place: Place, operation: Operation, id: number): string {
  const scope = `{"type":"project","id":"${place.project}"}`;
  const entity = `{"type":"request","id":"${operation.id}"}`;
  const clock = `{"${client}":${id}}`;
  return `{"id":${id},"scope":${scope},"entity":${entity},"op":"upsert","base_version":null,"clock":${clock},"value":${operation.raw}}`;
}

function inBatches(mutations: string[]): string[][] {
  const batches: string[][] = [];
  let room = 0;
  for (const mutation of mutations) {
    const size = Buffer.byteLength(mutation) + 1;
    const last = batches.at(-1);
    if (last && last.length < MOST_MUTATIONS && size <= room) last.push(mutation);
    else batches.push([mutation]);
    room = (batches.at(-1) === last ? room : MOST_BYTES - 1_000) - size;
  }
  return batches;
}
