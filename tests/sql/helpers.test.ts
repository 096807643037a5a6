import { afterAll, beforeAll, expect, test } from "vitest";
import { admin, type Database, typeId, uuid } from "./database.ts";

let owner: Database;

beforeAll(() => {
  owner = admin();
});
afterAll(() => owner.end());

const decoded = async (prefix: string, text: string) =>
  (await owner.bare("select typeid_uuid($1, $2) as id", [prefix, text]))[0]?.id;

/** A scope's id is a TypeID text: if Postgres read it otherwise, streams would belong to the wrong thing. */
test("a TypeID is read as what it was written from, and nothing else is read", async () => {
  expect(await decoded("prefix", "prefix_01h455vb4pex5vsknk084sn02q")).toBe(
    "01890a5d-ac96-774b-bcce-b302099a8057",
  );
  for (let n = 0; n < 50; n += 1) {
    const id = uuid();
    expect(await decoded("ws", typeId("ws", id))).toBe(id);
    const [written] = await owner.bare("select typeid_text('ws', $1::uuid) as text", [id]);
    expect(written?.text).toBe(typeId("ws", id));
  }
  const good = typeId("prj", uuid());
  for (const wrong of [
    "",
    "prj_",
    good.toUpperCase(),
    `${good}0`,
    good.slice(0, -1),
    `ws${good.slice(3)}`,
    ` ${good}`,
  ]) {
    expect(await decoded("prj", wrong), wrong).toBeNull();
  }
  expect(await decoded("prj", `prj_8${"0".repeat(25)}`)).toBeNull();
  expect(await decoded("prj", `prj_7${"z".repeat(25)}`)).toBe("ffffffff-ffff-ffff-ffff-ffffffffffff");
});

test("minted ids are UUIDv7 of now", async () => {
  const [row] = await owner.bare(
    "select uuid_v7() as id, floor(extract(epoch from clock_timestamp()) * 1000) as ms",
  );
  expect(row?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const minted = Number.parseInt((row?.id ?? "").replaceAll("-", "").slice(0, 12), 16);
  expect(Math.abs(Number(row?.ms) - minted)).toBeLessThan(1_000);
});
