/** Many seats of one room, and what all of them have to agree on. */
import type { User } from "./actors.ts";
import { known, type PeerView, type Seat, sit, snapshot } from "./rooms.ts";
import type { Page } from "./shapes.ts";
import { type ObjectClass, type OwnCell, poll } from "./world.ts";

/** Upgrades under way at a time. */
const AT_A_TIME = 50;

/** So many seats of these people, taken in turns. */
export async function crowd(people: User[], place: { id: string }, count: number): Promise<Seat[]> {
  const seats: Seat[] = [];
  while (seats.length < count) {
    const some = Array.from({ length: Math.min(AT_A_TIME, count - seats.length) }, (_, index) => index);
    const taken = some.map((index) => sit(people[index % people.length] as User, place));
    seats.push(...(await Promise.all(taken)));
  }
  return seats;
}

/** Waits until each of them knows of exactly the others, and their newest state. */
export function agreed(seats: Seat[], at: number, deadlineMs?: number): Promise<unknown> {
  const wanted = JSON.stringify({ at });
  const knowsAll = (seat: Seat) => {
    const room = known(seat);
    return (
      room.size === seats.length - 1 && [...room.values()].every((state) => JSON.stringify(state) === wanted)
    );
  };
  const waiting = new Set(seats);
  const nobodyWaits = async () => {
    for (const seat of waiting) {
      if (!knowsAll(seat)) return false;
      waiting.delete(seat);
    }
    return true;
  };
  return poll(`${seats.length} seats to agree on ${wanted}`, nobodyWaits, deadlineMs);
}

/** Moves one at a time, each after the last was seen; the last state. */
export async function moves(fast: Seat, watching: Seat, times: number): Promise<number> {
  for (let n = 1; n <= times; n += 1) {
    fast.update(n, { n });
    await knows(watching, fast, n);
  }
  return times;
}

/** Waits until one knows the n-th state of another. */
export function knows(seat: Seat, of: Seat, n: number, deadlineMs?: number): Promise<unknown> {
  return poll(
    `${n} of ${of.clientId} at ${seat.clientId}`,
    async () => JSON.stringify(known(seat).get(of.clientId)) === `{"n":${n}}`,
    deadlineMs,
  );
}

/** These give a sign of life now and then, until disposed of. */
export function alive(seats: Seat[]): Disposable {
  const pinging = setInterval(() => {
    for (const seat of seats) if (!seat.end) seat.send("ping");
  }, 200);
  return { [Symbol.dispose]: () => clearInterval(pinging) };
}

/** Evicts an object, unless it sleeps: a crowd takes longer to agree, on a busy machine, than an idle object stays. */
export async function gone(cell: OwnCell, objectClass: ObjectClass, name: string): Promise<void> {
  await cell.evict(objectClass, name).catch((error: Error) => {
    if (!error.message.includes("not currently running")) throw error;
  });
}

/** The client ids of the whole snapshot, page by page. */
export async function everybody(caller: User, place: { id: string }): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Page<PeerView> = (await snapshot(caller, place, `limit=100${cursor && `&cursor=${cursor}`}`))
      .body;
    ids.push(...page.data.map((peer) => peer.client_id));
    cursor = page.next_cursor;
  }
  return ids.sort();
}
