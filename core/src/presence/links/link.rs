//! One shard: what it has been told, and whether it does that.

use super::super::{Connection, Order, Orders};
use super::queue::Queue;

#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) shard: u32,
    pub(super) queue: Queue,
    /// Sockets that were not sent what was for them.
    pub(super) skipped: Vec<Connection>,
    pub(super) number: u64,
    /// How many orders have left the queue with the last message, and how many with the last that was answered.
    pub(super) flown: u64,
    pub(super) done: u64,
    /// The closes of the message that is under way: they alone must not get lost.
    pub(super) flying: Option<Vec<Order>>,
    pub(super) state: Health,
    /// It has not answered since that was said.
    pub(super) is_silent: bool,
    /// The last report heard.
    pub(super) heard: (u64, u64),
}

/// Whether a shard does what it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Up,
    /// It has answered after a while, and those there are told anew.
    CatchingUp,
    /// It is tried again at this time.
    Down { retry_ms: u64 },
}

impl Link {
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, Health::Down { .. })
    }

    pub(super) fn is_ready(&self, now_ms: u64) -> bool {
        let due = match self.state {
            Health::Down { retry_ms } => retry_ms <= now_ms,
            Health::CatchingUp => true,
            Health::Up => !self.queue.is_empty(),
        };
        due && self.flying.is_none()
    }

    /// Queues an order. What is for one socket only unless too much waits for others, here too, and it is not the rest of
    /// what that socket is told: a shard goes on with one at a time, however much waits for others.
    pub(super) fn push_unless(&mut self, is_full: bool, order: Order) {
        match order {
            Order::Close { .. } => self.queue.push(order),
            _ if self.is_down() => {}
            Order::Send { to, .. } if is_full && self.queue.bytes().sent > 0 && !self.queue.ends_with(to) => {
                self.skipped.push(to);
            }
            Order::Send { .. } | Order::Broadcast { .. } | Order::Keep { .. } => self.queue.push(order),
        }
    }

    pub(super) fn skipped(&mut self) -> Vec<Connection> {
        if self.state == Health::Up {
            self.state = Health::CatchingUp;
        }
        std::mem::take(&mut self.skipped)
    }

    pub(super) fn fly(&mut self, since: u64, most: usize) -> Orders {
        self.number = self.number.saturating_add(1);
        let orders = self.queue.take(most);
        self.flown = self.queue.counts().1;
        self.flying = Some(orders.iter().filter(|order| is_close(order)).cloned().collect());
        Orders { since, number: self.number, orders }
    }
}

fn is_close(order: &Order) -> bool {
    matches!(order, Order::Close { .. })
}
