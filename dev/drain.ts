/**
 * Sends everybody in every room away for a moment, each for another time: the platform ends the sockets of a deploy all at
 * once and without a word. Rooms that are not heard from in the metrics yet are not known here: whoever sits there, and who
 * comes meanwhile, comes back by his own back-off.
 */

/** Rooms of one call: what the route takes. */
const AT_A_TIME = 100;

/** How long a deploy takes, upload included. */
export const DEPLOY_MS = 15_000;

export interface Drained {
  rooms: number;
  sockets: number;
  /** Workspaces whose room did not answer. */
  unreachable: string[];
}

interface Rooms {
  data: { workspace_id: string }[];
  next_cursor: string | null;
}

/** Drains the rooms of the deployment at `api`; nobody is told to come back before `afterMs`. */
export async function drain(api: string, operatorToken: string, afterMs = DEPLOY_MS): Promise<Drained> {
  const drained: Drained = { rooms: 0, sockets: 0, unreachable: [] };
  const workspaces = await occupied(api, operatorToken);
  for (let at = 0; at < workspaces.length; at += AT_A_TIME) {
    const some = workspaces.slice(at, at + AT_A_TIME);
    const body = JSON.stringify({ workspaces: some, after_ms: afterMs });
    const url = `${api}/v1/operator/presence/drain`;
    const answer = (await ask(url, operatorToken, { method: "POST", body })) as Omit<Drained, "rooms">;
    drained.rooms += some.length;
    drained.sockets += answer.sockets;
    drained.unreachable.push(...answer.unreachable);
  }
  return drained;
}

/** Every workspace whose room has sockets, before the first of them is drained. */
async function occupied(api: string, operatorToken: string): Promise<string[]> {
  const workspaces: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const query = `limit=${AT_A_TIME}${cursor && `&cursor=${cursor}`}`;
    const page = (await ask(`${api}/v1/operator/presence/rooms?${query}`, operatorToken)) as Rooms;
    workspaces.push(...page.data.map((room) => room.workspace_id));
    cursor = page.next_cursor;
  }
  return workspaces;
}

async function ask(url: string, operatorToken: string, init: RequestInit = {}): Promise<unknown> {
  const headers = { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" };
  const answer = await fetch(url, { ...init, headers });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
