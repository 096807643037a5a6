//! What an organisation has used of its daily quota.

use drey_core::role::Plan;
use drey_core::time::Timestamp;
use drey_store::usage::{self, DayUsed};
use serde::Serialize;

use crate::answer::Answer;
use crate::call::Call;
use crate::edge::clock;
use crate::problem::Outcome;

/// The days shown, today included.
const DAYS: u32 = 30;

/// `used` counts what gates have reserved: it runs ahead of the calls by the blocks that they hold.
#[derive(Serialize)]
struct Usage<'a> {
    today: Today<'a>,
    days: &'a [DayUsed],
}

#[derive(Serialize)]
struct Today<'a> {
    day: &'a str,
    used: u64,
    limit: u64,
    remaining: u64,
    resets_at: Timestamp,
}

/// Read what the organisation has used of its days.
pub(super) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let (org, _) = call.org()?;
    let config = &call.request.app.config;
    let now_ms = clock::now_ms();
    let read = usage::list(&call.session()?, org, config.day.day(now_ms), DAYS).await?;
    let plan = call.grant().map_or(Plan::Free, |grant| grant.plan);
    let usage::Days { days, settings } = read.item;
    let documents = [settings.platform.document.as_str(), settings.own.document.as_str()];
    let limit = call.request.app.settings.base().with_stored(documents).limits.daily(plan);
    let (day, used) = days.first().map_or(("", 0), |today| (today.day.as_str(), today.used));
    let resets_at = Timestamp::from_millis(now_ms + config.day.left_ms(now_ms));
    let today = Today { day, used, limit, remaining: limit.saturating_sub(used), resets_at };
    let answer = Answer::json(200, &Usage { today, days: &days })?;
    Ok(answer.with("x-drey-revision", read.revision.to_string()))
}
