//! Users: who a token's issuer and subject are to us.
//!
//! In scope: the row of a person. Out of scope: what he may do.

use drey_core::id::UserId;
use drey_core::refusal::{Code, Refusal};
use drey_core::retry::Effect;
use drey_core::time::Timestamp;
use serde::Serialize;

use crate::neon::row::Row;
use crate::neon::{Answer, Consistency};
use crate::session::{Caller, Session};
use crate::statement::{Statement, text, uuid};
use crate::{Result, StoreError};

/// The caller himself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Me {
    /// His id.
    pub id: UserId,
    /// Who vouches for him.
    pub issuer: String,
    /// What the issuer calls him.
    pub subject: String,
    /// As the last token said.
    pub email: Option<String>,
    /// As the last token said.
    pub name: Option<String>,
    /// When he was first seen.
    pub created_at: Timestamp,
}

impl Me {
    fn read(row: &Row<'_, '_>) -> Result<Self> {
        Ok(Self {
            id: UserId::from_uuid(row.uuid(0)?),
            issuer: row.text(1)?.to_owned(),
            subject: row.text(2)?.to_owned(),
            email: row.opt_text(3)?.map(str::to_owned),
            name: row.opt_text(4)?.map(str::to_owned),
            created_at: row.timestamp(5)?,
        })
    }
}

pub(crate) const SEEN: Statement = Statement {
    name: "user.seen",
    sql: "select user_seen($1::text, $2::text, $3::text, $4::text, $5::uuid)",
    hot: false,
};

/// The id of this subject, made at first sight (`new_id`). Nothing is written when nothing has changed.
pub async fn seen(
    s: &Session<'_>,
    issuer: &str,
    subject: &str,
    email: Option<&str>,
    name: Option<&str>,
    new_id: UserId,
) -> Result<UserId> {
    let call = SEEN.with([text(issuer), text(subject), email.and_then(text), name.and_then(text), uuid(new_id.uuid())]);
    let session = s.with_caller(Caller::default());
    let decode = |answer: Answer<'_>| Ok(UserId::from_uuid(answer.first(0)?.uuid(0)?));
    s.neon.run(&session, &[call], Effect::Idempotent, Consistency::Primary, decode).await
}

pub(crate) const ME: Statement = Statement {
    name: "user.me",
    sql: "select u.user_id, u.issuer, u.subject, u.email, u.name, u.created_at from user_account u where u.user_id = app_user()",
    hot: false,
};

/// The caller's own row.
pub async fn me(s: &Session<'_>) -> Result<Me> {
    let decode = |answer: Answer<'_>| answer.rows(0)?.next().map(|row| Me::read(&row)).transpose();
    let found = s.neon.run(s, &[ME.with([])], Effect::Read, s.reads, decode).await?;
    found.ok_or_else(|| StoreError::Refused(Refusal::new(Code::NotFound, "There is no such user.")))
}
