/**
 * The shapes that drey's API answers with, as a client sees them.
 *
 * In scope: types only. Out of scope: how a test obtains one (actors.ts).
 */

/** A list of anything: newest first, with the cursor of the next page. */
export interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

/** RFC 9457 with drey's members. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
  errors?: { pointer: string; detail: string }[];
  retry_after?: number;
  expected_id?: number;
}

export interface Me {
  id: string;
  issuer: string;
  subject: string;
  email: string | null;
  name: string | null;
  created_at: string;
}

export type OrgRole = "owner" | "admin" | "member";
export type WorkspaceRole = "admin" | "editor" | "viewer";

export interface Org {
  id: string;
  name: string;
  plan: string;
  region: string;
  role: OrgRole;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface OrgMember {
  user_id: string;
  email: string | null;
  name: string | null;
  role: OrgRole;
  version: number;
  created_at: string;
}

export interface Invitation {
  id: string;
  org_id: string;
  email: string;
  role: OrgRole;
  workspace_id: string | null;
  workspace_role: WorkspaceRole | null;
  state: "pending" | "accepted" | "expired";
  version: number;
  expires_at: string;
  created_at: string;
  /** Only in the 201 of the create. */
  token?: string;
}

export type Scope = "read" | "write" | "sync" | "presence" | "admin";

export interface ApiKey {
  id: string;
  workspace_id: string;
  name: string;
  scopes: Scope[];
  project_id: string | null;
  allowed_addresses: string[];
  created_by: string;
  expires_at: string | null;
  last_used_at: string | null;
  created_at: string;
}

/** The answer of a create or a rotation: the only place where the key itself stands. */
export interface NewApiKey extends ApiKey {
  key: string;
}

export interface Workspace {
  id: string;
  org_id: string;
  name: string;
  slug: string;
  role: WorkspaceRole;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface WorkspaceMember {
  user_id: string;
  email: string | null;
  name: string | null;
  role: WorkspaceRole;
  version: number;
  created_at: string;
}

export interface Project {
  id: string;
  workspace_id: string;
  name: string;
  slug: string;
  description: string;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface AuditEvent {
  id: string;
  org_id: string;
  workspace_id: string | null;
  actor_id: string | null;
  action: string;
  target: { type: string; id: string };
  detail: Record<string, unknown>;
  request_id: string;
  created_at: string;
}

/** One State message of the sync stream. */
export interface StateMessage {
  type: string;
  key: string;
  value?: unknown;
  headers: {
    operation: "insert" | "update" | "delete";
    txid: string;
    timestamp: string;
    client_id: string;
    mutation_id: number;
    version: number;
  };
}

export interface Outcome {
  outcome: "applied" | "merged" | "diverged" | "duplicate" | "rejected" | "retry";
  version?: number;
  epoch?: number;
  code?: string;
  detail?: string;
  /** The true state, where it is not what was sent. */
  value?: unknown;
  deleted?: boolean;
  divergence_id?: string;
}

export interface PushResult {
  results: (Outcome & { id: number; original?: Outcome | null })[];
  last_mutation_id: number;
  scopes: ScopeEpoch[];
}

export interface ScopeEpoch {
  type: string;
  id: string;
  generation: number;
  epoch: number;
}

/** One of the two writes of a divergence; the value only where one is read alone. */
export interface Side {
  user_id: string | null;
  client_id: string | null;
  mutation_id: number | null;
  clock: Record<string, number>;
  deleted: boolean;
  value?: unknown;
}

export interface Resolution {
  take: "mine" | "theirs" | "value";
  resolved_by: string;
  resolved_at: string;
  version: number;
}

export interface Divergence {
  id: string;
  workspace_id: string;
  scope: { type: string; id: string };
  entity: { type: string; id: string };
  base_version: number | null;
  base?: unknown;
  mine: Side;
  theirs: Side;
  version: number;
  created_at: string;
  expires_at: string;
  resolution: Resolution | null;
}

export interface DivergenceResolved {
  id: string;
  scope: { type: string; id: string };
  entity: { type: string; id: string };
  resolution: Resolution;
}

export interface SyncSession {
  id: string;
  client_id: string;
  user_id: string;
  client_name: string;
  capabilities: string[];
  last_mutation_id: number;
  acked_mutation_id: number;
  open_divergences: number;
  behind: number | null;
  seen_at: string;
  expires_at: string;
  created_at: string;
}

/** A session with the streams of the server. */
export interface SyncSessionOpened extends SyncSession {
  limits: { mutations_per_push: number; push_bytes: number; value_bytes: number; chunk_bytes: number };
  scopes: ScopeEpoch[];
  next_cursor: string | null;
}
