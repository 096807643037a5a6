/**
 * API keys for the edge tests: making one, and calling as the program that holds it.
 *
 * In scope: well-formed keys. Out of scope: wrong ones, which the tests write out themselves.
 */
import { call, expectStatus, type OwnedWorkspace, type User, unique } from "./actors.ts";
import type { NewApiKey } from "./shapes.ts";
import { world } from "./world.ts";

export function keysPath(place: { id: string }, id?: string): string {
  return `/v1/workspaces/${place.id}/api-keys${id ? `/${id}` : ""}`;
}

/** A key that its workspace's owner made. One strict call of his: at most ten a minute. */
export async function apiKey(
  place: OwnedWorkspace,
  fields: Record<string, unknown> = {},
  maker: User = place.owner,
): Promise<NewApiKey> {
  const body = { name: unique("Key"), scopes: ["read"], ...fields };
  return expectStatus(await call<NewApiKey>(maker, "POST", keysPath(place), body), 201).body;
}

/** Who calls with this key as his bearer token. */
export function program({ key }: { key: string }, api: string = world().api): User {
  return { id: "", sub: "", email: "", name: "", token: key, api };
}

/** The key with one character replaced. */
export function mistyped(key: string, place: number): string {
  const other = key[place] === "x" ? "y" : "x";
  return `${key.slice(0, place)}${other}${key.slice(place + 1)}`;
}
