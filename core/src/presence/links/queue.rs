//! What waits for one shard, and how much of the room's memory that takes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::super::{Audience, Connection, Order};

/// A frame for sockets of several shards: it is in memory once, and counted once, for as long as it waits for one of them.
#[derive(Debug)]
pub(super) struct Frame {
    text: String,
    held: Rc<Cell<usize>>,
}

impl Frame {
    /// `held`: how many bytes of frames wait.
    pub(super) fn new(text: &str, held: &Rc<Cell<usize>>) -> Rc<Self> {
        held.set(held.get().saturating_add(text.len()));
        Rc::new(Self { text: text.to_owned(), held: Rc::clone(held) })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.held.set(self.held.get().saturating_sub(self.text.len()));
    }
}

/// The orders of one shard, one after the other.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: Bytes,
    /// How many orders have come.
    count: u64,
}

/// How many bytes wait for one shard. Closes are not counted: they are a few words, and wait whatever it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bytes {
    /// Of frames that may wait for others too.
    pub(super) shared: usize,
    /// For single sockets.
    pub(super) sent: usize,
    /// The rest.
    pub(super) own: usize,
}

#[derive(Debug)]
enum Waiting {
    Frame { to: Audience, frame: Rc<Frame> },
    Order(Order),
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// How many orders have come so far, and how many of them wait no more.
    pub(super) fn counts(&self) -> (u64, u64) {
        let waiting = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        (self.count, self.count.saturating_sub(waiting))
    }

    /// Whether the last of all is for this socket alone.
    pub(super) fn ends_with(&self, socket: Connection) -> bool {
        matches!(self.waiting.back(), Some(Waiting::Order(Order::Send { to, .. })) if *to == socket)
    }

    /// A frame for some or all of the shard.
    pub(super) fn share(&mut self, to: Audience, frame: Rc<Frame>) {
        self.add(Waiting::Frame { to, frame });
    }

    /// An order that is no frame for many: those are shared.
    pub(super) fn push(&mut self, order: Order) {
        self.add(Waiting::Order(order));
    }

    fn add(&mut self, waiting: Waiting) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.and(waiting.bytes());
        self.waiting.push_back(waiting);
    }

    /// Closes that were given out and may not have arrived: before everything else.
    pub(super) fn put_back(&mut self, closes: Vec<Order>) {
        for close in closes.into_iter().rev() {
            self.waiting.push_front(Waiting::Order(close));
        }
    }

    /// The first that wait, until they are so many bytes.
    pub(super) fn take(&mut self, most: usize) -> Vec<Order> {
        let (mut orders, mut taken) = (Vec::new(), 0_usize);
        while taken < most
            && let Some(waiting) = self.waiting.pop_front()
        {
            let bytes = waiting.bytes();
            self.bytes = self.bytes.without(bytes);
            taken = taken.saturating_add(bytes.for_all()).saturating_add(bytes.sent);
            orders.push(waiting.into_order());
        }
        orders
    }

    /// Nothing waits any more but closes.
    pub(super) fn drop_frames(&mut self) {
        self.bytes = Bytes::default();
        self.waiting.retain(|waiting| matches!(waiting, Waiting::Order(Order::Close { .. })));
    }
}

impl Bytes {
    /// What is not for single sockets.
    pub(super) fn for_all(self) -> usize {
        self.shared.saturating_add(self.own)
    }

    fn and(self, more: Self) -> Self {
        Self {
            shared: self.shared.saturating_add(more.shared),
            sent: self.sent.saturating_add(more.sent),
            own: self.own.saturating_add(more.own),
        }
    }

    fn without(self, less: Self) -> Self {
        Self {
            shared: self.shared.saturating_sub(less.shared),
            sent: self.sent.saturating_sub(less.sent),
            own: self.own.saturating_sub(less.own),
        }
    }
}

impl Waiting {
    fn bytes(&self) -> Bytes {
        match self {
            Self::Frame { to, frame } => Bytes { shared: frame.text.len(), sent: 0, own: to.bytes() },
            Self::Order(Order::Send { text, .. }) => Bytes { sent: text.len(), ..Bytes::default() },
            Self::Order(Order::Keep { peer }) => Bytes { own: peer.len(), ..Bytes::default() },
            Self::Order(Order::Broadcast { .. } | Order::Close { .. }) => Bytes::default(),
        }
    }

    fn into_order(self) -> Order {
        match self {
            Self::Frame { to, frame } => Order::Broadcast { to, text: frame.text.clone() },
            Self::Order(order) => order,
        }
    }
}
