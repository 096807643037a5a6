/**
 * People and places for the edge tests: who calls, what he owns, and how a call is made.
 *
 * In scope: arranging a tenant of the test's own through the public API, calling, asserting a problem.
 * Out of scope: the world itself (world.ts), faults and counters (neighbours.ts), sync (pushes.ts).
 */
import { randomBytes, randomUUID } from "node:crypto";
import { expect } from "vitest";
import { judgeFields } from "./fields.ts";
import type { Invitation, Me, Org, OrgRole, Problem, Project, Workspace, WorkspaceRole } from "./shapes.ts";
import { world } from "./world.ts";

export interface User {
  id: string;
  sub: string;
  email: string;
  name: string;
  token: string;
  /** The Worker this user calls unless a call says otherwise. */
  api: string;
}

export interface Answer<T> {
  status: number;
  headers: Headers;
  text: string;
  /** The parsed body; undefined when the body is empty or not JSON. */
  body: T;
}

/** An organisation together with the user who owns it. */
export type OwnedOrg = Org & { owner: User };
/** A workspace together with the user who owns its organisation. */
export type OwnedWorkspace = Workspace & { owner: User };
export type OwnedProject = Project & { owner: User };

/**
 * Sends one request. `body` as a string or bytes goes out as it is, anything else as JSON; `path` may be a whole URL.
 * A header set to null is not sent, also when it would be by default. An answer with a malformed structured field throws.
 */
export async function call<T = Problem>(
  caller: User | null,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string | null> = {},
): Promise<Answer<T>> {
  const url = path.startsWith("http") ? path : `${caller?.api ?? world().api}${path}`;
  const request: RequestInit = { method, headers: requestHeaders(caller, body, headers), redirect: "manual" };
  if (body !== undefined) request.body = encode(body);
  return answerOf<T>(await fetch(url, request));
}

/** The answer in whole; throws for a malformed structured field. */
export async function answerOf<T>(response: Response): Promise<Answer<T>> {
  const text = await response.text();
  judgeFields(response.headers);
  return { status: response.status, headers: response.headers, text, body: parse(text) as T };
}

function requestHeaders(caller: User | null, body: unknown, extra: Record<string, string | null>): Headers {
  const headers = new Headers();
  if (caller) headers.set("authorization", `Bearer ${caller.token}`);
  if (body !== undefined) headers.set("content-type", "application/json");
  for (const [name, value] of Object.entries(extra)) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  return headers;
}

function encode(body: unknown): string | Uint8Array<ArrayBuffer> {
  if (typeof body === "string" || body instanceof Uint8Array) return body as string | Uint8Array<ArrayBuffer>;
  return JSON.stringify(body);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The answer, after checking that it has `status`; the body is part of the failure's message. */
export function expectStatus<T>(answer: Answer<T>, status: number): Answer<T> {
  expect(answer.status, answer.text).toBe(status);
  return answer;
}

/** Checks a problem+json answer whole, apart from its wording, and gives it back. */
export function expectProblem(answer: Answer<unknown>, status: number, code: string): Problem {
  expect({ status: answer.status, code: (answer.body as Problem)?.code, text: answer.text }).toMatchObject({
    status,
    code,
  });
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.headers.get("pragma")).toBe("no-cache");
  const problem = answer.body as Problem;
  expect(problem).toMatchObject({
    type: expect.stringMatching(/^(urn:drey:problem:|https:\/\/iana\.org\/)/),
    title: expect.stringMatching(/\S/),
    status,
    detail: expect.stringMatching(/\S/),
    code,
    request_id: answer.headers.get("x-request-id"),
  });
  return problem;
}

/** A user nobody has seen before, known to drey by one `GET /v1/me`. */
export async function user(api: string = world().api): Promise<User> {
  const unsigned = await strangerTo(api);
  const me = expectStatus(await call<Me>(unsigned, "GET", "/v1/me"), 200);
  return { ...unsigned, id: me.body.id };
}

/** A valid credential whose subject drey has not seen yet; `id` is empty until it has. */
export async function strangerTo(api: string = world().api): Promise<User> {
  const sub = `sub-${randomUUID()}`;
  const claims = { sub, email: `${sub}@example.test`, name: `Name of ${sub.slice(4, 12)}` };
  return { id: "", ...claims, token: await world().token(claims), api };
}

