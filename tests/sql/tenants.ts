/** Users, organisations, workspaces and projects to try things on, made by the functions that the Worker calls. */
import { type Database, request, uuid } from "./database.ts";

export async function newUser(db: Database): Promise<string> {
  const subject = uuid();
  const row = await db.one({}, "select user_seen($1, $2, $3, $4, $5::uuid) as id", [
    "https://issuer.test",
    subject,
    `${subject}@example.com`,
    "Somebody",
    uuid(),
  ]);
  return row.id ?? "";
}

/** An organisation that this user owns. */
export async function newOrg(db: Database, user: string): Promise<string> {
  const org = uuid();
  await db.as({ user, org }, "select org_create(null, null, null, null, $1, $2::uuid, 'Org', 'weur')", [
    request,
    org,
  ]);
  return org;
}

export async function newWorkspace(db: Database, user: string, org: string): Promise<string> {
  const workspace = uuid();
  await db.as(
    { user, org },
    "select workspace_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'Workspace', $4)",
    [request, org, workspace, workspace],
  );
  return workspace;
}

export async function newProject(
  db: Database,
  caller: { user: string; org: string; workspace: string },
): Promise<string> {
  const project = uuid();
  await db.as(
    caller,
    "select project_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'Project', $4, '')",
    [request, caller.workspace, project, project],
  );
  return project;
}

/** A further user, brought in by an invitation; with a workspace he becomes a member of that too. */
export async function join(
  db: Database,
  owner: string,
  org: string,
  role: string,
  workspace?: { id: string; role: string },
): Promise<string> {
  const user = await newUser(db);
  await accept(db, user, await invite(db, owner, org, role, workspace));
  return user;
}

/** The digest of a fresh invitation. */
export async function invite(
  db: Database,
  user: string,
  org: string,
  role: string,
  workspace?: { id: string; role: string },
): Promise<string> {
  const digest = `\\x${uuid().replaceAll("-", "").repeat(2)}`;
  await db.as(
    { user, org },
    "select invitation_create(null, null, null, null, $1, $2::uuid, $3::uuid, 'b@example.com', $4, $5::uuid, $6, $7::bytea, 24)",
    [request, org, uuid(), role, workspace?.id ?? null, workspace?.role ?? null, digest],
  );
  return digest;
}

export function accept(db: Database, user: string, digest: string, by: string = uuid()) {
  return db.one({ user }, "select * from invitation_accept(null, null, null, null, $1, $2::bytea)", [
    by,
    digest,
  ]);
}

/** A tenant of everything: an owner, his organisation, a workspace and a project in it. */
export interface Tenant {
  user: string;
  org: string;
  workspace: string;
  project: string;
}

export async function newTenant(db: Database): Promise<Tenant> {
  const user = await newUser(db);
  const org = await newOrg(db, user);
  const workspace = await newWorkspace(db, user, org);
  return { user, org, workspace, project: await newProject(db, { user, org, workspace }) };
}
