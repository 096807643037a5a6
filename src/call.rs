//! What a handler may reach: the admitted caller, the parsed request, and sessions of the store bound to its tenant.
//!
//! A handler cannot make up a tenant: it gets one only from what its row's policy proved.

use std::cell::RefCell;
use std::rc::Rc;

use drey_core::cursor::Cursor;
use drey_core::id::{OrgId, UserId, WorkspaceId};
use drey_core::idempotency::{Key, fingerprint};
use drey_core::lease::Grant;
use drey_core::refusal::Code;
use drey_core::role::{OrgRole, WorkspaceRole};
use drey_core::{etag, refusal};
use drey_durable_objects::workspace_gate::Subject;
use drey_store::{Caller, Idempotency, Page, Position, Session, Write};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admission::Principal;
use crate::answer::Answer;
use crate::edge::boundary::Header;
use crate::json;
use crate::notices::Notice;
use crate::problem::{Outcome, Problem};
use crate::request::Request;
use crate::routes::{Route, written};

/// What the row's policy has proved about the caller.
#[derive(Debug)]
pub enum Access {
    /// Nothing; nothing was needed.
    Public,
    /// The operator.
    Operator,
    /// A person.
    User(Principal),
    /// A person with a role in an organisation.
    Org(Principal, OrgId, OrgRole, Rc<Grant>),
    /// A person with a role in a workspace of an organisation.
    Workspace(Principal, WorkspaceAccess, Rc<Grant>),
}

impl Access {
    /// The gate's grant, on rows of a tenant.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Org(_, _, _, grant) | Self::Workspace(_, _, grant) => Some(grant),
            Self::Public | Self::Operator | Self::User(_) => None,
        }
    }
}

/// A workspace, its organisation and the caller's role there.
#[derive(Clone, Copy, Debug)]
pub struct WorkspaceAccess {
    /// The workspace of the path.
    pub workspace: WorkspaceId,
    /// Its organisation, as the gate knows it.
    pub org: OrgId,
    /// The caller's role.
    pub role: WorkspaceRole,
}

/// One admitted request.
#[derive(Debug)]
pub struct Call<'a> {
    /// The request and its row.
    pub request: &'a Request<'a>,
    /// What was proved.
    pub access: Access,
    /// The body, within the row's limit.
    pub body: Vec<u8>,
    notices: RefCell<Vec<Notice>>,
}

impl<'a> Call<'a> {
    /// A call with nothing to tell yet.
    #[must_use]
    pub fn new(request: &'a Request<'a>, access: Access, body: Vec<u8>) -> Self {
        Self { request, access, body, notices: RefCell::default() }
    }

    /// Tells a gate (and a room) what this call changed, once the call has succeeded.
    pub fn tell(&self, notice: Notice) {
        self.notices.borrow_mut().push(notice);
    }

    /// What is to be told when nobody knows whether the write happened: its gate asks Postgres again.
    #[must_use]
    pub fn doubt(&self) -> Vec<Notice> {
        let subject = match &self.access {
            Access::Org(_, org, ..) => Subject::Org(*org),
            Access::Workspace(_, access, _) => Subject::Workspace(access.workspace),
            Access::Public | Access::Operator | Access::User(_) => return Vec::new(),
        };
        vec![Notice::Doubted(subject)]
    }

    /// What is to be told.
    #[must_use]
    pub fn into_notices(self) -> Vec<Notice> {
        self.notices.into_inner()
    }

    /// The person, on any row that needs a credential.
    pub fn principal(&self) -> Outcome<&Principal> {
        match &self.access {
            Access::User(principal) | Access::Org(principal, ..) | Access::Workspace(principal, ..) => Ok(principal),
            Access::Public | Access::Operator => Err(unproved(self.request.route)),
        }
    }

    /// The organisation and the caller's role, on rows of [`Who::Org`](crate::routes::Who::Org).
    pub fn org(&self) -> Outcome<(OrgId, OrgRole)> {
        match &self.access {
            Access::Org(_, org, role, _) => Ok((*org, *role)),
            _ => Err(unproved(self.request.route)),
        }
    }

    /// The workspace, on rows of [`Who::Workspace`](crate::routes::Who::Workspace).
    pub fn workspace(&self) -> Outcome<WorkspaceAccess> {
        match &self.access {
            Access::Workspace(_, access, _) => Ok(*access),
            _ => Err(unproved(self.request.route)),
        }
    }

    /// The gate's grant, on rows of a tenant.
    #[must_use]
    pub fn grant(&self) -> Option<&Grant> {
        self.access.grant()
    }

