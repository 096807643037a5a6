//! THE TABLE: every route with its method, path, handler and policy. It is router, guard, documentation and the source
//! of `openapi.json`; nothing about a route is decided anywhere else.

mod api_keys;
mod audit;
mod drain;
mod health;
mod invitations;
mod me;
mod members;
mod metrics;
mod openapi;
mod org_members;
mod orgs;
mod presence;
mod projects;
mod purge;
mod settings;
mod sync;
pub mod tickets;
mod usage;
mod workspaces;

use drey_core::api_key::Scope;
use drey_core::cache::CacheProfile::{self, Immutable, NoStore, Tenant};
use drey_core::limit::Tier::{self, Anonymous, Relaxed, Standard, Strict, Tickets};
use drey_core::role::OrgRole::{Admin as OrgAdmin, Member, Owner};
use drey_core::role::WorkspaceRole::{Admin, Editor, Viewer};
use drey_core::role::{OrgRole, WorkspaceRole};
use futures::future::LocalBoxFuture;

use crate::answer::Answer;
use crate::call::Call;
use crate::problem::Outcome;

pub mod schema;
pub mod written;

/// Who may call; what the row proves is what the handler can ask of its [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody; no credential is read.
    Public,
    /// Who runs this deployment, by the secret `OPERATOR_TOKEN`.
    Operator,
    /// Anybody with a valid credential.
    User,
    /// A member of the organisation `{org}` with at least this role.
    Org(OrgRole),
    /// A member of the workspace `{ws}` with at least this role.
    Workspace(WorkspaceRole),
}

/// Which API keys may call. A key acts as its creator, so [`Who`] is asked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByKey {
    /// None: the row takes a person, or nobody at all.
    Never,
    /// Keys of the whole workspace with this scope.
    Workspace(Scope),
    /// Keys with this scope, those restricted to a project too: SQL shows them nothing of any other.
    Project(Scope),
}

/// What the request's body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None is read.
    None,
    /// A JSON document of at most this many bytes, with the schema of this name.
    Json(&'static str, u32),
}

/// Whether requests are counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Neither limited nor logged: a load balancer's probe.
    Free,
    /// Charged `cost` to the buckets of a tier.
    Tier(Tier, u32),
}

/// The rules of a row. There is no default: a row without a complete policy does not compile.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Role or scope needed.
    pub who: Who,
    /// The scope a key needs.
    pub by_key: ByKey,
    /// Rate-limit tier and cost.
    pub limit: Limit,
    /// The cache profile of every successful answer.
    pub cache: CacheProfile,
    /// Whether `Idempotency-Key` is honoured.
    pub idempotent: bool,
    /// The body that is read.
    pub body: Body,
    /// Whether a WebSocket upgrade may bring a one-time ticket instead of a credential.
    pub ticket: bool,
}

/// A handler: four moves (extract, decide, effect, respond).
pub type Handler = for<'a> fn(&'a Call<'a>) -> LocalBoxFuture<'a, Outcome<Answer>>;

/// What a successful call answers, for the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Gives {
    /// The status of success.
    pub status: u16,
    /// The schema of the body, `[]` before the name for a page of them, empty for none.
    pub schema: &'static str,
}

/// One row.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path with its parameters in braces.
    pub path: &'static str,
    /// The imperative sentence of the documentation.
    pub summary: &'static str,
    /// The code.
    pub handler: Handler,
    /// The answer of success.
    pub gives: Gives,
    /// The rules.
    pub policy: Policy,
}

/// The largest body of an ordinary request.
pub const BODY_BYTES: u32 = 64 * 1024;
/// The largest body of a push: 1 MiB, the limit that every body has (design §4).
const PUSH_BYTES: u32 = 1024 * 1024;
/// The largest body of a resolution: one value of 256 KiB and what stands around it.
const RESOLVE_BYTES: u32 = (256 + 4) * 1024;

