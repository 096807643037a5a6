//! What the requests of one isolate share: configuration, clients that hold only configuration, and bounded memories.
//!
//! Nothing here may ever be awaited by one request and completed by another: the runtime forbids it (workers-rs #255).

use std::cell::RefCell;
use std::rc::Rc;

use drey_durable_objects::environment::ConfigError;
use drey_store::Neon;
use worker::Env;

use crate::admission::{ApiKeys, Floods, Insurance, KeySets, Leases, Remembered, Strangers, Verified};
use crate::cache::flights::Flights;
use crate::cache::memory::Memory;
use crate::cache::public::Tags;
use crate::config::Config;
use crate::edge::log;
use crate::edge::redis::Redis;
use crate::feeds::Feeds;
use crate::load::Load;
use crate::metrics::Meter;
use crate::notices::Revisions;
use crate::router::Index;
use crate::routes::tickets::Refusals;
use crate::settings::Settings;
use crate::wakes::Wakes;

/// One isolate's application.
#[derive(Debug)]
pub struct App {
    /// The environment, checked.
    pub config: Config,
    /// What holds now, by the environment and the platform's document.
    pub settings: Settings,
    /// The Neon client.
    pub neon: Neon,
    /// The second cache, if one is configured.
    pub redis: Option<Redis>,
    /// The route table, indexed.
    pub index: Index,
    /// Tokens verified in this isolate.
    pub verified: Verified,
    /// API keys verified in this isolate.
    pub api_keys: ApiKeys,
    /// The issuers' keys.
    pub keys: KeySets,
    /// Tenants that do not exist for a caller.
    pub remembered: Remembered,
    /// Callers who name tenants that are not theirs.
    pub strangers: Strangers,
    /// Tickets that rooms have refused.
    pub refused_tickets: Refusals,
    /// Addresses that call too much without a known credential.
    pub floods: Floods,
    /// How much is under way.
    pub load: Load,
    /// Copies of answers.
    pub memory: Memory,
    /// Questions that are being asked.
    pub flights: Flights,
    /// The versions of public tags.
    pub tags: Tags,
    /// Leases of callers in tenants.
    pub leases: Leases,
    /// Local buckets for when a gate is down.
    pub insurance: Insurance,
    /// What the operator is told.
    pub metrics: Meter,
    /// Scopes at which somebody waits.
    pub feeds: Feeds,
    /// Rooms that need not be told of pushes at once.
    pub wakes: Wakes,
    /// Gates that need not be told of revisions at once.
    pub revisions: Revisions,
}

thread_local! {
    static APP: RefCell<Option<Rc<App>>> = const { RefCell::new(None) };
}

impl App {
    /// The isolate's application, built at the first request.
    pub fn of(env: &Env) -> Result<Rc<Self>, ConfigError> {
        if let Some(app) = APP.with_borrow(Clone::clone) {
            return Ok(app);
        }
        let app = Rc::new(Self::new(env)?);
        APP.set(Some(Rc::clone(&app)));
        Ok(app)
    }

    fn new(env: &Env) -> Result<Self, ConfigError> {
        let config = Config::from_env(env)?;
        log::install(config.log_console, config.log_level);
        let redis = config.redis.as_ref().map(Redis::new);
        Ok(Self {
            settings: Settings::new(config.limits, config.ttl),
            neon: Neon::new(config.neon.clone()),
            redis,
            index: Index::new().map_err(|problem| drey_durable_objects::environment::wrong("TABLE", problem))?,
            verified: Verified::default(),
            api_keys: ApiKeys::default(),
            keys: KeySets::default(),
            remembered: Remembered::default(),
            strangers: Strangers::default(),
            refused_tickets: Refusals::default(),
            floods: Floods::default(),
            load: Load::new(config.max_in_flight, config.max_body_bytes),
            memory: Memory::default(),
            flights: Flights::default(),
            tags: Tags::default(),
            leases: Leases::default(),
            insurance: Insurance::default(),
            metrics: Meter::new(),
            feeds: Feeds::default(),
            wakes: Wakes::default(),
            revisions: Revisions::default(),
            config,
        })
    }
}
