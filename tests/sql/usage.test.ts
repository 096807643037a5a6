/** The days of an organisation: reserved to the last unit, by however many at once, and seen by nobody else. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { world } from "../edge/world.ts";
import { Database } from "./database.ts";
import { newOrg, newUser } from "./tenants.ts";

const RESERVE =
  "select units, used from quota_reserve($1::uuid, $2::date, $3::bigint, $4::bigint, $5::bigint)";
const DAY = "2026-11-21";

let db: Database;
beforeAll(() => {
  db = new Database(world().appDatabaseUrl);
});
afterAll(() => db.end());

test("reservations at once never pass the quota, and leave nothing of it", async () => {
  const { org } = await owned();
  const wanted = Array.from({ length: 40 }, (_, index) => String((index % 7) + 1));
  const rows = await Promise.all(wanted.map((units) => reserve(org, units, "0", "100")));
  expect(rows.reduce((sum, row) => sum + Number(row.units), 0)).toBe(100);
  expect(await reserve(org, "1", "0", "100")).toEqual({ units: "0", used: "100" });
});

test("what is owed is counted whether the quota has it or not, and nothing is given beyond", async () => {
  const { org } = await owned();
  expect(await reserve(org, "5", "0", "10")).toEqual({ units: "5", used: "5" });
  expect(await reserve(org, "5", "8", "10")).toEqual({ units: "0", used: "13" });
  expect(await reserve(org, "5", "0", "50")).toEqual({ units: "5", used: "18" });
});

test("a day is its own: the next one is full, also for the first two that come", async () => {
  const { org } = await owned();
  await reserve(org, "10", "0", "10");
  const next = await Promise.all([1, 2].map(() => reserve(org, "10", "0", "10", "2026-11-22")));
  expect(next.map((row) => Number(row.units)).sort((a, b) => a - b)).toEqual([0, 10]);
});

test("another organisation sees no day and reserves none", async () => {
  const [mine, theirs] = [await owned(), await owned()];
  await reserve(theirs.org, "5", "0", "10");
  expect(await db.as(mine, "select 1 from org_usage where org_id = $1", [theirs.org])).toEqual([]);
  await expect(db.one(mine, RESERVE, [theirs.org, DAY, "1", "0", "10"])).rejects.toThrow(
    "row-level security",
  );
  await expect(db.as(theirs, "delete from org_usage")).rejects.toThrow("permission denied");
});

async function owned(): Promise<{ user: string; org: string }> {
  const user = await newUser(db);
  return { user, org: await newOrg(db, user) };
}

/** As a gate does: for the organisation, in nobody's name. */
function reserve(org: string, wanted: string, owed: string, quota: string, day = DAY) {
  return db.one({ org }, RESERVE, [org, day, wanted, owed, quota]);
}