/// What the rows of a workspace take by default, by their role and whether they change something. Organisations and people
/// are no business of a key: it belongs to one workspace.
const fn by_key(who: Who, changes: bool) -> ByKey {
    match who {
        Who::Public | Who::Operator | Who::User | Who::Org(_) => ByKey::Never,
        Who::Workspace(Admin) => ByKey::Workspace(Scope::Admin),
        Who::Workspace(_) if changes => ByKey::Workspace(Scope::Write),
        Who::Workspace(_) => ByKey::Workspace(Scope::Read),
    }
}

const fn reads(who: Who, cache: CacheProfile) -> Policy {
    let limit = Limit::Tier(Relaxed, 1);
    Policy { who, by_key: by_key(who, false), limit, cache, idempotent: false, body: Body::None, ticket: false }
}

const fn creates(who: Who, tier: Tier, body: &'static str) -> Policy {
    Policy { idempotent: true, ..changes(who, tier, body) }
}

const fn changes(who: Who, tier: Tier, body: &'static str) -> Policy {
    Policy { body: Body::Json(body, BODY_BYTES), ..deletes(who, tier) }
}

const fn deletes(who: Who, tier: Tier) -> Policy {
    let limit = Limit::Tier(tier, 1);
    Policy { who, by_key: by_key(who, true), limit, cache: NoStore, idempotent: false, body: Body::None, ticket: false }
}

const fn probes(limit: Limit) -> Policy {
    Policy {
        who: Who::Public,
        by_key: ByKey::Never,
        limit,
        cache: NoStore,
        idempotent: false,
        body: Body::None,
        ticket: false,
    }
}

/// The same for other keys than the row's role would suggest.
const fn keyed(by_key: ByKey, policy: Policy) -> Policy {
    Policy { by_key, ..policy }
}

const fn gives(status: u16, schema: &'static str) -> Gives {
    Gives { status, schema }
}

macro_rules! route {
    ($method:literal $path:literal, $summary:literal, $handler:path => $status:literal $schema:literal, $policy:expr) => {
        Route {
            method: $method,
            path: $path,
            summary: $summary,
            handler: |call| Box::pin($handler(call)),
            gives: gives($status, $schema),
            policy: $policy,
        }
    };
}

