//! What organisations use of their days.
//!
//! In scope: reserving units of a day, and reading the days. Out of scope: how many to reserve ([`drey_core::quota`]).

use drey_core::id::OrgId;
use drey_core::quota::{Day, Granted};
use drey_core::refusal::{Code, Refusal};
use drey_core::retry::Effect;
use drey_core::role::OrgRole;
use serde::{Deserialize, Serialize};

use crate::neon::Answer;
use crate::neon::row::Row;
use crate::read::{Needed, Read, check};
use crate::session::{Caller, Session};
use crate::settings::{Held, held, stored};
use crate::statement::{Param, Statement, number, uuid};
use crate::{Consistency, Result, StoreError};

/// What is asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Reservation {
    /// The organisation.
    pub org: OrgId,
    /// The day.
    pub day: Day,
    /// As many units as the quota has left, at the most these.
    pub wanted: u64,
    /// Units that were spent before they were counted: counted whether the quota has them or not.
    pub owed: u64,
    /// The quota of the day.
    pub quota: u64,
}

pub(crate) const RESERVE: Statement = Statement {
    name: "usage.reserve",
    sql: "select r.units, r.used from quota_reserve($1::uuid, date '1970-01-01' + $2::int, $3::bigint, $4::bigint, $5::bigint) r",
    hot: false,
};

/// Counts units as used. A repeat counts them twice: what is lost is under-used, never over-used.
pub async fn reserve(s: &Session<'_>, asked: Reservation) -> Result<Granted> {
    let session = s.with_caller(Caller { org: Some(asked.org), ..Caller::default() });
    let params =
        [uuid(asked.org.uuid()), whole(asked.day.0), whole(asked.wanted), whole(asked.owed), whole(asked.quota)];
    let decode = |answer: Answer<'_>| {
        let row = answer.first(0)?;
        let Day(day) = asked.day;
        Ok(Granted { day: Day(day), units: unsigned(&row, 0)?, used: unsigned(&row, 1)? })
    };
    session.neon.run(&session, &[RESERVE.with(params)], Effect::Once, Consistency::Primary, decode).await
}

/// One day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayUsed {
    /// The UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// Calls counted; those that gates have reserved and not yet spent are among them.
    pub used: u64,
}

pub(crate) const LIST: Statement = Statement {
    name: "usage.list",
    sql: concat!(
        "select access.role, o.revision, (date '1970-01-01' + $2::int - n)::text as day, coalesce(u.used, 0) as used, \
                 s.version, s.document, p.version, p.document \
          from (select org_role($1::uuid) as role) access \
          left join org o on o.org_id = $1::uuid and access.role is not null \
          cross join generate_series(0, $3::int - 1) n \
          left join org_usage u on u.org_id = o.org_id and u.day = date '1970-01-01' + $2::int - n ",
        held!(of "o.org_id", on "n = 0"),
        " order by n"
    ),
    hot: false,
};

/// The last days, and what an operator has set, which says how many calls a day has.
#[derive(Clone, Debug)]
pub struct Days {
    /// Newest first; a day without calls is there with 0.
    pub days: Vec<DayUsed>,
    /// The settings that hold for the organisation.
    pub settings: Held,
}

/// The days that end with `today`.
pub async fn list(s: &Session<'_>, org: OrgId, today: Day, days: u32) -> Result<Read<Days>> {
    let params = [uuid(org.uuid()), whole(today.0), number(days)];
    let decode = |answer: Answer<'_>| {
        let first = answer.first(0)?;
        check(&first, Needed::Org(OrgRole::Member))?;
        if first.is_null(1) {
            return Err(StoreError::Refused(Refusal::new(Code::NotFound, "There is no such thing here.")));
        }
        let days = answer.rows(0)?.map(|row| Ok(DayUsed { day: row.text(2)?.to_owned(), used: unsigned(&row, 3)? }));
        let settings = Held { own: stored(&first, 4)?, platform: stored(&first, 6)? };
        Ok(Read { item: Days { days: days.collect::<Result<_>>()?, settings }, revision: first.i64(1)? })
    };
    s.neon.run(s, &[LIST.with(params)], Effect::Read, s.reads, decode).await
}

fn whole<'a>(value: u64) -> Param<'a> {
    number(i64::try_from(value).unwrap_or(i64::MAX))
}

fn unsigned(row: &Row<'_, '_>, column: usize) -> Result<u64> {
    Ok(u64::try_from(row.i64(column)?).unwrap_or_default())
}
