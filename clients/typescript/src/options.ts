/**
 * What a client is made of, and what it tells.
 */
import type { Entity, Outcome, Scope, Value } from "./api/types.ts";
import type { ApiError, DreyError } from "./http/errors.ts";
import type { Tenant } from "./http/http.ts";
import type { Live } from "./pull/follow.ts";
import type { SyncState } from "./state.ts";
import type { Store } from "./store/store.ts";
import type { Tabs } from "./tabs.ts";
import type { Timer } from "./timer.ts";

export interface Options extends Tenant {
  /** A signed token or an API key; `setToken` gives the next one. */
  token: string;
  /** One store per user and workspace: a queue belongs to whoever wrote it. */
  store: Store;
  /** How this client is called where an admin sees it, such as "Editor on Ada's laptop". */
  clientName: string;
  capabilities?: string[];
  fetch?: typeof fetch;
  timer?: Timer;
  tabs?: Tabs;
  /** How long a request may take; 30 s. */
  deadlineMs?: number;
  /** How followed scopes wait for more; `long-poll`. Where streams of events do not come through it is that anyway. */
  live?: Live;
  /** How often to look for more where the server does not let readers wait; 5 s. */
  pollMs?: number;
}

/** A mutation of this client, as its listeners see it. */
export interface Told {
  ref: string;
  scope: Scope;
  entity: Entity;
  /** What was written; null: deleted. */
  value: Value | null;
  outcome: Outcome;
}

/** What a client tells, by `client.on`. */
export interface ClientEvents {
  /** What became of a mutation, of this run or an earlier one. May come twice after a crash, never not. */
  outcome: Told;
  /** A mutation can never be applied. It is out of the queue; what follows it goes on. */
  rejected: Told;
  /** A mutation met another write: both are kept under `outcome.divergence_id` until somebody chooses. */
  divergence: Told;
  /** Somebody has chosen: the divergence and what stands are in the scope's log. */
  resolved: { scope: Scope; entity: Entity; divergence_id: string };
  /** Documents changed, here or elsewhere. */
  change: { scope: Scope; entities: Entity[] };
  state: SyncState;
  /** The token is not accepted any more. Nothing is sent and nothing lost until `setToken`. */
  credential: ApiError;
  /** Nothing is sent until somebody helps and calls `resume`: a role is missing, say, or the disk is full. */
  paused: DreyError;
  /** A followed scope cannot be read any more. */
  unreadable: { scope: Scope; problem: unknown };
  /** What a listener threw. */
  error: unknown;
}
