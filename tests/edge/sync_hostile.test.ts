/** Pushes that no well-meaning client sends: what is odd is refused or rejected for what it is, and nothing else suffers. */
import { expect, test } from "vitest";
import { call, expectProblem, expectStatus, home } from "./actors.ts";
import {
  catchUp,
  codes,
  type Device,
  device,
  type Mutation,
  mutation,
  openSession,
  push,
  readScope,
  workspaceScope,
} from "./pushes.ts";
import type { PushResult } from "./shapes.ts";

const request = (id: string) => ({ type: "request", id });

/** A push whose text has `raw` where its mutations have the string `RAW`. */
function pushRaw(from: Device, mutations: Mutation[], raw: string) {
  const text = JSON.stringify({ client_id: from.clientId, mutations }).replace('"RAW"', () => raw);
  return call<PushResult>(from.user, "POST", `/v1/workspaces/${from.workspace}/sync/push`, text);
}

test("numbers that cannot be are refused with the call, and the client's own stays free", async () => {
  const place = await home();
  const one = device(place.owner, place);
  const good = mutation(one, workspaceScope(place));
  const raw = (member: string) => pushRaw(one, [{ ...good, [member]: "RAW" } as Mutation], "0");
  expectStatus(await raw("base_version"), 200);
  one.lastId = 1;
  const next = mutation(one, workspaceScope(place));
  for (const number of [
    "0",
    "-1",
    "-0",
    "1.5",
    "2.0",
    "2e0",
    "9007199254740992",
    "1e400",
    '"2"',
    "null",
    "true",
  ]) {
    const answer = await pushRaw(one, [{ ...next, id: "RAW" } as unknown as Mutation], number);
    expect([answer.status, number], answer.text).toEqual([400, number]);
  }
  for (const number of ["NaN", "Infinity", "0x2", "02", "+2", ".2"]) {
    const answer = await pushRaw(one, [{ ...next, id: "RAW" } as unknown as Mutation], number);
    expectProblem(answer, 400, "malformed-json");
  }
  for (const number of ["1.5", "9223372036854775808", "-9223372036854775809", '"1"']) {
    for (const odd of [{ base_version: "RAW" }, { clock: { [one.clientId]: "RAW" } }]) {
      const answer = await pushRaw(one, [{ ...next, ...odd } as unknown as Mutation], number);
      expect([answer.status, number], answer.text).toEqual([400, number]);
    }
  }
  for (const acked of [-1, 1.5, 2 ** 53, "1", []]) {
    expectStatus((await push(one, [next], {}, { acked_mutation_id: acked })) as never, 400);
  }
  expect(expectStatus(await push(one, [next]), 200).body).toMatchObject({ last_mutation_id: 2 });
});

test("numbers twice, backwards or with holes are gaps that name the one expected, and nothing is processed", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  for (const [ids, expected] of [
    [[1, 1], 2],
    [[2, 1], 3],
    [[1, 3], 2],
    [[1, 2, 2, 3], 3],
    [[9007199254740991], 1],
  ] as const) {
    const problem = expectProblem(
      await push(
        one,
        ids.map((id) => ({ ...mutation(one, scope), id, clock: {} })),
      ),
      409,
      "mutation-gap",
    );
    expect([ids, problem.expected_id]).toEqual([ids, expected]);
  }
  expect(await catchUp(place.owner, place, scope)).toEqual([]);
});

