/** The client's types are of the API that the Worker has. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { world } from "../../../tests/edge/world.ts";

test("the client's copy of openapi.json is what the Worker answers (else: npm run build && npm run client-types)", async () => {
  const copy = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf8"));
  expect(copy).toEqual(await (await fetch(`${world().api}/openapi.json`)).json());
});