    /// A session of the store that acts for the proved caller in the proved tenant and nowhere else.
    pub fn session(&self) -> Outcome<Session<'_>> {
        let caller = match &self.access {
            Access::Public | Access::Operator => Caller::default(),
            Access::User(principal) => Caller { user: Some(principal.user), ..Caller::default() },
            Access::Org(principal, org, ..) => {
                Caller { user: Some(principal.user), org: Some(*org), ..Caller::default() }
            }
            Access::Workspace(principal, access, _) => Caller {
                user: Some(principal.user),
                org: Some(access.org),
                workspace: Some(access.workspace),
                api_key: principal.key.as_ref().map(|key| key.id),
                project: principal.key.as_ref().and_then(|key| key.project),
            },
        };
        Ok(self.session_for(caller))
    }

    /// The same for lists that may lag: read from the replica, if there is one, unless the caller says what he has seen.
    pub fn lagging_session(&self) -> Outcome<Session<'_>> {
        let session = self.session()?;
        Ok(if self.request.least_revision()?.is_some() { session } else { session.lagging() })
    }

    /// A session in an organisation that this very call creates.
    pub fn session_in_new_org(&self, org: OrgId) -> Outcome<Session<'_>> {
        let user = self.principal()?.user;
        Ok(self.session_for(Caller { user: Some(user), org: Some(org), ..Caller::default() }))
    }

    /// A session in a workspace of the proved organisation that this very call creates.
    pub fn session_in_new_workspace(&self, workspace: WorkspaceId) -> Outcome<Session<'_>> {
        let (org, _) = self.org()?;
        let user = self.principal()?.user;
        Ok(self.session_for(Caller {
            user: Some(user),
            org: Some(org),
            workspace: Some(workspace),
            ..Caller::default()
        }))
    }

    /// A session of the operator in an organisation: it names one and no person, which is what settings ask for.
    pub fn operator_session(&self, org: OrgId) -> Outcome<Session<'_>> {
        match self.access {
            Access::Operator => Ok(self.session_for(drey_store::settings::operator(org))),
            _ => Err(unproved(self.request.route)),
        }
    }

    fn session_for(&self, caller: Caller) -> Session<'_> {
        Session::new(
            &self.request.app.neon,
            caller,
            self.request.context.deadline,
            &self.request.context.trace,
            &self.request.context.timings,
        )
    }

    /// The member of a members route.
    pub fn user_parameter(&self) -> Outcome<UserId> {
        self.request.parameter("user", UserId::parse)
    }

    /// The body as the row's document: unknown members and wrong types are refused by name.
    pub fn json<T: DeserializeOwned>(&self) -> Outcome<T> {
        json::parse(&self.body)
    }

    /// `limit` and `cursor` of a list; a cursor belongs to the list that gave it.
    pub fn page(&self) -> Outcome<(u32, Option<Position>)> {
        let limit = self.request.query.number("limit", 1..=100)?.unwrap_or(50);
        let Some(text) = self.request.query.get("cursor") else { return Ok((limit, None)) };
        let (created_at, id) = Cursor::decode(text, &self.request.head.path).map_err(|_| {
            Problem::new(Code::InvalidCursor, "The cursor is not one of this list. Start again without it.")
        })?;
        Ok((limit, Some(Position { created_at, id })))
    }

    /// What a write carries besides its values: idempotency, the request's id, the version it expects.
    pub fn write<'b>(&'b self, key: Option<&'b Key>) -> Outcome<Write<'b>> {
        let if_match = self.request.head.header(Header::IfMatch).map(etag::if_match).transpose();
        let if_match = if_match.map_err(|error| Problem::parameter("if-match", format!("It {error}.")))?;
        let idempotency = key.map(|key| Idempotency {
            method: self.request.route.method,
            route: &self.request.head.path,
            key: key.as_str(),
            fingerprint: self.fingerprint(),
        });
        Ok(Write { idempotency, request: &self.request.context.request_id, if_match })
    }

    /// The caller's `Idempotency-Key`, on rows that honour one.
    pub fn idempotency_key(&self) -> Outcome<Option<Key>> {
        let header = self.request.head.header(Header::IdempotencyKey).filter(|_| self.request.route.policy.idempotent);
        header
            .map(Key::parse)
            .transpose()
            .map_err(|error| refusal::Refusal::new(Code::InvalidIdempotencyKey, error.to_string()).into())
    }

    fn fingerprint(&self) -> [u8; 32] {
        let content_type = self.request.head.header(Header::ContentType).unwrap_or_default();
        fingerprint(self.request.route.method, &self.request.head.path, content_type, &self.body)
    }

    /// A page of a list with its cursor and its `Link`.
    pub fn list<T: Serialize>(&self, page: &Page<T>) -> Outcome<Answer> {
        let next = page.next.as_ref().map(|at| Cursor::encode(&at.created_at, at.id, &self.request.head.path));
        let mut answer = Answer::json(200, &List { data: &page.items, next_cursor: next.as_deref() })?;
        if let Some(cursor) = next {
            answer.set(
                "link",
                format!("<{}>; rel=\"next\"", self.request.query.with(&self.request.head.path, "cursor", &cursor)),
            );
        }
        Ok(written::read(answer, page.revision))
    }
}

#[derive(Serialize)]
struct List<'a, T> {
    data: &'a [T],
    next_cursor: Option<&'a str>,
}

/// A handler asked for what its row does not prove: the table and the handler disagree, which is our fault.
fn unproved(route: &Route) -> Problem {
    Problem::internal(format!("the policy of {} {} does not prove what its handler asks for", route.method, route.path))
}