/// Every route of drey.
#[rustfmt::skip]
pub static TABLE: &[Route] = &[
    // Read by load balancers, operators and client generators.
    route!("GET" "/healthz", "Tell that the Worker runs.", health::alive => 200 "Health", probes(Limit::Free)),
    route!("GET" "/readyz", "Tell whether the database is reachable, migrated and indexed.", health::ready => 200 "Readiness", probes(Limit::Tier(Anonymous, 1))),
    route!("GET" "/openapi.json", "Describe this API.", openapi::document => 200 "Any", Policy { cache: CacheProfile::PublicShort, ..probes(Limit::Tier(Anonymous, 1)) }),

    // Used by the operator.
    route!("GET" "/metrics", "Tell how this deployment is doing, as OpenMetrics.", metrics::text => 200 "OpenMetrics", reads(Who::Operator, NoStore)),
    route!("POST" "/v1/operator/cache/purge", "End our own copies of public answers, by tag.", purge::purge => 200 "CachePurged", changes(Who::Operator, Standard, "CachePurge")),
    route!("GET" "/v1/operator/sync/partitions", "Tell how large the partitions of the log and of the state are.", sync::partitions::list => 200 "SyncPartitions", reads(Who::Operator, NoStore)),
    route!("GET" "/v1/operator/presence/rooms", "List the workspaces whose rooms have sockets.", drain::rooms => 200 "[]PresenceRoom", reads(Who::Operator, NoStore)),
    route!("POST" "/v1/operator/presence/drain", "Close the sockets of rooms for a moment: their clients come back.", drain::drain => 200 "PresenceDrained", changes(Who::Operator, Standard, "PresenceDrain")),

    route!("GET" "/v1/operator/settings", "Read the settings of the deployment.", settings::get => 200 "Settings", reads(Who::Operator, NoStore)),
    route!("PUT" "/v1/operator/settings", "Change the settings of the deployment, within 5 s and without a deploy.", settings::put => 200 "Settings", changes(Who::Operator, Standard, "SettingsPut")),
    route!("DELETE" "/v1/operator/settings", "Go back to the settings of the environment.", settings::remove => 204 "", deletes(Who::Operator, Standard)),
    route!("GET" "/v1/operator/settings/history", "List every change of the settings of the deployment.", settings::history => 200 "[]SettingsChange", reads(Who::Operator, NoStore)),
    route!("GET" "/v1/operator/orgs/{org}/settings", "Read the settings of an organisation.", settings::get => 200 "Settings", reads(Who::Operator, NoStore)),
    route!("PUT" "/v1/operator/orgs/{org}/settings", "Change the settings of an organisation.", settings::put => 200 "Settings", changes(Who::Operator, Standard, "SettingsPut")),
    route!("DELETE" "/v1/operator/orgs/{org}/settings", "Go back to the settings of the deployment.", settings::remove => 204 "", deletes(Who::Operator, Standard)),
    route!("GET" "/v1/operator/orgs/{org}/settings/history", "List every change of an organisation's settings.", settings::history => 200 "[]SettingsChange", reads(Who::Operator, NoStore)),

    // Read by a signed-in person, before any tenant is chosen.
    route!("GET" "/v1/me", "Tell who is calling.", me::get => 200 "Me", reads(Who::User, Tenant)),
    route!("POST" "/v1/orgs", "Create an organisation and become its owner.", orgs::create => 201 "Org", creates(Who::User, Standard, "OrgCreate")),
    route!("GET" "/v1/orgs", "List the organisations of the caller.", orgs::list => 200 "[]Org", reads(Who::User, Tenant)),
    route!("POST" "/v1/invitations/accept", "Accept an invitation to an organisation.", invitations::accept => 200 "Org", creates(Who::User, Strict, "InvitationAccept")),

    // Used by the people of an organisation.
    route!("GET" "/v1/orgs/{org}", "Read an organisation.", orgs::get => 200 "Org", reads(Who::Org(Member), Tenant)),
    route!("PATCH" "/v1/orgs/{org}", "Rename an organisation.", orgs::update => 200 "Org", changes(Who::Org(OrgAdmin), Standard, "OrgUpdate")),
    route!("GET" "/v1/orgs/{org}/usage", "Read what the organisation has used of its days.", usage::get => 200 "Usage", reads(Who::Org(Member), Tenant)),
    route!("DELETE" "/v1/orgs/{org}", "Delete an organisation with everything in it.", orgs::delete => 204 "", deletes(Who::Org(Owner), Standard)),
    route!("PUT" "/v1/orgs/{org}/plan", "Set the plan of a self-hosted organisation.", orgs::set_plan => 200 "Org", changes(Who::Org(Owner), Strict, "OrgPlan")),
    route!("GET" "/v1/orgs/{org}/members", "List the members of an organisation.", org_members::list => 200 "[]OrgMember", reads(Who::Org(Member), Tenant)),
    route!("GET" "/v1/orgs/{org}/members/{user}", "Read a member of an organisation.", org_members::get => 200 "OrgMember", reads(Who::Org(Member), Tenant)),
    route!("PUT" "/v1/orgs/{org}/members/{user}", "Change the role of a member.", org_members::put => 200 "OrgMember", changes(Who::Org(OrgAdmin), Standard, "OrgMemberPut")),
    route!("DELETE" "/v1/orgs/{org}/members/{user}", "Remove a member, or leave.", org_members::remove => 204 "", deletes(Who::Org(Member), Standard)),
    route!("POST" "/v1/orgs/{org}/invitations", "Invite a person by e-mail address.", invitations::create => 201 "InvitationCreated", creates(Who::Org(OrgAdmin), Strict, "InvitationCreate")),
    route!("GET" "/v1/orgs/{org}/invitations", "List invitations.", invitations::list => 200 "[]Invitation", reads(Who::Org(OrgAdmin), Tenant)),
    route!("GET" "/v1/orgs/{org}/invitations/{invitation}", "Read an invitation.", invitations::get => 200 "Invitation", reads(Who::Org(OrgAdmin), Tenant)),
    route!("DELETE" "/v1/orgs/{org}/invitations/{invitation}", "Revoke an invitation.", invitations::revoke => 204 "", deletes(Who::Org(OrgAdmin), Strict)),
    route!("POST" "/v1/orgs/{org}/workspaces", "Create a workspace and become its admin.", workspaces::create => 201 "Workspace", creates(Who::Org(Member), Standard, "WorkspaceCreate")),
    route!("GET" "/v1/orgs/{org}/workspaces", "List the workspaces the caller can enter.", workspaces::list => 200 "[]Workspace", reads(Who::Org(Member), Tenant)),

    // Used by the people of a workspace.
    route!("GET" "/v1/workspaces/{ws}", "Read a workspace.", workspaces::get => 200 "Workspace", reads(Who::Workspace(Viewer), Tenant)),
    route!("PATCH" "/v1/workspaces/{ws}", "Change a workspace's name or slug.", workspaces::update => 200 "Workspace", changes(Who::Workspace(Admin), Standard, "WorkspaceUpdate")),
    route!("DELETE" "/v1/workspaces/{ws}", "Delete a workspace with everything in it.", workspaces::delete => 204 "", deletes(Who::Workspace(Admin), Standard)),
    route!("GET" "/v1/workspaces/{ws}/members", "List the members of a workspace.", members::list => 200 "[]WorkspaceMember", reads(Who::Workspace(Viewer), Tenant)),
    route!("GET" "/v1/workspaces/{ws}/members/{user}", "Read a member of a workspace.", members::get => 200 "WorkspaceMember", reads(Who::Workspace(Viewer), Tenant)),
    route!("PUT" "/v1/workspaces/{ws}/members/{user}", "Add a member, or change a role.", members::put => 200 "WorkspaceMember", changes(Who::Workspace(Admin), Standard, "WorkspaceMemberPut")),
    route!("DELETE" "/v1/workspaces/{ws}/members/{user}", "Remove a member, or leave.", members::remove => 204 "", keyed(ByKey::Workspace(Scope::Admin), deletes(Who::Workspace(Viewer), Standard))),
    route!("POST" "/v1/workspaces/{ws}/projects", "Create a project.", projects::create => 201 "Project", creates(Who::Workspace(Editor), Standard, "ProjectCreate")),
    route!("GET" "/v1/workspaces/{ws}/projects", "List projects.", projects::list => 200 "[]Project", keyed(ByKey::Project(Scope::Read), reads(Who::Workspace(Viewer), Tenant))),
    route!("GET" "/v1/workspaces/{ws}/projects/{project}", "Read a project.", projects::get => 200 "Project", keyed(ByKey::Project(Scope::Read), reads(Who::Workspace(Viewer), Tenant))),
    route!("PATCH" "/v1/workspaces/{ws}/projects/{project}", "Change a project.", projects::update => 200 "Project", keyed(ByKey::Project(Scope::Write), changes(Who::Workspace(Editor), Standard, "ProjectUpdate"))),
    route!("DELETE" "/v1/workspaces/{ws}/projects/{project}", "Delete a project and its documents.", projects::delete => 204 "", keyed(ByKey::Project(Scope::Write), deletes(Who::Workspace(Editor), Standard))),
    route!("GET" "/v1/workspaces/{ws}/audit", "List what changed and who did it.", audit::list => 200 "[]AuditEvent", reads(Who::Workspace(Admin), Tenant)),

    // Used by the people of a workspace to let programs in. No key makes keys: what one may do never grows by itself.
    route!("POST" "/v1/workspaces/{ws}/api-keys", "Create an API key.", api_keys::create => 201 "ApiKeyCreated", keyed(ByKey::Never, creates(Who::Workspace(Admin), Strict, "ApiKeyCreate"))),
    route!("GET" "/v1/workspaces/{ws}/api-keys", "List API keys.", api_keys::list => 200 "[]ApiKey", keyed(ByKey::Never, reads(Who::Workspace(Admin), Tenant))),
    route!("POST" "/v1/workspaces/{ws}/api-keys/{key}/rotate", "Replace an API key by a new one; the old one works on for a while.", api_keys::rotate => 201 "ApiKeyCreated", keyed(ByKey::Never, creates(Who::Workspace(Admin), Strict, "ApiKeyRotate"))),
    route!("DELETE" "/v1/workspaces/{ws}/api-keys/{key}", "Revoke an API key.", api_keys::revoke => 204 "", keyed(ByKey::Never, deletes(Who::Workspace(Admin), Strict))),

    // Used by sync clients.
    route!("POST" "/v1/workspaces/{ws}/sync/push", "Push mutations of documents.", sync::push::push => 200 "PushResult", keyed(ByKey::Project(Scope::Sync), Policy { body: Body::Json("Push", PUSH_BYTES), ..changes(Who::Workspace(Editor), Standard, "Push") })),
    route!("GET" "/v1/workspaces/{ws}/sync/divergences", "List the writes that met another and were kept beside it.", sync::divergences::list => 200 "[]Divergence", keyed(ByKey::Project(Scope::Sync), reads(Who::Workspace(Viewer), NoStore))),
    route!("GET" "/v1/workspaces/{ws}/sync/divergences/{divergence}", "Read a divergence with both sides.", sync::divergences::get => 200 "DivergenceWhole", keyed(ByKey::Project(Scope::Sync), reads(Who::Workspace(Viewer), NoStore))),
    route!("POST" "/v1/workspaces/{ws}/sync/divergences/{divergence}/resolve", "Choose what stands.", sync::divergences::resolve => 200 "DivergenceResolved", keyed(ByKey::Project(Scope::Sync), Policy { body: Body::Json("DivergenceResolve", RESOLVE_BYTES), ..creates(Who::Workspace(Editor), Standard, "DivergenceResolve") })),
    route!("POST" "/v1/workspaces/{ws}/sync/sessions", "Open a session of a sync client.", sync::sessions::open => 201 "SyncSessionOpened", keyed(ByKey::Project(Scope::Sync), creates(Who::Workspace(Viewer), Standard, "SyncSessionOpen"))),
    route!("GET" "/v1/workspaces/{ws}/sync/sessions", "List the sessions of sync clients, and how far each is.", sync::sessions::list => 200 "[]SyncSession", reads(Who::Workspace(Admin), NoStore)),
    route!("GET" "/v1/workspaces/{ws}/sync/sessions/{session}", "Read a session, and where the streams end.", sync::sessions::get => 200 "SyncSessionOpened", keyed(ByKey::Project(Scope::Sync), reads(Who::Workspace(Viewer), NoStore))),
    route!("DELETE" "/v1/workspaces/{ws}/sync/sessions/{session}", "End a session.", sync::sessions::end => 204 "", keyed(ByKey::Project(Scope::Sync), deletes(Who::Workspace(Viewer), Standard))),
    route!("GET" "/v1/workspaces/{ws}/sync/{scope_type}/{scope_id}", "Read the log of a scope from an offset.", sync::read => 200 "Messages", keyed(ByKey::Project(Scope::Sync), reads(Who::Workspace(Viewer), Immutable))),
    route!("GET" "/v1/workspaces/{ws}/presence", "Join the room by WebSocket, or read who is there.", presence::get => 200 "[]Person", keyed(ByKey::Workspace(Scope::Presence), Policy { ticket: true, ..reads(Who::Workspace(Viewer), NoStore) })),
    route!("POST" "/v1/workspaces/{ws}/presence", "Show a state without a socket, for as long as heartbeats come.", presence::beat => 200 "PresenceBeaten", keyed(ByKey::Workspace(Scope::Presence), changes(Who::Workspace(Viewer), Relaxed, "PresenceBeat"))),
    route!("POST" "/v1/workspaces/{ws}/presence/tickets", "Get a ticket with which a browser joins the room, once.", tickets::create => 201 "PresenceTicket", keyed(ByKey::Workspace(Scope::Presence), Policy { limit: Limit::Tier(Tickets, 1), ..reads(Who::Workspace(Viewer), NoStore) })),
];
