//! Telling gates and rooms what a write changed.
//!
//! A notice that is lost costs time, never correctness: gates refresh by themselves, and writes check roles in their
//! own SQL.

mod revisions;

use drey_core::id::{UserId, WorkspaceId};
use drey_core::role::Region;
use drey_durable_objects::workspace_gate::{GateClient, News, Subject};
use drey_durable_objects::workspace_presence::PresenceClient;
use futures::future::join_all;
use worker::Env;

use crate::app::App;
use crate::edge::clock;
use crate::request::Request;

pub use revisions::Revisions;

/// A notice that narrows access holds the answer back; more than this and the answer goes out regardless.
const TIMEOUT_MS: u32 = 1_000;

/// One piece of news.
#[derive(Clone, Copy, Debug)]
pub enum Notice {
    /// A gate's tenant has a new revision.
    Changed(Subject, News),
    /// As `Changed`, for a tenant that was just created: its gate is to live in this region.
    Created(Subject, News, Region),
    /// As `Changed`, and somebody lost access.
    Narrowed(Subject, News),
    /// Nobody knows whether a write happened: the gate is to ask.
    Doubted(Subject),
    /// Somebody lost access to a workspace: his sockets in its room are closed.
    Removed(WorkspaceId, UserId),
    /// A workspace is gone: its room is closed.
    Closed(WorkspaceId),
}

/// Whoever loses access loses it before the 2xx is sent, and a gate is created where its organisation lives before a first
/// call creates it elsewhere; news of a revision alone is told after the answer.
pub async fn tell(request: &Request<'_>, notices: Vec<Notice>) {
    apply(request.app, &notices);
    let (after, first): (Vec<_>, Vec<_>) =
        notices.into_iter().partition(|notice| matches!(notice, Notice::Changed(..)));
    send(request.env, &first).await;
    for notice in after {
        if let Notice::Changed(subject, news) = notice {
            revisions::tell(request, subject, news);
        }
    }
}

/// Applies news to this isolate first: its own leases of before the write count no more.
fn apply(app: &App, notices: &[Notice]) {
    let now_ms = clock::now_ms();
    for notice in notices {
        match notice {
            Notice::Changed(subject, news) | Notice::Created(subject, news, _) | Notice::Narrowed(subject, news) => {
                app.leases.hear(*subject, *news, now_ms);
            }
            Notice::Doubted(subject) => app.leases.doubt(*subject, now_ms),
            Notice::Removed(..) | Notice::Closed(_) => {}
        }
    }
}

/// Sends all notices side by side.
async fn send(env: &Env, notices: &[Notice]) {
    join_all(notices.iter().map(|notice| deliver(env, *notice, notices))).await;
}

/// The epoch after a write that narrowed access to this workspace, if its notice is among these; else 0.
fn epoch_of(workspace: WorkspaceId, notices: &[Notice]) -> i64 {
    let epochs = notices.iter().filter_map(|notice| match notice {
        Notice::Narrowed(subject, news) if *subject == Subject::Workspace(workspace) => Some(news.authz_epoch),
        _ => None,
    });
    epochs.max().unwrap_or_default()
}

async fn deliver(env: &Env, notice: Notice, all: &[Notice]) {
    let gates = GateClient { env, timeout_ms: TIMEOUT_MS };
    let rooms = PresenceClient { env, timeout_ms: TIMEOUT_MS };
    let delivered = match notice {
        Notice::Changed(subject, news) | Notice::Narrowed(subject, news) => gates.tell(&subject, news, None).await,
        Notice::Doubted(subject) => gates.doubt(&subject).await,
        Notice::Created(subject, news, region) => gates.tell(&subject, news, Some(region)).await,
        Notice::Removed(workspace, user) => rooms.narrow(workspace, user, epoch_of(workspace, all)).await,
        Notice::Closed(workspace) => rooms.close(workspace).await,
    };
    if let Err(error) = delivered {
        tracing::warn!(target: "notice", %error, "not delivered");
    }
}
