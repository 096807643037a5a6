/**
 * Who is here: the room's frames applied in the order they come, tabs of one user merged to one person.
 */
import type { Peer } from "./frames.ts";

/** One user, who shows what the tab of his shows that spoke last. */
export interface Person extends Omit<Peer, "client_id" | "clock"> {
  /** All of them, that one first. */
  tabs: Peer[];
}

export class Peers {
  readonly #own: string;
  readonly #known = new Map<string, Peer>();
  /** Who has gone since the last `hello`, while pages of its snapshot are read: they may be older than that. */
  #gone: Set<string> | undefined;

  constructor(own: string) {
    this.#own = own;
  }

  /** Forgets what was known. `more`: pages of the snapshot follow, until `filled`. */
  begin(peers: Peer[], more = false): void {
    this.#known.clear();
    this.#gone = more ? new Set() : undefined;
    this.patch(peers);
  }

  patch(peers: Peer[]): void {
    for (const peer of peers) {
      this.#gone?.delete(peer.client_id);
      if (peer.client_id !== this.#own) this.#known.set(peer.client_id, peer);
    }
  }

  leave(peers: { client_id: string }[]): void {
    for (const { client_id } of peers) {
      this.#known.delete(client_id);
      this.#gone?.add(client_id);
    }
  }

  /** Adds who is in the snapshot and was not told of: frames know better. */
  fill(peers: Peer[]): void {
    this.patch(peers.filter(({ client_id: id }) => !this.#known.has(id) && !this.#gone?.has(id)));
  }

  filled(): void {
    this.#gone = undefined;
  }

  clients(): Peer[] {
    return [...this.#known.values()];
  }

  people(): Person[] {
    const tabs = new Map<string, Peer[]>();
    for (const peer of this.#known.values()) {
      tabs.set(peer.user_id, [...(tabs.get(peer.user_id) ?? []), peer]);
    }
    return [...tabs.values()].flatMap(personOf);
  }
}

function personOf(peers: Peer[]): Person[] {
  const tabs = peers.sort(lastFirst);
  return tabs.slice(0, 1).map(({ client_id: _id, clock: _clock, ...shown }) => ({ ...shown, tabs }));
}

/** By clocks, which count on by the time of day: the last sign of life may be a ping. */
function lastFirst(one: Peer, other: Peer): number {
  return other.clock - one.clock || (one.client_id < other.client_id ? -1 : 1);
}
