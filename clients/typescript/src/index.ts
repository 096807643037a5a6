/**
 * drey-client: the way in.
 */
export type {
  Choice,
  Divergence,
  DivergenceWhole,
  Entity,
  Message,
  Outcome,
  Problem,
  Routes,
  Scope,
  ScopeType,
  Value,
} from "./api/types.ts";
export { Client } from "./client.ts";
export type { Divergences, Resolution } from "./divergences.ts";
export type { View } from "./documents.ts";
export { ApiError, DreyError, NetworkError } from "./http/errors.ts";
export type { ClientEvents, Options, Told } from "./options.ts";
export type { Live } from "./pull/follow.ts";
export type { Draft } from "./queue/enqueue.ts";
export type { Followed, ScopeHandle, Written } from "./scope.ts";
export type { Status, SyncState } from "./state.ts";
export { indexedDbStore } from "./store/indexeddb.ts";
export { memoryStore } from "./store/memory.ts";
export type { Store, Transaction } from "./store/store.ts";
export type { Tabs } from "./tabs.ts";
export type { Timer } from "./timer.ts";
