/**
 * A sync client for the edge tests: numbers its mutations, pushes them, reads a scope's log.
 *
 * In scope: well-formed calls. Out of scope: wrong ones, which the tests write out themselves.
 */
import { type Answer, call, type User, unique } from "./actors.ts";
import type { PushResult, StateMessage, SyncSessionOpened } from "./shapes.ts";

export interface Scope {
  type: string;
  id: string;
}

export interface Mutation {
  id: number;
  scope: Scope;
  entity: { type: string; id: string };
  op: "upsert" | "delete";
  base_version: number | null;
  clock: Record<string, number>;
  value?: unknown;
}

export interface Device {
  user: User;
  workspace: string;
  clientId: string;
  lastId: number;
}

export function device(user: User, place: { id: string }, clientId: string = unique("client")): Device {
  return { user, workspace: place.id, clientId, lastId: 0 };
}

export function workspaceScope(place: { id: string }): Scope {
  return { type: "workspace", id: place.id };
}

/** The next mutation of this device; `fields` overrides any member. */
export function mutation(from: Device, scope: Scope, fields: Partial<Mutation> = {}): Mutation {
  from.lastId += 1;
  return {
    id: from.lastId,
    scope,
    entity: { type: "request", id: unique("request") },
    op: "upsert",
    base_version: null,
    clock: { [from.clientId]: from.lastId },
    value: { name: "A request", method: "GET" },
    ...fields,
  };
}

export function push(
  from: Device,
  mutations: unknown[],
  headers: Record<string, string> = {},
  fields: Record<string, unknown> = {},
): Promise<Answer<PushResult>> {
  const body = { client_id: from.clientId, mutations, ...fields };
  return call<PushResult>(from.user, "POST", `/v1/workspaces/${from.workspace}/sync/push`, body, headers);
}

export function readScope(
  caller: User,
  place: { id: string },
  scope: Scope,
  query = "",
  headers: Record<string, string> = {},
): Promise<Answer<StateMessage[]>> {
  const path = `/v1/workspaces/${place.id}/sync/${scope.type}/${scope.id}${query}`;
  return call<StateMessage[]>(caller, "GET", path, undefined, headers);
}

/** Every message of a scope from its beginning, following `Stream-Next-Offset` to the tail. */
export async function catchUp(caller: User, place: { id: string }, scope: Scope): Promise<StateMessage[]> {
  const messages: StateMessage[] = [];
  for (let offset = "-1"; ; ) {
    const answer = await readScope(caller, place, scope, `?offset=${offset}`);
    if (answer.status !== 200) throw new Error(`catch-up from ${offset}: ${answer.status} ${answer.text}`);
    messages.push(...answer.body);
    if (answer.headers.get("stream-up-to-date") === "true") return messages;
    offset = String(answer.headers.get("stream-next-offset"));
  }
}

/** Two devices write one entity from the same base: what the late one is told, with the id of the divergence. */
export async function diverge(
  place: { id: string },
  early: User,
  late: User,
  scope: Scope = workspaceScope(place),
): Promise<{ id: string; entity: { type: string; id: string }; early: Device; late: Device }> {
  const [one, two] = [device(early, place), device(late, place)];
  const entity = { type: "request", id: unique("request") };
  const made = await push(one, [mutation(one, scope, { entity, value: { name: "base" } })]);
  const base_version = made.body.results[0]?.version ?? 0;
  await push(one, [mutation(one, scope, { entity, base_version, value: { name: "theirs" } })]);
  const answer = await push(two, [mutation(two, scope, { entity, base_version, value: { name: "mine" } })]);
  const id = answer.body.results[0]?.divergence_id;
  if (!id) throw new Error(`no divergence: ${answer.status} ${answer.text}`);
  return { id, entity, early: one, late: two };
}

/** Opens a session of this device. */
export function openSession(
  from: Device,
  fields: Record<string, unknown> = {},
): Promise<Answer<SyncSessionOpened>> {
  const body = { client_id: from.clientId, client_name: "Tests", ...fields };
  return call(from.user, "POST", `/v1/workspaces/${from.workspace}/sync/sessions`, body);
}

/** What became of each mutation: its code, else its outcome. */
export const codes = ({ results }: PushResult) => results.map(({ code, outcome }) => code ?? outcome);
