/**
 * What goes over the wire, by the names that the rest of the client uses. The shapes are generated (`openapi.ts`), except for
 * the messages of a stream, which the document leaves open.
 */
import type { DivergenceResolve, Push, PushResult } from "./openapi.ts";

export type {
  Divergence,
  DivergenceResolve,
  DivergenceResolved,
  DivergenceWhole,
  Problem,
  PushResult,
  Routes,
  SyncSessionOpen,
  SyncSessionOpened,
} from "./openapi.ts";

export type ScopeType = "user" | "workspace" | "project" | "collection" | "environment";

/** A stream of documents; `collection` and `environment` have an id of the client's choice. */
export interface Scope {
  type: ScopeType;
  id: string;
}

/** A document's place in its scope: a type such as `request`, and an id of 1 to 64 of `A-Z a-z 0-9 _ -`. */
export interface Entity {
  type: string;
  id: string;
}

/** A document. It is sent as `JSON.stringify` writes it. */
export type Value = Record<string, unknown>;

/** A mutation as a push carries it. */
export type SentMutation = Push["mutations"][number];

/** What a push answers for one mutation. */
export type Result = PushResult["results"][number];

export type Choice = DivergenceResolve;

/** What became of a mutation, in the end. */
export interface Outcome {
  /** `duplicate`: it was processed, but the server remembers no more what became of it. */
  outcome: "applied" | "merged" | "diverged" | "rejected" | "duplicate";
  /** Of the document, after it. */
  version?: number;
  /** Of `merged` and `diverged`: what stands; null if it is deleted, absent if the server does not tell it any more. */
  value?: Value | null;
  /** Of `diverged`: where both sides are kept. */
  divergence_id?: string;
  /** Of `rejected`: a stable name and a sentence. */
  code?: string;
  detail?: string;
}

/** One change in the log of a scope. */
export interface Message {
  type: string;
  /** `type/id` of the entity. */
  key: string;
  value?: Value | null;
  headers: {
    operation: "insert" | "update" | "delete";
    txid?: string;
    timestamp?: string;
    client_id: string;
    mutation_id: number;
    version: number;
  };
}
