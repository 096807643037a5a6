//! What isolates say to a gate: its names, its commands, and the client that carries them.

use std::net::IpAddr;

use drey_core::cache::tags::Versions;
use drey_core::id::{ApiKeyId, OrgId, UserId, WorkspaceId};
use drey_core::lease::Admission;
use drey_core::limit::Tier;
use drey_core::quota::Granted;
use drey_core::role::Region;
use drey_store::usage::Reservation;
use serde::{Deserialize, Serialize};
use worker::Env;

use crate::rpc::{self, RpcError, Target};

/// The binding of `wrangler.toml`.
pub const BINDING: &str = "GATE";

/// The name of the one object that knows the versions of public tags. Pinned, like the names of [`Subject`].
const PUBLIC: &str = "public";

/// How many gates share the callers without a known credential.
const ANONYMOUS_GATES: u32 = 64;

/// Whose gate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Subject {
    /// A workspace's own.
    Workspace(WorkspaceId),
    /// An organisation's.
    Org(OrgId),
    /// A person's, for what he does outside of any tenant.
    User(UserId),
    /// One of the 64, by address.
    Anonymous(u8),
}

impl Subject {
    /// The gate of an address without a known credential.
    #[must_use]
    pub fn anonymous(address: &str) -> Self {
        // FNV-1a: the spread matters, not the secrecy. A caller who picks his gate picks only whom he shares it with,
        // and buckets are per address inside.
        let hash = address_key(address)
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self::Anonymous(u8::try_from(hash % ANONYMOUS_GATES).unwrap_or_default())
    }

    /// The object's name. Pinned: another name is another object with full buckets.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Workspace(id) => id.to_string(),
            Self::Org(id) => format!("org:{id}"),
            Self::User(id) => format!("user:{id}"),
            Self::Anonymous(number) => format!("anon:{number}"),
        }
    }
}

/// The part of an address that one customer of a network holds: an IPv4 address, an IPv6 /64.
#[must_use]
pub fn address_key(address: &str) -> String {
    // An IPv4 address inside IPv6 is that IPv4 address: otherwise all of them would share one /64.
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(IpAddr::V4(v4)) => v4.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

/// A request for admission. It carries ids and numbers, never a credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admit {
    /// The verified caller; none at an anonymous gate.
    pub principal: Option<UserId>,
    /// The API key that acts as the caller: then the limits are the key's own.
    #[serde(default)]
    pub api_key: Option<ApiKeyId>,
    /// The client's address as the platform sets it.
    pub address: String,
    /// The tier of the route.
    pub tier: Tier,
    /// What the request costs; 0 to renew what is known of a caller who still holds tokens.
    pub cost: u32,
    /// Tokens the isolate would spend in the next second.
    pub wanted: u32,
    /// Tokens the isolate still holds.
    pub held: u32,
    /// A revision the caller has seen and must not be answered below.
    pub least_revision: Option<i64>,
    /// The version of the platform's settings that the isolate knows; a newer one comes with the grant.
    #[serde(default = "newest")]
    pub settings: i64,
    /// What the isolate has written and kept for the next occasion ([`GateClient::tell_writes`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Writes>,
}

/// An isolate of before does not know what to do with settings.
const fn newest() -> i64 {
    i64::MAX
}

/// News for a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The revision after the write.
    pub revision: i64,
    /// The epoch of narrowed access after the write.
    pub authz_epoch: i64,
    /// Whether a role, the plan or the tenant's existence changed: then the gate asks Postgres again.
    pub roles_changed: bool,
}

/// So many writes, and what is the case after the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writes {
    /// Their news.
    pub news: News,
    /// How many.
    pub count: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(super) enum Command {
    Admit { subject: Subject, admit: Admit },
    Tell { news: News },
    Wrote { writes: Writes },
    Doubt,
    Tags { raise: Vec<String> },
    Reserve { asked: Reservation },
}

/// Calls gates.
#[derive(Clone, Copy, Debug)]
pub struct GateClient<'a> {
    /// The bindings.
    pub env: &'a Env,
    /// The longest wait in milliseconds.
    pub timeout_ms: u32,
}

