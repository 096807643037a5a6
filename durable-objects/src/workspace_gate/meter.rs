//! The buckets of a gate: in memory, with their marks stored ahead in the object's `SQLite`.
//!
//! A reply waits behind the output gate until the rows it rests on are stored
//! (<https://developers.cloudflare.com/durable-objects/reference/in-memory-state/>), so a restart admits at most what
//! its marks allow. A caller that no bucket holds against is stored nowhere.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use drey_core::limit::{
    Bucket, BucketKind, BucketSpec, Charge, Limits, Mark, Stored, Tier, Wish, bucket_name, charge_up_to, refusal,
    would_refuse,
};
use drey_core::role::Plan;
use drey_core::settings::Effective;
use serde::Deserialize;
use worker::{SqlStorage, SqlStorageValue};

use super::Subject;

/// Every so many charges the full buckets are forgotten, in memory and in storage.
const SWEEP_EVERY: u32 = 1024;

/// Who pays: the names of the three buckets.
#[derive(Debug)]
pub(super) struct Payer {
    pub(super) subject: Subject,
    pub(super) principal: Option<String>,
    pub(super) address: String,
}

impl Payer {
    /// The buckets of a request. Outside of a tenant there is nobody to share with: one bucket.
    pub(super) fn buckets(&self, limits: &Limits, tier: Tier, plan: Plan) -> Vec<(String, BucketSpec)> {
        let principal = self.principal.as_ref().unwrap_or(&self.address);
        let named = |kind, subject: &str| (bucket_name(kind, tier, subject), limits.bucket(tier, kind, plan));
        let own = named(BucketKind::Principal, principal);
        match self.subject {
            Subject::User(_) | Subject::Anonymous(_) => vec![own],
            Subject::Workspace(_) | Subject::Org(_) => {
                vec![own, named(BucketKind::Address, &self.address), named(BucketKind::Workspace, "")]
            }
        }
    }
}

/// What is paid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) tier: Tier,
    pub(super) plan: Plan,
    pub(super) cost: u32,
    pub(super) wish: Wish,
}

/// A gate's buckets.
#[derive(Debug)]
pub(super) struct Meter {
    sql: SqlStorage,
    buckets: RefCell<BTreeMap<String, Bucket>>,
    charges: Cell<u32>,
}

#[derive(Deserialize)]
struct Row {
    mark: f64,
    block_until_ms: f64,
}

impl Meter {
    pub(super) fn new(sql: SqlStorage) -> Self {
        Self { sql, buckets: RefCell::default(), charges: Cell::new(0) }
    }

    /// Charges all buckets of a request or none, then for the tokens to lease, and stores what the answer rests on. Last come
    /// the policies in shadow that would have refused.
    pub(super) fn charge(
        &self,
        settings: &Effective,
        payer: &Payer,
        price: Price,
        now_ms: u64,
    ) -> worker::Result<Option<(Charge, u32, Vec<String>)>> {
        let (names, mut held) = self.buckets(settings, payer, price, now_ms)?;
        let shadow = would_refuse(&held, now_ms, price.cost);
        let outcome = charge_up_to(&mut held, now_ms, price.cost, price.wish);
        for (name, mut bucket) in names.into_iter().zip(held) {
            if let Some(row) = bucket.unsaved() {
                self.save(&name, row)?;
                bucket.saved(row);
            }
            self.buckets.borrow_mut().insert(name, bucket);
        }
        self.sweep(now_ms)?;
        Ok(outcome.map(|(charge, extra)| (charge, extra, shadow)))
    }

    /// What would refuse this price, with nothing charged and nothing stored.
    pub(super) fn refusal(
        &self,
        settings: &Effective,
        payer: &Payer,
        price: Price,
        now_ms: u64,
    ) -> worker::Result<Option<Charge>> {
        let (_, held) = self.buckets(settings, payer, price, now_ms)?;
        Ok(refusal(&held, now_ms, price.cost))
    }

    /// The buckets of a payer as they stand, with their names.
    fn buckets(
        &self,
        settings: &Effective,
        payer: &Payer,
        price: Price,
        now_ms: u64,
    ) -> worker::Result<(Vec<String>, Vec<Bucket>)> {
        self.prepare()?;
        let (names, specs): (Vec<_>, Vec<_>) =
            payer.buckets(&settings.limits, price.tier, price.plan).into_iter().unzip();
        let mut held = Vec::with_capacity(names.len());
        for (name, spec) in names.iter().zip(specs) {
            let bucket = self.bucket(name, spec, now_ms)?;
            held.push(bucket.in_shadow(settings.is_shadow(&bucket.policy())));
        }
        Ok((names, held))
    }

    /// The table is made at the first charge, not at construction: a gate that only ever refuses strangers stores
    /// nothing at all.
    fn prepare(&self) -> worker::Result<()> {
        if self.charges.get() == 0 {
            let table = "create table if not exists bucket \
                         (name text primary key, mark real not null, block_until_ms real not null) without rowid";
            self.sql.exec(table, None)?;
        }
        Ok(())
    }

    fn bucket(&self, name: &str, spec: BucketSpec, now_ms: u64) -> worker::Result<Bucket> {
        if let Some(bucket) = self.buckets.borrow().get(name) {
            return Ok(bucket.with_spec(spec, now_ms));
        }
        let query = "select mark, block_until_ms from bucket where name = ?";
        let rows: Vec<Row> = self.sql.exec(query, vec![SqlStorageValue::from(name.to_owned())])?.to_array()?;
        Ok(rows.first().map_or_else(|| Bucket::fresh(spec), |row| Bucket::restart(spec, stored(row))))
    }

    fn save(&self, name: &str, row: Stored) -> worker::Result<()> {
        let Mark(mark) = row.mark;
        let statement = "insert into bucket (name, mark, block_until_ms) values (?, ?, ?) \
                         on conflict (name) do update set mark = excluded.mark, block_until_ms = excluded.block_until_ms";
        let values = vec![SqlStorageValue::from(name.to_owned()), number(mark), number(row.block_until_ms)];
        self.sql.exec(statement, values)?.to_array::<Row>().map(|_| ())
    }

    fn sweep(&self, now_ms: u64) -> worker::Result<()> {
        let charges = self.charges.get().wrapping_add(1).max(1);
        self.charges.set(charges);
        if !charges.is_multiple_of(SWEEP_EVERY) {
            return Ok(());
        }
        self.buckets.borrow_mut().retain(|_, bucket| !bucket.is_idle(now_ms));
        let values = vec![number(now_ms.saturating_mul(1000)), number(now_ms)];
        self.sql
            .exec("delete from bucket where mark <= ? and block_until_ms <= ?", values)?
            .to_array::<Row>()
            .map(|_| ())
    }
}

/// Both numbers stay far below 2^53, which a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 stay below 2^53 until the year 2255")]
fn number(value: u64) -> SqlStorageValue {
    SqlStorageValue::Float(value as f64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "written by `number` from whole numbers")]
fn stored(row: &Row) -> Stored {
    Stored { mark: Mark(row.mark.max(0.0) as u64), block_until_ms: row.block_until_ms.max(0.0) as u64 }
}