test("clocks that are huge, forged or of nobody: no write is lost, and none goes over another", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  const entity = request("a");
  expectStatus(await push(one, [mutation(one, scope, { entity, value: { by: "one" } })]), 200);
  const clock = (others: Record<string, number>) => ({ ...others, [two.clientId]: two.lastId + 1 });
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`c-${n}`, n]));
  const write = (others: Record<string, number>) => {
    const value = { by: "two", id: two.lastId };
    return mutation(two, scope, { entity, base_version: null, clock: clock(others), value });
  };
  const answer = await push(two, [
    write(many(10_000)),
    write(many(256)),
    write({ "with space": 1 }),
    write({ [one.clientId]: Number.MAX_SAFE_INTEGER }),
    write({ nobody: Number.MAX_SAFE_INTEGER }),
    write(many(255)),
    mutation(two, scope),
  ]);
  expect(codes(expectStatus(answer, 200).body)).toEqual([
    "invalid-clock",
    "invalid-clock",
    "invalid-clock",
    "invalid-clock",
    "diverged",
    "diverged",
    "applied",
  ]);
  // One who comes later under the name that was claimed is nobody's hostage.
  const nobody = device(place.owner, place, "nobody");
  const log = await catchUp(place.owner, place, scope);
  expect(log.map(({ value }) => value)).toEqual([{ by: "one" }, expect.anything()]);
  const late = mutation(nobody, scope, { entity, base_version: 1, value: { by: "nobody" } });
  expect(codes(expectStatus(await push(nobody, [late]), 200).body)).toEqual(["applied"]);
});

test("acknowledging what is to come, or less than before, forgets no outcome that is to be told", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const { id: session_id } = expectStatus(await openSession(one), 201).body;
  const state = async () =>
    (
      await call<{ last_acknowledged_mutation_id: number }>(
        place.owner,
        "GET",
        `/v1/workspaces/${place.id}/sync/sessions/${session_id}`,
      )
    ).body;
  const batch = [mutation(one, scope), mutation(one, scope)];
  expectStatus(await push(one, batch, {}, { session_id, acked_mutation_id: Number.MAX_SAFE_INTEGER }), 200);
  // Nobody has been told yet what he says he knows.
  expect(JSON.stringify(await state())).toContain('"acked_mutation_id":0');
  const again = expectStatus(await push(one, batch, {}, { session_id, acked_mutation_id: 0 }), 200);
  expect(again.body.results.map(({ original }) => original?.outcome)).toEqual(["applied", "applied"]);
  const third = mutation(one, scope);
  expectStatus(await push(one, [third], {}, { session_id, acked_mutation_id: 2 }), 200);
  const forgotten = expectStatus(
    await push(one, [...batch, third], {}, { session_id, acked_mutation_id: 1 }),
    200,
  );
  expect(forgotten.body.results.map(({ outcome, original }) => [outcome, original?.outcome])).toEqual([
    ["duplicate", undefined],
    ["duplicate", undefined],
    ["duplicate", "applied"],
  ]);
  expect(JSON.stringify(await state())).toContain('"acked_mutation_id":2');
  expect(await catchUp(place.owner, place, scope)).toHaveLength(3);
});

test("a base that is yet to come is no base, and a delete of what never was is one change", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const [one, two] = [device(place.owner, place), device(place.owner, place)];
  expectStatus(await push(one, [mutation(one, scope, { entity: request("a"), value: { v: 1 } })]), 200);
  for (const base_version of [2, 99, Number.MAX_SAFE_INTEGER]) {
    const early = mutation(two, scope, { entity: request("a"), base_version, value: { v: 2 } });
    expect(codes(expectStatus(await push(two, [early]), 200).body)).toEqual(["diverged"]);
  }
  const fresh = mutation(two, scope, { entity: request("b"), base_version: 7, value: { v: 1 } });
  expect(codes(expectStatus(await push(two, [fresh]), 200).body)).toEqual(["diverged"]);
  const { value: _, ...gone } = mutation(two, scope, { entity: request("never"), op: "delete" });
  expect(codes(expectStatus(await push(two, [gone]), 200).body)).toEqual(["applied"]);
  const log = await catchUp(place.owner, place, scope);
  expect(log.map(({ key, headers }) => [key, headers.operation])).toEqual([
    ["request/a", "insert"],
    ["request/never", "delete"],
  ]);
  const page = await readScope(place.owner, place, scope, "?offset=1_0000000000000002_snapshot");
  expect(expectStatus(page, 200).body.map(({ key }) => key)).toEqual(["request/a"]);
});