impl GateClient<'_> {
    /// Asks for admission.
    pub async fn admit(&self, subject: &Subject, admit: &Admit) -> Result<Admission, RpcError> {
        let command = Command::Admit { subject: *subject, admit: admit.clone() };
        rpc::call(self.env, self.target(&subject.name(), None), &command).await
    }

    /// Tells a gate what a write changed. `hint` is where the object is created if this call is its first.
    pub async fn tell(&self, subject: &Subject, news: News, hint: Option<Region>) -> Result<(), RpcError> {
        let hint = hint.map(Region::as_str);
        rpc::call(self.env, self.target(&subject.name(), hint), &Command::Tell { news }).await
    }

    /// Tells a gate of writes that changed no role, and asks how late it may be told of the next, in milliseconds; `None`:
    /// at once.
    pub async fn tell_writes(&self, subject: &Subject, writes: Writes) -> Result<Option<u64>, RpcError> {
        rpc::call(self.env, self.target(&subject.name(), None), &Command::Wrote { writes }).await
    }

    /// Makes a gate ask Postgres before it says anything more: a write may have happened, nobody knows.
    pub async fn doubt(&self, subject: &Subject) -> Result<(), RpcError> {
        rpc::call(self.env, self.target(&subject.name(), None), &Command::Doubt).await
    }

    /// Takes units of a day from the organisation's gate; `None` if it could not ask Postgres.
    pub(crate) async fn reserve(&self, asked: Reservation) -> Result<Option<Granted>, RpcError> {
        let name = Subject::Org(asked.org).name();
        rpc::call(self.env, self.target(&name, None), &Command::Reserve { asked }).await
    }

    /// Raises tags of public answers, or none, and gives the versions of all.
    pub async fn raise_tags(&self, tags: &[String]) -> Result<Versions, RpcError> {
        rpc::call(self.env, self.target(PUBLIC, None), &Command::Tags { raise: tags.to_vec() }).await
    }

    fn target<'b>(&self, name: &'b str, hint: Option<&'b str>) -> Target<'b> {
        Target { binding: BINDING, name, hint, timeout_ms: self.timeout_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, News, Subject, Writes, address_key};
    use drey_core::id::{OrgId, UserId, WorkspaceId};
    use uuid::Uuid;

    /// A gate that is found under another name after a deploy begins with full buckets.
    #[test]
    fn the_names_of_gates_are_fixed() {
        let nil = Uuid::nil();
        assert_eq!(Subject::Workspace(WorkspaceId::from_uuid(nil)).name(), "ws_00000000000000000000000000");
        assert_eq!(Subject::Org(OrgId::from_uuid(nil)).name(), "org:org_00000000000000000000000000");
        assert_eq!(Subject::User(UserId::from_uuid(nil)).name(), "user:user_00000000000000000000000000");
        assert_eq!(Subject::anonymous("192.0.2.1").name(), "anon:24");
    }

    /// Worker and object are deployed together, but not in one instant.
    #[test]
    fn the_shape_of_what_tells_of_writes_is_fixed() {
        let news = News { revision: 7, authz_epoch: 2, roles_changed: false };
        let command = Command::Wrote { writes: Writes { news, count: 3 } };
        let text =
            r#"{"command":"wrote","writes":{"news":{"revision":7,"authz_epoch":2,"roles_changed":false},"count":3}}"#;
        assert_eq!(serde_json::to_string(&command).expect("json"), text);
    }

    #[test]
    fn one_network_is_one_address() {
        assert_eq!(address_key("2001:db8:1:2:3:4:5:6"), address_key("2001:db8:1:2::9"));
        assert_ne!(address_key("192.0.2.1"), address_key("192.0.2.2"));
        assert_eq!(address_key("::ffff:192.0.2.1"), address_key("192.0.2.1"));
        assert_eq!(address_key("10.0.0.1, 10.0.0.2"), "unknown");
    }
}
