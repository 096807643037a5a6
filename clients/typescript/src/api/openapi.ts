// Generated from openapi.json by `npm run client-types`: change the routes of the Worker instead.

export type DivergenceResolve =
  | {
      take: "mine" | "theirs";
      /**
       * The version of the entity that was seen: 409 if it is at another. Without it, the divergence's.
       */
      version?: number | null;
    }
  | {
      take: "value";
      /**
       * What shall stand.
       */
      value: {
        [k: string]: unknown;
      };
      /**
       * The version of the entity that was seen: 409 if it is at another. Without it, the divergence's.
       */
      version?: number | null;
    };
export type Messages = {
  headers: {
    [k: string]: unknown;
  };
  key: string;
  type: string;
}[];
/**
 * The text of OpenMetrics 1.0, for Prometheus and its kin.
 *
 * This interface was referenced by `Routes`'s JSON-Schema
 * via the `definition` "OpenMetrics".
 */
export type OpenMetrics = string;

export interface Routes {
  "GET /healthz": {
    answer: Health;
    body: null;
    query: {};
  };
  "GET /metrics": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /openapi.json": {
    answer: Any;
    body: null;
    query: {};
  };
  "GET /readyz": {
    answer: Readiness;
    body: null;
    query: {};
  };
  "POST /v1/invitations/accept": {
    answer: Org;
    body: InvitationAccept;
    query: {};
  };
  "GET /v1/me": {
    answer: Me;
    body: null;
    query: {};
  };
  "POST /v1/operator/cache/purge": {
    answer: CachePurged;
    body: CachePurge;
    query: {};
  };
  "DELETE /v1/operator/orgs/{org}/settings": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/operator/orgs/{org}/settings": {
    answer: Settings;
    body: null;
    query: {};
  };
  "PUT /v1/operator/orgs/{org}/settings": {
    answer: Settings;
    body: SettingsPut;
    query: {};
  };
  "GET /v1/operator/orgs/{org}/settings/history": {
    answer: {
      data: SettingsChange[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/operator/presence/drain": {
    answer: PresenceDrained;
    body: PresenceDrain;
    query: {};
  };
  "GET /v1/operator/presence/rooms": {
    answer: {
      data: PresenceRoom[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "DELETE /v1/operator/settings": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/operator/settings": {
    answer: Settings;
    body: null;
    query: {};
  };
  "PUT /v1/operator/settings": {
    answer: Settings;
    body: SettingsPut;
    query: {};
  };
  "GET /v1/operator/settings/history": {
    answer: {
      data: SettingsChange[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "GET /v1/operator/sync/partitions": {
    answer: SyncPartitions;
    body: null;
    query: {};
  };
  "GET /v1/orgs": {
    answer: {
      data: Org[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/orgs": {
    answer: Org;
    body: OrgCreate;
    query: {};
  };
  "DELETE /v1/orgs/{org}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/orgs/{org}": {
    answer: Org;
    body: null;
    query: {};
  };
  "PATCH /v1/orgs/{org}": {
    answer: Org;
    body: OrgUpdate;
    query: {};
  };
  "GET /v1/orgs/{org}/invitations": {
    answer: {
      data: Invitation[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/orgs/{org}/invitations": {
    answer: InvitationCreated;
    body: InvitationCreate;
    query: {};
  };
  "DELETE /v1/orgs/{org}/invitations/{invitation}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/orgs/{org}/invitations/{invitation}": {
    answer: Invitation;
    body: null;
    query: {};
  };
  "GET /v1/orgs/{org}/members": {
    answer: {
      data: OrgMember[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "DELETE /v1/orgs/{org}/members/{user}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/orgs/{org}/members/{user}": {
    answer: OrgMember;
    body: null;
    query: {};
  };
  "PUT /v1/orgs/{org}/members/{user}": {
    answer: OrgMember;
    body: OrgMemberPut;
    query: {};
  };
  "PUT /v1/orgs/{org}/plan": {
    answer: Org;
    body: OrgPlan;
    query: {};
  };
  "GET /v1/orgs/{org}/usage": {
    answer: Usage;
    body: null;
    query: {};
  };
  "GET /v1/orgs/{org}/workspaces": {
    answer: {
      data: Workspace[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/orgs/{org}/workspaces": {
    answer: Workspace;
    body: WorkspaceCreate;
    query: {};
  };
  "DELETE /v1/workspaces/{ws}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/workspaces/{ws}": {
    answer: Workspace;
    body: null;
    query: {};
  };
  "PATCH /v1/workspaces/{ws}": {
    answer: Workspace;
    body: WorkspaceUpdate;
    query: {};
  };
  "GET /v1/workspaces/{ws}/api-keys": {
    answer: {
      data: ApiKey[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/workspaces/{ws}/api-keys": {
    answer: ApiKeyCreated;
    body: ApiKeyCreate;
    query: {};
  };
  "DELETE /v1/workspaces/{ws}/api-keys/{key}": {
    answer: null;
    body: null;
    query: {};
  };
  "POST /v1/workspaces/{ws}/api-keys/{key}/rotate": {
    answer: ApiKeyCreated;
    body: ApiKeyRotate;
    query: {};
  };
  "GET /v1/workspaces/{ws}/audit": {
    answer: {
      data: AuditEvent[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "GET /v1/workspaces/{ws}/members": {
    answer: {
      data: WorkspaceMember[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "DELETE /v1/workspaces/{ws}/members/{user}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/workspaces/{ws}/members/{user}": {
    answer: WorkspaceMember;
    body: null;
    query: {};
  };
  "PUT /v1/workspaces/{ws}/members/{user}": {
    answer: WorkspaceMember;
    body: WorkspaceMemberPut;
    query: {};
  };
  "GET /v1/workspaces/{ws}/presence": {
    answer: {
      data: Person[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
      client_id?: string;
      view?: "people" | "clients";
      at?: string;
    };
  };
  "POST /v1/workspaces/{ws}/presence": {
    answer: PresenceBeaten;
    body: PresenceBeat;
    query: {
      client_id?: string;
    };
  };
  "POST /v1/workspaces/{ws}/presence/tickets": {
    answer: PresenceTicket;
    body: null;
    query: {
      client_id?: string;
    };
  };
  "GET /v1/workspaces/{ws}/projects": {
    answer: {
      data: Project[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/workspaces/{ws}/projects": {
    answer: Project;
    body: ProjectCreate;
    query: {};
  };
  "DELETE /v1/workspaces/{ws}/projects/{project}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/workspaces/{ws}/projects/{project}": {
    answer: Project;
    body: null;
    query: {};
  };
  "PATCH /v1/workspaces/{ws}/projects/{project}": {
    answer: Project;
    body: ProjectUpdate;
    query: {};
  };
  "GET /v1/workspaces/{ws}/sync/divergences": {
    answer: {
      data: Divergence[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
      scope_type?: "user" | "workspace" | "project" | "collection" | "environment";
      scope_id?: string;
    };
  };
  "GET /v1/workspaces/{ws}/sync/divergences/{divergence}": {
    answer: DivergenceWhole;
    body: null;
    query: {};
  };
  "POST /v1/workspaces/{ws}/sync/divergences/{divergence}/resolve": {
    answer: DivergenceResolved;
    body: DivergenceResolve;
    query: {};
  };
  "POST /v1/workspaces/{ws}/sync/push": {
    answer: PushResult;
    body: Push;
    query: {};
  };
  "GET /v1/workspaces/{ws}/sync/sessions": {
    answer: {
      data: SyncSession[];
      next_cursor: string | null;
    };
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "POST /v1/workspaces/{ws}/sync/sessions": {
    answer: SyncSessionOpened;
    body: SyncSessionOpen;
    query: {};
  };
  "DELETE /v1/workspaces/{ws}/sync/sessions/{session}": {
    answer: null;
    body: null;
    query: {};
  };
  "GET /v1/workspaces/{ws}/sync/sessions/{session}": {
    answer: SyncSessionOpened;
    body: null;
    query: {
      limit?: number;
      cursor?: string;
    };
  };
  "GET /v1/workspaces/{ws}/sync/{scope_type}/{scope_id}": {
    answer: Messages;
    body: null;
    query: {
      offset?: string;
      live?: "long-poll" | "sse";
      cursor?: string;
    };
  };
}
export interface Health {
  status: "ok";
}
export interface Any {
  [k: string]: unknown;
}
export interface Readiness {
  checks: string[];
  status: "ok";
}
export interface Org {
  created_at: string;
  id: string;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  plan: "free" | "team" | "business" | "enterprise";
  region: "wnam" | "enam" | "sam" | "weur" | "eeur" | "apac" | "oc" | "afr" | "me";
  role: "member" | "admin" | "owner";
  updated_at: string;
  version: number;
}
export interface InvitationAccept {
  token: string;
}
export interface Me {
  created_at: string;
  email: string | null;
  id: string;
  issuer: string;
  name: string | null;
  subject: string;
}
export interface CachePurged {
  /**
   * How often each tag has been raised.
   */
  versions: {
    [k: string]: number;
  };
}
export interface CachePurge {
  /**
   * @minItems 1
   * @maxItems 30
   *
   * Items: A tag of public answers, such as `drey` or `drey-openapi`.
   */
  tags: string[];
}
export interface Settings {
  /**
   * What was put; `{}` if nothing was.
   */
  document: {
    [k: string]: unknown;
  };
  /**
   * What holds: the environment, the deployment's settings, the organisation's.
   */
  effective: {
    [k: string]: unknown;
  };
  version: number;
}
export interface SettingsPut {
  /**
   * What `LIMITS` takes: numbers by tier, `plans` and `daily`. A burst follows its base unless it is given.
   */
  limits?: {
    [k: string]: unknown;
  };
  /**
   * Tier and cost of routes, by method and path: `{"POST /v1/orgs":{"tier":"strict","cost":3}}`. Of the deployment only.
   */
  routes?: {
    [k: string]: unknown;
  };
  /**
   * The policies that only count what they would refuse, such as `standard` or `strict-address`.
   */
  shadow?: string[];
  /**
   * `workspace_lease_ms`, `token_lease_ms`, `gate_refresh_ms`, `gate_stale_ms`; of the deployment also `jwks_ttl_ms`, `tag_refresh_ms`, `copy_ms`, `absent_ms`, `public_short_ms`, `public_medium_ms`, `public_long_ms`.
   */
  ttl?: {
    [k: string]: unknown;
  };
}
export interface SettingsChange {
  /**
   * The operator's address.
   */
  address: string;
  /**
   * The document after.
   */
  after: {
    [k: string]: unknown;
  };
  /**
   * The document before.
   */
  before: {
    [k: string]: unknown;
  } | null;
  created_at: string;
  operator: string;
  request_id: string;
  version: number;
}
export interface PresenceDrained {
  /**
   * How many were open.
   */
  sockets: number;
  /**
   * Rooms that did not answer.
   */
  unreachable: string[];
}
export interface PresenceDrain {
  /**
   * Nobody is told to come back earlier: how long a deploy takes.
   */
  after_ms?: number;
  /**
   * @minItems 1
   * @maxItems 100
   */
  workspaces: string[];
}
export interface PresenceRoom {
  sockets: number;
  workspace_id: string;
}
export interface SyncPartitions {
  /**
   * @minItems 32
   * @maxItems 32
   */
  data: {
    analyzed_at: string | null;
    /**
     * About how many rows are gone and still take room.
     */
    dead_rows: number;
    index_bytes: number;
    partition: number;
    /**
     * An estimate.
     */
    rows: number;
    table: "sync_change" | "sync_state";
    table_bytes: number;
    vacuumed_at: string | null;
  }[];
}
export interface OrgCreate {
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  region?: "wnam" | "enam" | "sam" | "weur" | "eeur" | "apac" | "oc" | "afr" | "me";
}
export interface OrgUpdate {
  name?: string | null;
}
export interface Invitation {
  created_at: string;
  email: string;
  expires_at: string;
  id: string;
  org_id: string;
  role: "member" | "admin" | "owner";
  state: "pending" | "accepted" | "expired";
  version: number;
  workspace_id: string | null;
  workspace_role: "viewer" | "editor" | "admin" | null;
}
export interface InvitationCreated {
  created_at: string;
  email: string;
  expires_at: string;
  id: string;
  org_id: string;
  role: "member" | "admin" | "owner";
  state: "pending" | "accepted" | "expired";
  /**
   * Shown once.
   */
  token: string;
  version: number;
  workspace_id: string | null;
  workspace_role: "viewer" | "editor" | "admin" | null;
}
export interface InvitationCreate {
  email: string;
  expires_in_hours?: number | null;
  role: "member" | "admin" | "owner";
  workspace_id?: string | null;
  workspace_role?: ("viewer" | "editor" | "admin") | null;
}
export interface OrgMember {
  created_at: string;
  email: string | null;
  name: string | null;
  role: "member" | "admin" | "owner";
  user_id: string;
  version: number;
}
export interface OrgMemberPut {
  role: "member" | "admin" | "owner";
}
export interface OrgPlan {
  plan: "free" | "team" | "business" | "enterprise";
}
export interface Usage {
  /**
   * The last 30 UTC days, newest first, today among them.
   *
   * @maxItems 30
   */
  days: {
    day: string;
    used: number;
  }[];
  today: {
    day: string;
    /**
     * Calls that the plan includes each UTC day.
     */
    limit: number;
    remaining: number;
    resets_at: string;
    /**
     * Calls counted, those that are reserved and not yet made among them.
     */
    used: number;
  };
}
export interface Workspace {
  created_at: string;
  id: string;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  org_id: string;
  role: "viewer" | "editor" | "admin";
  slug: string;
  updated_at: string;
  version: number;
}
export interface WorkspaceCreate {
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  slug?: string | null;
}
export interface WorkspaceUpdate {
  name?: string | null;
  slug?: string | null;
}
export interface ApiKey {
  /**
   * @maxItems 20
   *
   * Items: An address or a range, such as `192.0.2.0/24`.
   */
  allowed_addresses: string[];
  created_at: string;
  created_by: string;
  expires_at: string | null;
  id: string;
  last_used_at: string | null;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  project_id: string | null;
  /**
   * @minItems 1
   */
  scopes: ("read" | "write" | "sync" | "presence" | "admin")[];
  workspace_id: string;
}
export interface ApiKeyCreated {
  /**
   * @maxItems 20
   *
   * Items: An address or a range, such as `192.0.2.0/24`.
   */
  allowed_addresses: string[];
  created_at: string;
  created_by: string;
  expires_at: string | null;
  id: string;
  /**
   * Shown once.
   */
  key: string;
  last_used_at: string | null;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  project_id: string | null;
  /**
   * @minItems 1
   */
  scopes: ("read" | "write" | "sync" | "presence" | "admin")[];
  workspace_id: string;
}
export interface ApiKeyCreate {
  /**
   * @maxItems 20
   *
   * Items: An address or a range, such as `192.0.2.0/24`.
   */
  allowed_addresses?: string[];
  expires_at?: string | null;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  project_id?: string | null;
  /**
   * @minItems 1
   */
  scopes: ("read" | "write" | "sync" | "presence" | "admin")[];
}
export interface ApiKeyRotate {
  expires_at?: string | null;
  overlap_seconds: number;
}
export interface AuditEvent {
  action: string;
  actor_id: string | null;
  created_at: string;
  detail: {
    [k: string]: unknown;
  };
  id: string;
  org_id: string;
  request_id: string;
  target: {
    id: string;
    type: string;
  };
  workspace_id: string | null;
}
export interface WorkspaceMember {
  created_at: string;
  email: string | null;
  name: string | null;
  role: "viewer" | "editor" | "admin";
  user_id: string;
  version: number;
}
export interface WorkspaceMemberPut {
  role: "viewer" | "editor" | "admin";
}
export interface Person {
  /**
   * What the client looks at, such as `request/r1`.
   */
  at: string[];
  /**
   * Tabs, devices, programs.
   */
  clients: number;
  name: string | null;
  seen_at: string;
  state: {
    [k: string]: unknown;
  };
  user_id: string;
}
export interface PresenceBeaten {
  client_id: string;
  expires_in_ms: number;
}
export interface PresenceBeat {
  /**
   * What the client looks at, such as `request/r1`.
   *
   * @maxItems 4
   */
  at?: string[];
  clock: number;
  state: {
    [k: string]: unknown;
  } | null;
}
export interface PresenceTicket {
  client_id: string;
  expires_in_ms: number;
  /**
   * For `new WebSocket`.
   */
  protocols: string[];
  /**
   * Good once.
   */
  ticket: string;
}
export interface Project {
  created_at: string;
  description: string;
  id: string;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  slug: string;
  updated_at: string;
  version: number;
  workspace_id: string;
}
export interface ProjectCreate {
  description?: string;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  name: string;
  slug?: string | null;
}
export interface ProjectUpdate {
  description?: string | null;
  name?: string | null;
  slug?: string | null;
}
export interface Divergence {
  base_version: number | null;
  created_at: string;
  entity: {
    id: string;
    type: string;
  };
  /**
   * When it is forgotten, resolved or not.
   */
  expires_at: string;
  id: string;
  mine: {
    client_id: string | null;
    clock: {
      [k: string]: number;
    };
    deleted: boolean;
    mutation_id: number | null;
    user_id: string | null;
  };
  resolution: {
    resolved_at: string;
    resolved_by: string;
    take: "mine" | "theirs" | "value";
    version: number;
  } | null;
  scope: {
    id: string;
    type: string;
  };
  theirs: {
    client_id: string | null;
    clock: {
      [k: string]: number;
    };
    deleted: boolean;
    mutation_id: number | null;
    user_id: string | null;
  };
  /**
   * Of what stood when they met; 0: nothing.
   */
  version: number;
  workspace_id: string;
}
export interface DivergenceWhole {
  /**
   * What `mine` was made from; null if it was deleted or is in the log no more.
   */
  base: {
    [k: string]: unknown;
  } | null;
  base_version: number | null;
  created_at: string;
  entity: {
    id: string;
    type: string;
  };
  /**
   * When it is forgotten, resolved or not.
   */
  expires_at: string;
  id: string;
  mine: {
    client_id: string | null;
    clock: {
      [k: string]: number;
    };
    deleted: boolean;
    mutation_id: number | null;
    user_id: string | null;
    value: {
      [k: string]: unknown;
    } | null;
  };
  resolution: {
    resolved_at: string;
    resolved_by: string;
    take: "mine" | "theirs" | "value";
    version: number;
  } | null;
  scope: {
    id: string;
    type: string;
  };
  theirs: {
    client_id: string | null;
    clock: {
      [k: string]: number;
    };
    deleted: boolean;
    mutation_id: number | null;
    user_id: string | null;
    value: {
      [k: string]: unknown;
    } | null;
  };
  /**
   * Of what stood when they met; 0: nothing.
   */
  version: number;
  workspace_id: string;
}
export interface DivergenceResolved {
  entity: {
    id: string;
    type: string;
  };
  id: string;
  resolution: {
    resolved_at: string;
    resolved_by: string;
    take: "mine" | "theirs" | "value";
    version: number;
  };
  scope: {
    id: string;
    type: string;
  };
}
export interface PushResult {
  last_mutation_id: number;
  results: {
    code?: string;
    /**
     * Whether the true state is that it is deleted.
     */
    deleted?: boolean;
    detail?: string;
    divergence_id?: string;
    /**
     * Of the scope, at that version.
     */
    epoch?: number;
    id: number;
    /**
     * Of a duplicate: its outcome; null once it was acknowledged.
     */
    original?: {
      [k: string]: unknown;
    } | null;
    outcome: "applied" | "merged" | "diverged" | "duplicate" | "rejected" | "retry";
    /**
     * Of `merged` and `diverged`: the true state.
     */
    value?: {
      [k: string]: unknown;
    } | null;
    /**
     * Of the entity, after it.
     */
    version?: number;
  }[];
  scopes: {
    epoch: number;
    generation: number;
    id: string;
    type: string;
  }[];
}
export interface Push {
  acked_mutation_id?: number | null;
  client_id: string;
  /**
   * @maxItems 500
   */
  mutations: {
    base_version?: number | null;
    clock?: {
      [k: string]: number;
    };
    entity: {
      id: string;
      type: string;
    };
    id: number;
    op: "upsert" | "delete";
    scope: {
      id: string;
      type: string;
    };
    value?: {
      [k: string]: unknown;
    };
  }[];
  session_id?: string | null;
}
export interface SyncSession {
  acked_mutation_id: number;
  /**
   * Epochs written after the offsets it named when it began; null if it named none.
   */
  behind: number | null;
  capabilities: string[];
  client_id: string;
  client_name: string;
  created_at: string;
  expires_at: string;
  id: string;
  last_mutation_id: number;
  open_divergences: number;
  seen_at: string;
  user_id: string;
}
export interface SyncSessionOpened {
  acked_mutation_id: number;
  /**
   * Epochs written after the offsets it named when it began; null if it named none.
   */
  behind: number | null;
  capabilities: string[];
  client_id: string;
  client_name: string;
  created_at: string;
  expires_at: string;
  id: string;
  last_mutation_id: number;
  limits: {
    chunk_bytes: number;
    mutations_per_push: number;
    push_bytes: number;
    value_bytes: number;
  };
  /**
   * For `cursor` of the session's own address: more scopes.
   */
  next_cursor: string | null;
  open_divergences: number;
  scopes: {
    epoch: number;
    generation: number;
    id: string;
    type: string;
  }[];
  seen_at: string;
  user_id: string;
}
export interface SyncSessionOpen {
  /**
   * @maxItems 32
   */
  capabilities?: string[];
  client_id: string;
  /**
   * Trimmed; 1 to 100 characters, no control characters.
   */
  client_name: string;
  /**
   * Where the client stands in each stream.
   *
   * @maxItems 500
   */
  scopes?: (
    | {
        id: string;
        offset: string;
        type: "collection" | "environment";
      }
    | {
        id: string;
        offset: string;
        type: "project";
      }
    | {
        id: string;
        offset: string;
        type: "user";
      }
    | {
        id: string;
        offset: string;
        type: "workspace";
      }
  )[];
}
export interface Peer {
  /**
   * What the client looks at, such as `request/r1`.
   *
   * @maxItems 4
   */
  at: string[];
  client_id: string;
  clock: number;
  name: string | null;
  seen_at: string;
  state: {
    [k: string]: unknown;
  };
  user_id: string;
}
export interface Problem {
  code: string;
  detail: string;
  errors?: {
    detail: string;
    pointer: string;
  }[];
  expected_id?: number;
  request_id: string;
  /**
   * Seconds.
   */
  retry_after?: number;
  snapshot?: string;
  status: number;
  title: string;
  type: string;
  "violated-policies"?: string[];
}
/**
 * One event of the stream.
 *
 * This interface was referenced by `Routes`'s JSON-Schema
 * via the `definition` "ServerSentEvent".
 */
export interface ServerSentEvent {
  data: string;
  event?: string;
  /**
   * Sent back as `Last-Event-ID`, it goes on after this event.
   */
  id?: string;
}