export async function organisation(owner: User, fields: Record<string, unknown> = {}): Promise<OwnedOrg> {
  const answer = await call<Org>(owner, "POST", "/v1/orgs", { name: unique("Org"), ...fields });
  return { ...expectStatus(answer, 201).body, owner };
}

export async function workspace(
  org: { id: string; owner: User },
  fields: Record<string, unknown> = {},
): Promise<OwnedWorkspace> {
  const body = { name: unique("Workspace"), ...fields };
  const answer = await call<Workspace>(org.owner, "POST", `/v1/orgs/${org.id}/workspaces`, body);
  return { ...expectStatus(answer, 201).body, owner: org.owner };
}

export async function project(
  place: OwnedWorkspace,
  fields: Record<string, unknown> = {},
): Promise<OwnedProject> {
  const body = { name: unique("Project"), ...fields };
  const answer = await call<Project>(place.owner, "POST", `/v1/workspaces/${place.id}/projects`, body);
  return { ...expectStatus(answer, 201).body, owner: place.owner };
}

/** A new user with a new organisation and one workspace in it. */
export async function home(api?: string): Promise<OwnedWorkspace> {
  return workspace(await organisation(await user(api)));
}

/** A new user who has joined `org` with `role`. One strict call of the owner: at most ten a minute. */
export async function orgMember(org: { id: string; owner: User }, role: OrgRole): Promise<User> {
  const joining = await user(org.owner.api);
  const token = (await invite(org, { email: joining.email, role })).token;
  expectStatus(await call<Org>(joining, "POST", "/v1/invitations/accept", { token }), 200);
  return joining;
}

/** A new member of the organisation who has `role` in the workspace. */
export async function member(place: OwnedWorkspace, role: WorkspaceRole): Promise<User> {
  const joined = await orgMember({ id: place.org_id, owner: place.owner }, "member");
  const answer = await call(place.owner, "PUT", `/v1/workspaces/${place.id}/members/${joined.id}`, { role });
  expect([200, 201], answer.text).toContain(answer.status);
  return joined;
}

export async function invite(
  org: { id: string; owner: User },
  fields: Record<string, unknown>,
): Promise<Invitation & { token: string }> {
  const body = { email: `${unique("guest")}@example.test`, role: "member", ...fields };
  const answer = await call<Invitation>(org.owner, "POST", `/v1/orgs/${org.id}/invitations`, body);
  const invitation = expectStatus(answer, 201).body;
  expect(invitation.token).toMatch(/\S{32,}/);
  return { ...invitation, token: String(invitation.token) };
}

/** A name nobody else in this run uses; letters, digits and one hyphen, so that it also serves as a slug. */
export function unique(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString("hex")}`;
}

/** A `traceparent` of the test's own and its trace id, for counting only this request's queries. */
export function trace(): { id: string; traceparent: string } {
  const id = randomBytes(16).toString("hex");
  return { id, traceparent: `00-${id}-${randomBytes(8).toString("hex")}-01` };
}

/** How many of these an isolate let in by itself, on a tenth of `limit`, as their gate did not answer. */
export function insured(answers: Answer<unknown>[], limit: number): number {
  const policy = `q=${Math.floor(limit / 10)};`;
  return answers.filter((answer) => answer.headers.get("ratelimit-policy")?.includes(policy)).length;
}

/** The answers of `count` calls that are all in flight at once. */
export function atOnce<T>(count: number, act: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => act(index)));
}

/** The same act, one after the other. */
export async function inTurn<T>(count: number, act: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let index = 0; index < count; index += 1) results.push(await act(index));
  return results;
}

/** A TypeID of this kind that names nothing: a fresh UUIDv7 in the base32 of TypeID. */
export function nowhere(prefix: string): string {
  const uuid = `${Date.now().toString(16).padStart(12, "0")}7${randomHex(3)}8${randomHex(15)}`;
  let rest = BigInt(`0x${uuid}`);
  let encoded = "";
  for (let digit = 0; digit < 26; digit += 1) {
    encoded = BASE32.charAt(Number(rest & 31n)) + encoded;
    rest >>= 5n;
  }
  return `${prefix}_${encoded}`;
}

const BASE32 = "0123456789abcdefghjkmnpqrstvwxyz";

function randomHex(digits: number): string {
  return randomBytes(digits).toString("hex").slice(0, digits);
}
