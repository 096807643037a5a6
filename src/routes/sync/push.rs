//! Pushing mutations: up to three rounds, of which only the last must write.
//!
//! Round 1 applies everything if every base is current, which is the rule. Where one is stale nothing is written and Postgres
//! tells what stands; core decides, and round 2 applies the decisions if it still stands. Round 3 decides once more, and
//! whatever has moved again diverges: so a push takes three round trips at most, however many write at once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use drey_core::presence::ScopeNews;
use drey_core::sync::{
    ClientId, Clock, Decision, Mutation, Push, ScopeType, Standing, Verdict, check, check_call, decide,
};
use drey_store::sync_push::{self, PushCall, PushDecision, PushMutation, PushReject, PushResult, PushVerdict};
use drey_store::sync_told::Telling;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::call::Call;
use crate::feeds::Moved;
use crate::json;
use crate::problem::{Outcome, Problem};
use crate::routes::sync::tell;

/// Push mutations of documents.
///
/// 1. The call's own faults refuse all of it.
/// 2. Each mutation is checked; one that can never be applied is recorded as rejected.
/// 3. The rest is applied, merged, or kept beside what stands.
pub(in crate::routes) async fn push(call: &Call<'_>) -> Outcome<Answer> {
    let mut push: Push<'_> = json::parse_borrowed(&call.body)?;
    let client = check_call(&push)?;
    let mutations = std::mem::take(&mut push.mutations);
    let rejections = mutations.iter().map(|mutation| rejection(call, mutation, &client));
    let rejections = rejections.collect::<Outcome<Vec<_>>>()?;
    let complete = |mutation| with_clock(mutation, &client);
    let mutations: Vec<Mutation<'_>> = mutations.into_iter().map(complete).collect();
    let tellings = tellings(call, &mutations)?;
    let (push, client, rejections) = (&push, &client, &rejections);
    let pushing = Pushing { call, push, client, mutations: &mutations, rejections, tellings: &tellings };
    let told = pushing.rounds().await?;
    tell(call, pushing.moved(&told.result)?)?;
    Ok(answer(&mutations, &told))
}

fn answer(mutations: &[Mutation<'_>], told: &Told) -> Answer {
    let PushResult { results, last_mutation_id, scopes, .. } = &told.result;
    // What did not fit beside those before it was not sent again.
    let left: Vec<String> = mutations
        .iter()
        .skip(told.sent)
        .map(|mutation| format!(r#"{{"id":{},"outcome":"retry"}}"#, mutation.id))
        .collect();
    let results = results.trim().trim_end_matches(']');
    let comma = if left.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"results":{results}{comma}{}],"last_mutation_id":{last_mutation_id},"scopes":{scopes}}}"#,
        left.join(",")
    );
    Answer::bytes(200, "application/json", body.into_bytes())
}

type Rejected = (&'static str, Cow<'static, str>);

fn rejection(call: &Call<'_>, mutation: &Mutation<'_>, client: &ClientId) -> Outcome<Option<Rejected>> {
    match check(mutation, client) {
        Err(rejection) => Ok(Some((rejection.code, rejection.detail))),
        Ok(()) => foreign_user_scope(call, mutation),
    }
}

/// A user's own scope is his alone, whatever roles others have.
fn foreign_user_scope(call: &Call<'_>, mutation: &Mutation<'_>) -> Outcome<Option<Rejected>> {
    let own = call.principal()?.user.to_string();
    let foreign = mutation.scope.scope_type == ScopeType::User.as_str() && mutation.scope.id != own;
    Ok(foreign.then_some(("unknown-scope", Cow::Borrowed("There is no such scope."))))
}

/// An absent clock says that the client has seen its own.
fn with_clock<'a>(mutation: Mutation<'a>, client: &ClientId) -> Mutation<'a> {
    if !mutation.clock.is_empty() {
        return mutation;
    }
    let clock = Clock::new([(client.as_str().to_owned(), mutation.id)]);
    Mutation { clock, ..mutation }
}

/// A push that moves more scopes than these tells of the others without their messages.
const MOST_TOLD: usize = 4;

/// The scopes of these mutations at which somebody waits.
fn tellings(call: &Call<'_>, mutations: &[Mutation<'_>]) -> Outcome<Vec<Telling>> {
    let workspace = call.workspace()?.workspace;
    let mut scopes = BTreeMap::<(&str, &str), usize>::new();
    for Mutation { scope, .. } in mutations {
        *scopes.entry((&scope.scope_type, &scope.id)).or_default() += 1;
    }
    let waited = scopes.into_iter().filter(|((kind, id), _)| call.request.app.feeds.expects(workspace, kind, id));
    let telling =
        |((kind, id), most): ((&str, &str), _)| Telling { scope_type: kind.to_owned(), scope_id: id.to_owned(), most };
    Ok(waited.map(telling).take(MOST_TOLD).collect())
}

/// One push on its way through the rounds.
struct Pushing<'p, 'a> {
    call: &'p Call<'p>,
    push: &'p Push<'a>,
    client: &'p ClientId,
    mutations: &'p [Mutation<'a>],
    rejections: &'p [Option<Rejected>],
    tellings: &'p [Telling],
}

/// What a round answered to the first `sent` mutations.
struct Told {
    result: PushResult,
    sent: usize,
}

/// The outcome of one mutation in a round that wrote nothing.
#[derive(Deserialize)]
struct Outlined<'t> {
    id: i64,
    #[serde(borrow)]
    outcome: Cow<'t, str>,
}

impl Pushing<'_, '_> {
    async fn rounds(&self) -> Outcome<Told> {
        let first = self.send(self.mutations.len(), &[], false).await?;
        if !first.result.is_stale {
            return Ok(first);
        }
        let second = self.decided(&first, false).await?;
        if !second.result.is_stale {
            return Ok(second);
        }
        self.decided(&second, true).await
    }

