//! What a hot caller costs: nothing is allocated for him.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use drey_core::lease::{Purse, Spend};
use drey_core::limit::LimitView;

use crate::lease::grant;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting for each thread what it is asked for.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one hands everything on as it comes")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn a_lease_is_spent_without_allocation() {
    let view = LimitView { policy: "relaxed".into(), limit: 500, window_s: 60, remaining: 400, reset_s: 1 };
    let mut purse = Purse::default();
    purse.granted(&grant(101, view), 1, 1_000, 1_010);
    let before = ALLOCATED.get();
    for call in 0..100 {
        purse.arrive(1_020 + call, 1);
        assert!(matches!(purse.spend(1_020 + call, 1), Spend::Paid(_)));
        let _ = (purse.is_low(1_020 + call), purse.refusal(1_020 + call, 1));
    }
    assert_eq!(ALLOCATED.get() - before, 0);
    assert!(matches!(purse.spend(1_200, 1), Spend::Empty));
}
