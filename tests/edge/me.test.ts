/** `/v1/me`: users exist from the first sight of a valid (issuer, subject). */
import { expect, test } from "vitest";
import { atOnce, call, expectStatus, strangerTo } from "./actors.ts";
import type { Me } from "./shapes.ts";
import { world } from "./world.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

test("a user is created at first sight and stays the same", async () => {
  const caller = await strangerTo();
  const first = expectStatus(await call<Me>(caller, "GET", "/v1/me"), 200);
  expect(first.body).toEqual({
    id: expect.stringMatching(/^user_[0-7][0-9a-hjkmnp-tv-z]{25}$/),
    issuer: world().issuer,
    subject: caller.sub,
    email: caller.email,
    name: caller.name,
    created_at: expect.stringMatching(TIME),
  });
  const second = expectStatus(await call<Me>(caller, "GET", "/v1/me"), 200);
  expect(second.body).toEqual(first.body);
});

test("twenty first sights at once on three isolates make one user", async () => {
  const caller = await strangerTo();
  const answers = await atOnce(20, (index) => {
    const api = world().apis[index % 3] ?? world().api;
    return call<Me>({ ...caller, api }, "GET", "/v1/me");
  });
  expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
  expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
});

test("a token without email and name gives a user without them", async () => {
  const caller = await strangerTo();
  const token = await world().token({ sub: caller.sub });
  const answer = expectStatus(await call<Me>({ ...caller, token }, "GET", "/v1/me"), 200);
  expect(answer.body).toMatchObject({ subject: caller.sub, email: null, name: null });
});

test("a later token's email and name are what the user is called from then on", async () => {
  const caller = await strangerTo();
  const before = expectStatus(await call<Me>(caller, "GET", "/v1/me"), 200).body;
  const token = await world().token({ sub: caller.sub, email: "moved@example.test", name: "Moved" });
  const after = expectStatus(await call<Me>({ ...caller, token }, "GET", "/v1/me"), 200).body;
  expect(after).toEqual({ ...before, email: "moved@example.test", name: "Moved" });
});

test("me is private to its credential and answers 304 to its own ETag", async () => {
  const caller = await strangerTo();
  const first = expectStatus(await call<Me>(caller, "GET", "/v1/me"), 200);
  const etag = first.headers.get("etag");
  expect(etag).toMatch(/^"[^"]+"$/);
  expect(first.headers.get("cache-control")).toBe("private, no-cache");
  const again = await call(caller, "GET", "/v1/me", undefined, { "if-none-match": String(etag) });
  expect({ status: again.status, text: again.text, etag: again.headers.get("etag") }).toEqual({
    status: 304,
    text: "",
    etag,
  });
});
