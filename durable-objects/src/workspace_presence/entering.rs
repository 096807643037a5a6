//! Coming in: by an admitted upgrade, by a ticket, or only to hear.

use drey_core::presence::{Identity, Places, Seating, Sent};
use drey_core::refusal::{Code, Refusal};
use worker::{Date, Response, WebSocketPair};

use super::check::{self, Standing};
use super::room::Listener;
use super::{WorkspacePresence, admitted, turned};
use crate::rpc;
use crate::scope_feed::outlet;

impl WorkspacePresence {
    /// Accepts an upgrade that the Worker admitted.
    pub(super) async fn join(&self, identity: Identity) -> worker::Result<Response> {
        let now_ms = Date::now().as_millis();
        match self.in_hall(|hall| hall.room.seat_for(&identity, &hall.links.down(), now_ms)) {
            Ok(Seating::Here) => self.seat(identity).await,
            Ok(Seating::Shard { shard, connection }) => {
                self.know(identity.workspace, shard)?;
                self.act(|_, _| Vec::new()).await?;
                rpc::reply(&Sent { shard, connection, identity })
            }
            Err(refusal) => turned(&refusal),
        }
    }

    /// Keeps a socket here.
    async fn seat(&self, identity: Identity) -> worker::Result<Response> {
        let pair = WebSocketPair::new()?;
        let mut refused = None;
        self.act(|hall, now_ms| match hall.join(&self.state, identity, &pair.server, now_ms) {
            Ok(effects) => effects,
            Err(refusal) => {
                refused = Some(refusal);
                Vec::new()
            }
        })
        .await?;
        match refused {
            Some(refusal) => turned(&refusal),
            None => Response::from_websocket(pair.client),
        }
    }

    /// Opens a stream of events.
    pub(super) async fn listen(
        &self,
        identity: &str,
        last_event: Option<String>,
        at: Option<Places>,
    ) -> worker::Result<Response> {
        let identity = admitted(identity)?;
        let (mut refused, mut response) = (None, None);
        self.act(|hall, now_ms| {
            let open = |connection| {
                let ticker = self.ticker.clone();
                let outlet = outlet::open(move || ticker.left(connection)).ok()?;
                response = outlet.response().ok();
                Some(outlet)
            };
            refused = hall.listen(Listener { identity, last_event, at, now_ms }, open).err();
            Vec::new()
        })
        .await?;
        match (refused, response) {
            (Some(refusal), _) => turned(&refusal),
            (None, Some(response)) => Ok(Response::from(response)),
            (None, None) => turned(&Refusal::new(Code::Internal, "the stream could not be made")),
        }
    }

    /// Accepts an upgrade by its ticket, which is used up whatever comes of it. What was true when it was made is asked
    /// again: a removal since then may have been told to nobody.
    pub(super) async fn redeem(&self, digest: &str) -> worker::Result<Response> {
        let Some(identity) = self.tickets.take(digest, Date::now().as_millis()) else {
            let detail = "The ticket is used, expired or of another workspace. Ask for a new one.";
            return turned(&Refusal::new(Code::InvalidToken, detail));
        };
        match check::standing(&self.env, identity.workspace, identity.user_id).await {
            Some(Standing::In { authz_epoch }) if is_overtaken(&identity, authz_epoch) => {
                turned(&Refusal::new(Code::InvalidToken, "Roles or keys have changed since. Ask for a new ticket."))
            }
            Some(Standing::In { .. }) => self.join(identity).await,
            Some(Standing::Out) => {
                turned(&Refusal::new(Code::NotFound, "There is no such resource, or it is not yours."))
            }
            None => {
                let refusal = Refusal::new(Code::GateUnavailable, "Admission does not answer. Ask for a new ticket.");
                turned(&refusal.with_retry_after(1))
            }
        }
    }
}

/// Whether the key that asked for a ticket may have been revoked since: that moves the epoch, as every change of a role does. A
/// program whose key still stands asks once more.
fn is_overtaken(identity: &Identity, authz_epoch: i64) -> bool {
    identity.api_key.is_some() && authz_epoch > identity.authz_epoch
}
