/**
 * Which mutations go out next.
 */
import type { SentMutation } from "../api/types.ts";
import type { Transaction } from "../store/store.ts";
import { byteLength } from "./enqueue.ts";
import { META, type Meta, metaOf, numberIn, QUEUE, type Queued } from "./records.ts";

/** What a call may hold. */
export interface Caps {
  mutations: number;
  bytes: number;
}

/** The mutations of one push, with numbers that follow each other. */
export interface Batch {
  meta: Meta;
  /** What had been sent before it. */
  before: number;
  mutations: SentMutation[];
}

/** What stands around the mutations in a body: client, session, acknowledgement. */
const ENVELOPE_BYTES = 512;

/**
 * The head of the queue; nothing if it is empty. What was sent before goes again as it was, alone: only when it is known what
 * became of it can what was made on top of it be brought up to date.
 */
export async function take(transaction: Transaction, caps: Caps): Promise<Batch | undefined> {
  const meta = await metaOf(transaction);
  const mutations: SentMutation[] = [];
  let bytes = ENVELOPE_BYTES;
  await transaction.each<Queued>(QUEUE, (key, queued) => {
    const id = numberIn(key);
    if (mutations.length > 0 && (mutations.at(0)?.id ?? 0) <= meta.attempted_id && id > meta.attempted_id) {
      return false;
    }
    const mutation = sent(meta, id, queued);
    bytes += byteLength(JSON.stringify(mutation)) + 1;
    // The first goes out whatever its size, or nothing ever would.
    if (mutations.length > 0 && bytes > caps.bytes) return false;
    return mutations.push(mutation) < caps.mutations;
  });
  const last = mutations.at(-1);
  if (!last) return undefined;
  // Before it is sent: whoever finds the queue after a crash must take it for sent.
  const attempted = { ...meta, attempted_id: Math.max(meta.attempted_id, last.id) };
  transaction.put(META, attempted);
  return { meta: attempted, before: meta.attempted_id, mutations };
}

/** The server has processed nothing of the batch. What it sent for the first time counts as unsent: another may use its numbers. */
export async function untake(transaction: Transaction, { meta, before }: Batch): Promise<void> {
  const current = await metaOf(transaction);
  const isSame = current.client_id === meta.client_id && current.attempted_id === meta.attempted_id;
  if (isSame) transaction.put(META, { ...current, attempted_id: before } satisfies Meta);
}

function sent({ client_id }: Meta, id: number, { scope, entity, op, value, base_version, seen }: Queued) {
  const { [client_id]: _own, ...others } = seen;
  const mutation = { id, scope, entity, op, base_version, clock: { ...others, [client_id]: id } };
  return (value === undefined ? mutation : { ...mutation, value }) as SentMutation;
}
