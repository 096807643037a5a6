/**
 * RxDB's push: each row becomes a mutation of the client's queue, so that it is numbered, kept and repeated like any other.
 */
import type { RxReplicationWriteToMasterRow, WithDeleted } from "rxdb";
import type { Entity, Outcome, Scope } from "../api/types.ts";
import type { Client } from "../client.ts";
import { isEqual } from "../queue/merge.ts";
import { contentOf, documentOf, idOf, type Shape, versionOf } from "./documents.ts";

export interface PushParts {
  client: Client;
  scope: Scope;
  entityType: string;
  shape: Shape;
}

type Row<T> = RxReplicationWriteToMasterRow<T>;

/** Queues the rows and waits for their outcomes. Gives what stands where that is not what was sent: RxDB calls it a conflict. */
export async function pushRows<T>(rows: Row<T>[], parts: PushParts): Promise<WithDeleted<T>[]> {
  const outcomes: Promise<Outcome>[] = [];
  for (const row of rows) outcomes.push((await write(row, parts)).outcome);
  const told = await Promise.all(outcomes);
  return rows.flatMap((row, index) => {
    const { outcome, version = 0, value } = told[index] as Outcome;
    const differs = outcome === "merged" || outcome === "diverged";
    // What is rejected stays as it is here: the client's `rejected` tells, and the next edit is pushed again. What stands and is
    // not told comes with the log.
    return differs && value !== undefined
      ? [documentOf(row.newDocumentState, version, value, parts.shape)]
      : [];
  });
}

async function write<T>(row: Row<T>, { client, scope, entityType, shape }: PushParts) {
  const entity = { type: entityType, id: idOf(row.newDocumentState, shape) };
  const value = contentOf(row.newDocumentState as WithDeleted<T>, shape);
  const base = await baseOf(row, entity, { client, scope, entityType, shape });
  // RxDB asks again what it has asked before it was closed.
  return client.write({ scope, entity, value, base, once: true });
}

/**
 * The version that the row was made from. RxDB takes what it has pushed for what stands, with the version of before: until the
 * log brings the new one, the client knows it from the outcome.
 */
async function baseOf<T>(
  row: Row<T>,
  entity: Entity,
  { client, scope, shape }: PushParts,
): Promise<number | null> {
  const assumed = row.assumedMasterState as WithDeleted<T> | undefined;
  const version = versionOf(assumed, shape);
  if (!assumed) return version;
  const { server } = await client.scope(scope.type, scope.id).get(entity);
  const isOwn = server.version > (version ?? 0) && isEqual(server.value, contentOf(assumed, shape));
  return isOwn ? server.version : version;
}
