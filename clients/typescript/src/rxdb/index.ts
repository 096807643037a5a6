/**
 * drey-client/rxdb: an RxDB collection as the documents of one type in one scope, by RxDB's own replication.
 */
import type { RxCollection, RxReplicationPullStreamItem } from "rxdb";
import { type RxReplicationState, replicateRxCollection } from "rxdb/plugins/replication";
import { Subject } from "rxjs";
import type { Scope } from "../api/types.ts";
import type { Client } from "../client.ts";
import { shapeOf } from "./documents.ts";
import { type Checkpoint, type PullParts, pull, stream } from "./pull.ts";
import { pushRows } from "./push.ts";

export type { Checkpoint } from "./pull.ts";

export interface Replicating<T> {
  /** A client that was started; closing it ends the replication's requests. */
  client: Client;
  collection: RxCollection<T>;
  scope: Scope;
  /** The type of all entities of the collection, such as `request`. */
  entityType: string;
  /** The collection's field, a number, for versions of the server; `drey_version`. */
  versionField?: string;
  /** Whether to go on after the first pull and push; true. */
  live?: boolean;
  /** How many rows RxDB hands over at a time; 100. */
  batchSize?: number;
  /** RxDB's own repetition of what throws; 5 s. */
  retryTime?: number;
  waitForLeadership?: boolean;
  autoStart?: boolean;
  /** How often to look for more where the server does not let readers wait; 5 s. */
  pollMs?: number;
}

/**
 * Replicates. What the server has merged or kept beside another write comes back as RxDB's conflict, for the collection's
 * conflict handler; the divergence stays on the server, with both sides, until somebody chooses.
 */
export function replicateScope<T>(options: Replicating<T>): RxReplicationState<T, Checkpoint> {
  const {
    client,
    collection,
    scope,
    entityType,
    versionField = "drey_version",
    pollMs = 5_000,
    live = true,
  } = options;
  const ending = new AbortController();
  const signal = AbortSignal.any([client.signal, ending.signal]);
  const shape = shapeOf(collection, versionField);
  const parts: PullParts<T> = { client, collection, scope, entityType, shape, signal, pollMs };
  const stream$ = new Subject<RxReplicationPullStreamItem<T, Checkpoint>>();
  let isStreaming = !live;
  const handler = async (checkpoint: Checkpoint | undefined, batchSize: number) => {
    const pulled = await pull<T>(checkpoint?.offset, batchSize, parts);
    // Fewer than asked for are the last: the stream goes on from there, without a gap.
    if (!isStreaming && pulled.documents.length < batchSize && pulled.checkpoint) {
      isStreaming = true;
      stream(pulled.checkpoint.offset, stream$, parts).catch((error) => stream$.error(error));
    }
    return pulled;
  };
  const { batchSize = 100, retryTime = 5_000, waitForLeadership = true, autoStart = true } = options;
  const { api, workspace } = client.http.tenant;
  const state = replicateRxCollection<T, Checkpoint>({
    collection,
    replicationIdentifier: `drey ${api} ${workspace} ${scope.type}/${scope.id} ${entityType}`,
    live,
    retryTime,
    waitForLeadership,
    autoStart,
    pull: { handler, batchSize, stream$ },
    push: { handler: (rows) => pushRows(rows, parts), batchSize },
  });
  state.canceled$.subscribe((isCanceled) => {
    if (isCanceled) ending.abort();
  });
  return state;
}
