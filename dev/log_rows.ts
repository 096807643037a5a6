/**
 * Fills the log of a workspace with any number of changes by COPY: many collections, each with its scope, log and state, as
 * if one client had pushed them. For plans and times at a size that nobody pushes in a test.
 */
import pg from "pg";
import { copy } from "./copy.ts";

export interface Fill {
  /** The workspace, as a uuid. */
  workspace: string;
  /** Who wrote, as a uuid. */
  user: string;
  /** How many changes there are to be, in how many collections. */
  changes: number;
  scopes: number;
  /** How many changes each entity gets; 4 unless told. */
  perEntity?: number;
  /** About how many bytes a value has; 200 unless told. */
  bytes?: number;
}

/** What a message costs besides its texts, as `sync_apply` counts it. */
const OVERHEAD = 320;
const CLIENT = "loader";

/** The ids of the collections, in order; the last one may have fewer changes. */
export function scopesOf({ workspace, scopes }: Pick<Fill, "workspace" | "scopes">): string[] {
  return Array.from({ length: scopes }, (_, n) => `${workspace.slice(-8)}-${n}`);
}

/** Loads and analyzes. As superuser: foreign keys are not asked row by row. */
export async function fillLog(databaseUrl: string, fill: Fill): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query("begin; set local session_replication_role = replica");
    const of = fill.workspace;
    await copy(
      client,
      "sync_client",
      ["workspace_id", "client_id", "user_id", "last_mutation_id"],
      [[of, CLIENT, fill.user, fill.changes]],
    );
    await copy(client, "collection", ["workspace_id", "collection_id"], collections(fill));
    const scope = ["workspace_id", "scope_type", "scope_id", "epoch", "collection_id"];
    await copy(client, "sync_scope", scope, epochs(fill));
    await copy(client, "sync_change", CHANGE, log(fill));
    await client.query(STATE, [of, scopesOf(fill)]);
    await client.query("commit");
    await client.query("analyze sync_scope; analyze sync_change; analyze sync_state");
  } finally {
    await client.end();
  }
}

/** How many changes the n-th scope has. */
function sizeOf({ changes, scopes }: Fill, n: number): number {
  const each = Math.ceil(changes / scopes);
  return Math.max(0, Math.min(each, changes - n * each));
}

function* collections(fill: Fill): Generator<string[]> {
  for (const id of scopesOf(fill)) yield [fill.workspace, id];
}

function* epochs(fill: Fill): Generator<(string | number)[]> {
  for (const [n, id] of scopesOf(fill).entries()) {
    yield [fill.workspace, "collection", id, sizeOf(fill, n), id];
  }
}

const CHANGE = [
  "workspace_id",
  "scope_type",
  "scope_id",
  "server_epoch",
  "entity_type",
  "entity_id",
  "operation",
  "value",
  "clock",
  "user_id",
  "client_id",
  "mutation_id",
  "txid",
  "bytes",
];

function* log(fill: Fill): Generator<(string | number)[]> {
  const { workspace, user, perEntity = 4, bytes = 200 } = fill;
  const padding = "x".repeat(Math.max(0, bytes - '{"name":"","n":}'.length));
  let mutation = 0;
  for (const [n, scope] of scopesOf(fill).entries()) {
    const size = sizeOf(fill, n);
    const entities = Math.ceil(size / perEntity);
    for (let epoch = 1; epoch <= size; epoch += 1) {
      mutation += 1;
      const id = `e${(epoch - 1) % entities}`;
      const value = `{"name":"${padding}","n":${epoch}}`;
      const clock = `{"${CLIENT}":${mutation}}`;
      const cost = OVERHEAD + CLIENT.length + 2 * "request".length + id.length + value.length;
      const place = [workspace, "collection", scope, epoch, "request", id];
      yield [
        ...place,
        epoch <= entities ? "insert" : "update",
        value,
        clock,
        user,
        CLIENT,
        mutation,
        1,
        cost,
      ];
    }
  }
}

/** The newest of each entity, from the log itself. */
const STATE = `insert into sync_state (workspace_id, scope_type, scope_id, entity_type, entity_id, version, value, clock, deleted,
                                       client_id, mutation_id)
  select distinct on (scope_id, entity_id) workspace_id, scope_type, scope_id, entity_type, entity_id, server_epoch, value, clock,
         false, client_id, mutation_id
  from sync_change where workspace_id = $1 and scope_type = 'collection' and scope_id = any ($2)
  order by scope_id, entity_id, server_epoch desc`;
