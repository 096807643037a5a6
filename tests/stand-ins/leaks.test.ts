/** The law that the whole run is held to when it ends finds what it is to find, in text and in bytes. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Leaks, PLANTED } from "../../dev/world/leaks.ts";
import { world } from "../edge/world.ts";

const KEY = `drey_dev_key_${"0".repeat(26)}_${"a".repeat(49)}`;

test("each kind of secret is found, and the report does not repeat it", async () => {
  const token = await world().token({ sub: "somebody" });
  const secrets: [kind: string, text: string][] = [
    ["a signed token", token],
    ["an API key", KEY],
    ["an invitation's token", `drey_inv_${"x".repeat(43)}`],
    ["a room's ticket", `ticket.${"y".repeat(43)}`],
    ["a password in an address", "postgres://drey:pass.word@host/drey"],
    ["what a test planted", `${PLANTED}value`],
    ["the operator's", "0123456789abcdef"],
  ];
  for (const [kind, text] of secrets) {
    const leaks = new Leaks({ "the operator's": "0123456789abcdef" });
    leaks.inText("a log", `{"cause":"${text}"}`);
    expect(leaks.found.map((leak) => leak.kind)).toEqual([kind]);
    expect(() => leaks.end()).toThrow(`1 secrets where none may be:\n${kind} in a log`);
    if (text.length > 20) expect(leaks.found[0]?.found).not.toContain(text);
  }
});

test("what files hold is found in the middle of bytes, and ids and digests are no secrets", async () => {
  const folder = await mkdtemp(join(tmpdir(), "drey-leaks-"));
  await mkdir(join(folder, "do"));
  const leaks = new Leaks();
  const harmless = `key_${"0".repeat(26)} ${"A".repeat(43)} postgres://host:5432/drey`;
  await writeFile(join(folder, "do", "a.sqlite"), Buffer.from(`\0\xff${harmless}\0`, "latin1"));
  await leaks.inFolder("storage", folder);
  expect(leaks.found).toEqual([]);
  await writeFile(join(folder, "do", "b.sqlite"), Buffer.from(`\0\xff${KEY}\0`, "latin1"));
  await leaks.inFolder("storage", folder);
  expect(leaks.found.map(({ where, kind }) => [where, kind])).toEqual([
    ["storage/do/b.sqlite", "an API key"],
  ]);
  await leaks.inFolder("storage", join(folder, "absent"));
  await rm(folder, { recursive: true });
});
