/**
 * RxDB's pull: the checkpoint is an offset of the scope's log, and the stream goes on where the first pull ended.
 */
import type { ReplicationPullHandlerResult, RxReplicationPullStreamItem, WithDeleted } from "rxdb";
import type { Subject } from "rxjs";
import { hasCode } from "../http/errors.ts";
import { insist } from "../http/insist.ts";
import { FIRST_CHANGE, follow } from "../pull/follow.ts";
import { type Chunk, readLog } from "../pull/read.ts";
import { START } from "../queue/records.ts";
import { documentsOf, idOf, type Kept, storedOf, versionOf } from "./documents.ts";
import type { PushParts } from "./push.ts";

export interface Checkpoint {
  offset: string;
}

export interface PullParts<T> extends PushParts, Kept<T> {
  signal: AbortSignal;
  pollMs: number;
}

type Pulled<T> = ReplicationPullHandlerResult<T, Checkpoint>;

/** At least `batchSize` documents, or all there are: RxDB takes fewer for the end. */
export async function pull<T>(
  from: string | undefined,
  batchSize: number,
  parts: PullParts<T>,
): Promise<Pulled<T>> {
  const documents = new Map<string, WithDeleted<T>>();
  for (let offset = from ?? START; ; ) {
    const chunk = await read(offset, parts);
    if (!chunk) return everything(parts);
    for (const document of await documentsOf(chunk.messages, parts, documents)) {
      documents.set(idOf(document, parts.shape), document);
    }
    offset = chunk.next;
    if (chunk.isEnd || documents.size >= batchSize) {
      return { documents: [...documents.values()], checkpoint: { offset } };
    }
  }
}

/** The log does not hold the place any more: all is read again, and what is there no more was deleted meanwhile. */
async function everything<T>(parts: PullParts<T>): Promise<Pulled<T>> {
  const { documents, checkpoint } = await pull<T>(START, Number.POSITIVE_INFINITY, parts);
  const read = new Set(documents.map((document) => idOf(document, parts.shape)));
  const local = (await parts.collection.find().exec()).map((document) => document.toJSON() as T);
  const gone = local.filter((document) => {
    return versionOf(document, parts.shape) !== null && !read.has(idOf(document, parts.shape));
  });
  const deleted = gone.map((document) => ({ ...document, _deleted: true }));
  return { documents: [...documents, ...(deleted as unknown as WithDeleted<T>[])], checkpoint };
}

/** A chunk; none if the offset is gone. */
async function read<T>(offset: string, { client, scope, signal }: PullParts<T>): Promise<Chunk | undefined> {
  const { http, timer } = client;
  const act = () => readLog(http, scope, { offset, signal });
  try {
    return await insist(act, { timer, signal, credential: http.credential });
  } catch (error) {
    const reading = { client, scope, signal } as PullParts<T>;
    if (offset === START && hasCode(error, "invalid-offset")) return read(FIRST_CHANGE, reading);
    if (offset !== START && hasCode(error, "offset-gone")) return undefined;
    throw error;
  }
}

/** Tells RxDB what comes after `offset`, until the signal aborts. */
export async function stream<T>(
  offset: string,
  told: Subject<RxReplicationPullStreamItem<T, Checkpoint>>,
  parts: PullParts<T>,
): Promise<void> {
  // RxDB lets what it is told wait for as long as it pushes.
  const coming = new Map<string, WithDeleted<T>>();
  const onChunk = async ({ messages, next }: Chunk) => {
    const arrived = await storedOf([...coming.keys()], parts);
    for (const id of arrived.keys()) coming.delete(id);
    const documents = await documentsOf(messages, parts, coming);
    for (const document of documents) coming.set(idOf(document, parts.shape), document);
    if (documents.length > 0) told.next({ documents, checkpoint: { offset: next } });
  };
  const { client, scope, signal, pollMs } = parts;
  const { http, timer, wakes, live } = client;
  // The pull that RxDB begins then finds the same, and what was deleted besides.
  const onGone = () => told.next("RESYNC");
  await follow({ http, timer, signal, scope, offset, pollMs, wakes, live, onChunk, onGone });
}