    /// A round with decisions about what the round before has told.
    async fn decided(&self, told: &Told, else_diverge: bool) -> Outcome<Told> {
        let results: Vec<&RawValue> = parsed(&told.result.results)?;
        let (mut standing, mut open, mut sent) = (Vec::<Standing<'_>>::new(), Vec::new(), 0);
        for (result, mutation) in results.into_iter().zip(self.mutations) {
            let outlined: Outlined<'_> = parsed(result.get())?;
            match &*outlined.outcome {
                "retry" => break,
                "stale" => {
                    standing.push(parsed(result.get())?);
                    open.push(mutation);
                }
                "current" => open.push(mutation),
                _ => {}
            }
            sent += usize::from(outlined.id == mutation.id);
        }
        let decisions = decide(&open, &standing);
        // What is too much to decide at once is not sent, as what is too much to be told.
        let left = open.get(decisions.len()).map(|left| left.id);
        let sent = self.mutations.iter().take(sent).take_while(|mutation| Some(mutation.id) != left).count();
        self.send(sent, &decisions, else_diverge).await
    }

    /// The scopes that this push has moved, with what it has added to those at which somebody waits.
    fn moved(&self, result: &PushResult) -> Outcome<Vec<Moved>> {
        let news: Vec<ScopeNews> = parsed(&result.scopes)?;
        let told = |news: &ScopeNews| {
            let is_it =
                |(telling, _): &(&Telling, _)| telling.scope_type == news.scope_type && telling.scope_id == news.id;
            self.tellings.iter().zip(&result.told).find(is_it).and_then(|(_, messages)| messages.clone())
        };
        Ok(news.into_iter().map(|news| Moved { messages: told(&news), news }).collect())
    }

    async fn send(&self, count: usize, decisions: &[Decision<'_>], else_diverge: bool) -> Outcome<Told> {
        let mut decisions = decisions.iter().peekable();
        let mut rows = Vec::with_capacity(count);
        for (mutation, rejection) in self.mutations.iter().zip(self.rejections).take(count) {
            rows.push(Row {
                mutation,
                rejection: rejection.as_ref(),
                decision: decisions.next_if(|decision| decision.id == mutation.id),
            });
        }
        let clocks = rows.iter().map(Row::clocks).collect::<Outcome<Vec<_>>>()?;
        let mutations: Vec<_> = rows.iter().zip(&clocks).map(|(row, clocks)| row.pushed(clocks)).collect();
        let pushed = PushCall {
            workspace: self.call.workspace()?.workspace,
            client_id: self.client.as_str(),
            session: self.push.session_id,
            acked: self.push.acked_mutation_id,
            mutations: &mutations,
            else_diverge,
            retention: self.call.request.app.config.sync,
            tellings: self.tellings,
        };
        let result = sync_push::push(&self.call.session()?, &pushed).await?;
        Ok(Told { result, sent: count })
    }
}

fn parsed<'t, T: Deserialize<'t>>(text: &'t str) -> Outcome<T> {
    serde_json::from_str(text).map_err(|error| Problem::internal(format!("sync.push: {error}")))
}

/// A mutation with what is to become of it.
struct Row<'r, 'a> {
    mutation: &'r Mutation<'a>,
    rejection: Option<&'r Rejected>,
    decision: Option<&'r Decision<'r>>,
}

impl Row<'_, '_> {
    /// The clock that the client sent, and the one that is written.
    fn clocks(&self) -> Outcome<[String; 2]> {
        let text = |clock| serde_json::to_string(clock).map_err(|error| Problem::internal(error.to_string()));
        let sent = &self.mutation.clock;
        Ok([text(sent)?, text(self.decision.map_or(sent, |decision| &decision.clock))?])
    }

    fn pushed<'s>(&'s self, [own, written]: &'s [String; 2]) -> PushMutation<'s> {
        let mutation = self.mutation;
        if let Some((code, detail)) = self.rejection {
            return rejected(mutation.id, PushReject { code, detail });
        }
        let sent = PushMutation {
            id: mutation.id,
            scope_type: &mutation.scope.scope_type,
            scope_id: &mutation.scope.id,
            entity_type: &mutation.entity.entity_type,
            entity_id: &mutation.entity.id,
            op: &mutation.op,
            base_version: mutation.base_version,
            clock: written,
            value: mutation.value.map(RawValue::get),
            reject: None,
            decision: None,
        };
        let Some((decision, expect_version)) =
            self.decision.and_then(|decision| Some((decision, decision.expect_version?)))
        else {
            return sent;
        };
        let decided = |verdict| Some(PushDecision { verdict, expect_version });
        match &decision.verdict {
            Verdict::Apply => PushMutation { decision: decided(PushVerdict::Apply), ..sent },
            Verdict::Diverge => PushMutation { decision: decided(PushVerdict::Diverge), ..sent },
            Verdict::Merge(merged) => PushMutation {
                op: if merged.is_some() { "upsert" } else { "delete" },
                value: merged.as_deref(),
                decision: decided(PushVerdict::Merge { value: sent.value, clock: own }),
                ..sent
            },
        }
    }
}

/// A refused mutation is recorded by its number alone: its texts may be what Postgres cannot hold, and its value what
/// nobody may keep.
fn rejected(id: i64, reject: PushReject<'_>) -> PushMutation<'_> {
    PushMutation {
        id,
        scope_type: "",
        scope_id: "",
        entity_type: "",
        entity_id: "",
        op: "",
        base_version: None,
        clock: "{}",
        value: None,
        reject: Some(reject),
        decision: None,
    }
}