test("a value of 256 KiB to the byte comes back to the byte, one byte more is rejected alone", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const sized = (bytes: number) => `{ "a":"${"ü".repeat(100)}${"x".repeat(bytes - 210)}" }`;
  expect(Buffer.byteLength(sized(1_000))).toBe(1_000);
  const [largest, larger] = [sized(262_144), sized(262_145)];
  const write = (raw: string) => pushRaw(one, [mutation(one, scope, { value: "RAW" })], raw);
  expect(codes(expectStatus(await write(largest), 200).body)).toEqual(["applied"]);
  expect(codes(expectStatus(await write(larger), 200).body)).toEqual(["value-too-large"]);
  const read = await readScope(place.owner, place, scope, "?offset=-1");
  expect(read.text.includes(largest) && !read.text.includes(larger)).toBe(true);
});

test("text that is none is malformed; escapes that are no characters are their mutation's fault alone", async () => {
  const place = await home();
  const scope = workspaceScope(place);
  const one = device(place.owner, place);
  const path = `/v1/workspaces/${place.id}/sync/push`;
  const good = mutation(one, scope, { value: "RAW" });
  const body = (mutations: Mutation[], raw: Buffer) => {
    const [head = "", tail = ""] = JSON.stringify({ client_id: one.clientId, mutations }).split('"RAW"');
    return new Uint8Array(Buffer.concat([Buffer.from(head), raw, Buffer.from(tail)]));
  };
  for (const raw of [
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('"}')]),
    Buffer.from('{"a":"\u0001"}'),
    Buffer.from('{"a":"\\ud80"}'),
    Buffer.from('{"a":1,}'),
    Buffer.from('{"a":01}'),
  ]) {
    expectProblem(await call(place.owner, "POST", path, body([good], raw)), 400, "malformed-json");
  }
  for (const member of ["scope", "entity"] as const) {
    const odd = { ...good, [member]: { ...good[member], id: "RAW" }, value: {} };
    const answer = await call(place.owner, "POST", path, body([odd as Mutation], Buffer.from('"\\ud800"')));
    expectProblem(answer, 400, "malformed-json");
  }
  const rest = ['{"a":"\\ud800"}', '{"\\udc00":1}', '{"a":"\\u0000"}', '{"a":1,"a":2}', '{"a":1e999999}'];
  const raws = [...rest, '{"\\ud83d\\ude00":"\\u2028"}'];
  one.lastId = 0;
  const results: string[] = [];
  for (const raw of raws) {
    const answer = await pushRaw(one, [mutation(one, scope, { value: "RAW" })], raw);
    results.push(...codes(expectStatus(answer, 200).body).map(String));
  }
  expect(results).toEqual([
    "invalid-value",
    "invalid-value",
    "invalid-value",
    "applied",
    "applied",
    "applied",
  ]);
  const read = (await readScope(place.owner, place, scope, "?offset=-1")).text;
  for (const raw of raws.slice(3)) expect(read).toContain(raw);
});

test("members given twice are refused with the call", async () => {
  const place = await home();
  const one = device(place.owner, place);
  const text = JSON.stringify({ client_id: one.clientId, mutations: [mutation(one, workspaceScope(place))] });
  for (const [once, twice] of [
    ['"client_id":', '"client_id":"other","client_id":'],
    ['"id":1,', '"id":1,"id":2,'],
    ['"op":', '"op":"delete","op":'],
    ['"value":', '"value":{},"value":'],
    ['"mutations":', '"mutations":[],"mutations":'],
  ] as const) {
    const path = `/v1/workspaces/${place.id}/sync/push`;
    expectProblem(await call(place.owner, "POST", path, text.replace(once, twice)), 400, "invalid-body");
  }
});
