//! Divergences: what two wrote at once and nobody has chosen yet.

use drey_core::id::DivergenceId;
use drey_core::presence::ScopeNews;
use drey_core::refusal::Code;
use drey_core::sync::{ScopeRef, ScopeType, check_value};
use drey_store::Written;
use drey_store::sync_divergence::{self, Choice, Decided, Resolved};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::call::Call;
use crate::feeds::Moved;
use crate::json;
use crate::problem::{Outcome, Problem};
use crate::routes::sync::tell;
use crate::routes::written;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Take {
    Mine,
    Theirs,
    Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DivergenceResolve<'a> {
    take: Take,
    #[serde(default, borrow)]
    value: Option<&'a RawValue>,
    version: Option<i64>,
}

/// List the open divergences, of the workspace or of one scope.
pub(in crate::routes) async fn list(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let (limit, after) = call.page()?;
    let scope = scope(call)?;
    let scope = scope.as_ref().map(|scope| (scope.scope_type().as_str(), scope.id()));
    let retention = call.request.app.config.sync.divergence_ms;
    call.list(&sync_divergence::list(&call.session()?, workspace, scope, retention, limit, after.as_ref()).await?)
}

/// `scope_type` and `scope_id`, which come together.
fn scope(call: &Call<'_>) -> Outcome<Option<ScopeRef>> {
    let query = &call.request.query;
    let (kind, id) = match (query.get("scope_type"), query.get("scope_id")) {
        (None, None) => return Ok(None),
        (Some(kind), Some(id)) => (kind, id),
        (None, Some(_)) => return Err(Problem::parameter("scope_type", "It belongs to scope_id.")),
        (Some(_), None) => return Err(Problem::parameter("scope_id", "It belongs to scope_type.")),
    };
    if ScopeType::parse(kind).is_none() {
        return Err(Problem::parameter("scope_type", "It is none of ours."));
    }
    ScopeRef::parse(kind, id).map(Some).map_err(|error| Problem::parameter("scope_id", format!("It {error}.")))
}

/// Read a divergence with both sides.
pub(in crate::routes) async fn get(call: &Call<'_>) -> Outcome<Answer> {
    let read = whole(call, divergence(call)?).await?;
    Answer::json(200, &read)
}

fn divergence(call: &Call<'_>) -> Outcome<DivergenceId> {
    call.request.parameter("divergence", DivergenceId::parse)
}

async fn whole(call: &Call<'_>, id: DivergenceId) -> Outcome<sync_divergence::Divergence> {
    let workspace = call.workspace()?.workspace;
    let retention = call.request.app.config.sync.divergence_ms;
    Ok(sync_divergence::get(&call.session()?, workspace, id, retention).await?.item)
}

/// Choose what stands. Whoever comes second is told who was first; a repetition is told the same again.
pub(in crate::routes) async fn resolve(call: &Call<'_>) -> Outcome<Answer> {
    let workspace = call.workspace()?.workspace;
    let id = divergence(call)?;
    let body: DivergenceResolve<'_> = json::parse_borrowed(&call.body)?;
    check_choice(call, id, &body).await?;
    let choice = Choice {
        take: match body.take {
            Take::Mine => "mine",
            Take::Theirs => "theirs",
            Take::Value => "value",
        },
        value: body.value.map(RawValue::get),
        version: body.version,
    };
    let key = call.idempotency_key()?;
    let retention = call.request.app.config.sync.divergence_ms;
    let write = call.write(key.as_ref())?;
    let resolved = sync_divergence::resolve(&call.session()?, &write, workspace, id, &choice, retention).await?;
    if let Resolved::Done(decided) = &resolved.item {
        tell(call, vec![moved(decided)])?;
    }
    told(resolved)
}

/// A value of the resolver's own is held to the rules of any other, which its entity's type decides.
async fn check_choice(call: &Call<'_>, id: DivergenceId, body: &DivergenceResolve<'_>) -> Outcome<()> {
    if body.version.is_some_and(i64::is_negative) {
        return Err(Problem::field("/version", "It is at least 0."));
    }
    match (body.take, body.value) {
        (Take::Mine | Take::Theirs, None) => Ok(()),
        (Take::Mine | Take::Theirs, Some(_)) => Err(Problem::field("/value", "It belongs to take: value.")),
        (Take::Value, None) => Err(Problem::field("/value", "It is what shall stand.")),
        (Take::Value, Some(value)) => {
            let entity = whole(call, id).await?.entity;
            check_value(&entity.kind, value).map_err(|rejection| Problem::field("/value", rejection.detail))
        }
    }
}

/// The mutation that resolves is in the log as any other, so its readers are told as of any other.
fn moved(decided: &Decided) -> Moved {
    let (generation, epoch) = decided.stands;
    let (scope_type, id) = (decided.scope.kind.clone(), decided.scope.id.clone());
    Moved { news: ScopeNews { scope_type, id, generation, epoch }, messages: None }
}

fn told(resolved: Written<Resolved>) -> Outcome<Answer> {
    let Written { item, replayed, revision, authz_epoch } = resolved;
    match item {
        Resolved::Done(decided) => done(&Written { item: decided, replayed, revision, authz_epoch }),
        Resolved::Lost(resolution) => {
            let detail = format!("{} has resolved it: {}.", resolution.resolved_by, resolution.take);
            let extension = serde_json::to_value(&resolution).map_err(|error| Problem::internal(error.to_string()))?;
            Err(Problem { extension: Some(("resolution", extension)), ..Problem::new(Code::Conflict, detail) })
        }
        Resolved::Moved(version) => {
            let detail = "The entity was written since. Read it, and send its version with the choice.";
            Err(Problem { extension: Some(("version", version.into())), ..Problem::new(Code::Conflict, detail) })
        }
    }
}

fn done(decided: &Written<Decided>) -> Outcome<Answer> {
    Ok(written::marked(Answer::json(200, &decided.item)?, decided))
}
