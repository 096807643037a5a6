//! What holds in this isolate: the environment, with the newest document of the platform that a gate has sent over it.
//!
//! Gates learn of a change with their refresh and put the document into the grant of an isolate that knows an older one: no
//! request makes a hop or a query for it. What an organisation has of its own is its gates' business.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use drey_core::limit::Limits;
use drey_core::settings::{Effective, Stored, Ttl};

/// The isolate's settings.
#[derive(Debug)]
pub struct Settings {
    base: Effective,
    version: Cell<i64>,
    effective: RefCell<Rc<Effective>>,
}

impl Settings {
    /// Without any document.
    #[must_use]
    pub fn new(limits: Limits, ttl: Ttl) -> Self {
        let base = Effective::new(limits, ttl);
        Self { effective: RefCell::new(Rc::new(base.clone())), version: Cell::new(0), base }
    }

    /// The environment's numbers.
    #[must_use]
    pub fn base(&self) -> Effective {
        self.base.clone()
    }

    /// The version of the platform's document that holds here; 0 for none.
    pub fn version(&self) -> i64 {
        self.version.get()
    }

    /// What holds now.
    pub fn effective(&self) -> Rc<Effective> {
        Rc::clone(&self.effective.borrow())
    }

    /// Takes a document of the platform; an older one than is known changes nothing.
    pub fn learn(&self, platform: &Stored) {
        if platform.version > self.version.get() {
            self.version.set(platform.version);
            let effective = self.base.clone().with_stored([platform.document.as_str()]);
            self.effective.replace(Rc::new(effective));
            tracing::info!(target: "settings", version = platform.version, "the platform's settings changed");
        }
    }
}
