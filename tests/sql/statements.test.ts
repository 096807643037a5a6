import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { admin, app, type Caller, type Database, typeId, uuid } from "./database.ts";
import { type Statement, statements } from "./statements.ts";
import { newTenant, type Tenant } from "./tenants.ts";

let list: Statement[];
let db: Database;
let tenant: Tenant;

beforeAll(async () => {
  list = await statements();
  db = app();
  tenant = await newTenant(db);
}, 600_000);
afterAll(() => db.end());

/** Parameters of the hot statements, for a plan of real values. */
function parameters(name: string): string[] {
  const { user, org, workspace, project } = tenant;
  const page = ["51", "2026-11-20 00:00:00+00", uuid()];
  const known: Record<string, string[]> = {
    settings: [user, org, workspace, "1000", "", ""],
    "gate.workspace": [workspace],
    "gate.org": [org],
    "org.list": page,
    "org.get": [org],
    "org_member.list": [org, ...page],
    "workspace.list": [org, ...page],
    "workspace.get": [workspace],
    "workspace_member.list": [workspace, ...page],
    "project.list": [workspace, ...page],
    "project.get": [workspace, project],
    "sync.newest": [workspace, "project", typeId("prj", project)],
    "sync.read": [workspace, "project", typeId("prj", project), "0", "1048576"],
    "sync.told": [workspace, "project", typeId("prj", project), "1", "65536"],
  };
  const found = known[name];
  if (!found) throw new Error(`the hot statement ${name} has no parameters here`);
  return found;
}

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Cond"?: string;
  Plans?: Plan[];
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

async function explain(statement: Statement): Promise<Plan[]> {
  const caller: Caller = { user: tenant.user, org: tenant.org, workspace: tenant.workspace };
  const row = await db.one(caller, `explain (format json) ${statement.sql}`, parameters(statement.name));
  const [{ Plan: plan }] = JSON.parse(row["QUERY PLAN"] ?? "") as [{ Plan: Plan }];
  return nodes(plan);
}

test("every statement prepares on the migrated database, as the Worker's role", async () => {
  expect(list.length).toBeGreaterThan(30);
  for (const { name, sql } of list) {
    const prepared = await db.bare(`prepare "${name}" as ${sql}`).catch((error) => `${name}: ${error}`);
    expect(prepared, name).toEqual([]);
  }
});

describe("the plans of the hot statements", () => {
  beforeAll(async () => {
    // On tables of a few rows the planner rightly reads them whole. What is asked here is whether an index CAN serve.
    const owner = admin();
    await owner.bare("alter role drey_app set enable_seqscan = off");
    await owner.end();
    await db.end();
    db = app();
  });
  afterAll(async () => {
    const owner = admin();
    await owner.bare("alter role drey_app reset enable_seqscan");
    await owner.end();
  });

  test("none reads a table from end to end", async () => {
    for (const statement of list.filter(({ hot }) => hot)) {
      const whole = (await explain(statement)).filter(
        (node) =>
          node["Node Type"] === "Seq Scan" ||
          (node["Node Type"].includes("Index") && node["Relation Name"] && !node["Index Cond"]),
      );
      expect(whole, statement.name).toEqual([]);
    }
  });

  test("a list walks its index in order: no page sorts more than itself", async () => {
    // Of a function no plan is told here: read_plan.test.ts has the projects'.
    for (const statement of list.filter(
      ({ name, sql, hot }) => hot && name.endsWith(".list") && !sql.includes("_page("),
    )) {
      const scanned = (await explain(statement)).filter(
        (node) => node["Index Cond"]?.includes("ROW(") && node["Node Type"] === "Index Scan",
      );
      expect(scanned.length, statement.name).toBeGreaterThan(0);
    }
  });

  test("a read of a stream touches one partition", async () => {
    const statement = list.find(({ name }) => name === "sync.read");
    expect(statement).toBeDefined();
    if (!statement) return;
    const touched = (await explain(statement)).flatMap((node) =>
      node["Relation Name"]?.startsWith("sync_change_") ? [node["Relation Name"]] : [],
    );
    expect(new Set(touched).size).toBe(1);
  });
});
