/**
 * The checks around the build: they must fail, and say what is wrong.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ROOT } from "../../dev/paths.ts";
import { checkBuild } from "../../scripts/check-build.mjs";
import { withPlainEntry } from "../../scripts/entry.mjs";
import { withBoundedFrames } from "../../scripts/frames.mjs";
import { holderOf, identityOf, isAlive, takeLock } from "../../scripts/lock.mjs";
import { withoutNames } from "../../scripts/wasm.mjs";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "drey-build-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the built Worker against wrangler.toml", () => {
  const CONFIG = `
name = "worker"
[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Room"]
[[ratelimits]]
name = "CALLS"
namespace_id = "1"
[env.production]
name = "worker-production"
[[env.production.durable_objects.bindings]]
name = "HALL"
class_name = "Hall"
`;

  function write(shim: string, wasm: string): void {
    mkdirSync(join(folder, "build"));
    writeFileSync(join(folder, "wrangler.toml"), CONFIG);
    writeFileSync(join(folder, "build", "index.js"), shim);
    writeFileSync(join(folder, "build", "index_bg.wasm"), wasm);
  }

  test("passes when every class and binding is there, in every environment", () => {
    write("class a{};export{a as Room,b as default};export class Hall{}", "…ROOM…CALLS…HALL…");
    expect(() => checkBuild(folder)).not.toThrow();
  });

  test("fails naming the class that is not exported", () => {
    write("class Hall{};export{a as Room,b as default}", "…ROOM…CALLS…HALL…");
    expect(() => checkBuild(folder)).toThrow("class Hall is not exported");
  });

  test("fails naming the binding that nobody knows", () => {
    write("export{a as Room,c as Hall,b as default}", "…ROOM…HALL…");
    expect(() => checkBuild(folder)).toThrow("binding CALLS is not known to the code");
  });
});

test("a missing tool is named with the line that installs it", () => {
  // A PATH with npm and its Node, and nothing else of this machine.
  for (const name of ["npm", "node"]) {
    const found = spawnSync("which", [name], { encoding: "utf8" }).stdout.trim();
    symlinkSync(found, join(folder, name));
  }
  const ran = spawnSync(process.execPath, ["dev/bootstrap.mjs", "dev/build.ts"], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, PATH: folder },
  });
  expect(ran.status).toBe(1);
  expect(ran.stderr).toMatch(/missing: rustup\. Install: {2}curl .*sh\.rustup\.rs/);
  expect(ran.stderr).toMatch(/missing: a C compiler \(cc\)\. Install: {2}.*install/);
  expect(ran.stderr).toMatch(/missing: the OpenSSL headers\. Install: /);
});

test("a room's frame that is too large is not handed to WebAssembly, and its sender is turned away all the same", async () => {
  const source = ["WorkspacePresence", "PresenceShard"].map(
    (name) => `class ${name[0]}{webSocketMessage(_,message){return message}}export{${name[0]} as ${name}}`,
  );
  const module = `data:text/javascript,${encodeURIComponent(withBoundedFrames(source.join(";")))}`;
  const classes = Object.values(await import(module)) as (new () => Hears)[];
  expect(classes).toHaveLength(2);
  for (const Class of classes) {
    const hear = (message: unknown) => new Class().webSocketMessage(undefined, message);
    expect(hear("x".repeat(MAX_FRAME))).toBe("x".repeat(MAX_FRAME));
    expect(hear("x".repeat(30 * 1024 * 1024))).toBe("x".repeat(MAX_FRAME + 1));
    expect(hear(new ArrayBuffer(30 * 1024 * 1024))).toEqual(new ArrayBuffer(0));
  }
});

/** `core/src/presence.rs`: a state of 4,096 bytes, and 1,024 for what is around it. */
const MAX_FRAME = 4096 + 1024;

interface Hears {
  webSocketMessage(socket: unknown, message: unknown): unknown;
}

describe("locks between processes", () => {
  test("one holds, the other is told who", () => {
    const name = `test-${process.pid}`;
    const release = takeLock(name);
    expect(holderOf(name)).toBe(String(process.pid));
    expect(takeLock(name)).toBeUndefined();
    release?.();
    takeLock(name)?.();
  });

  test("a process that is gone holds nothing, nor does another with its id", () => {
    const gone = spawnSync("true").pid;
    expect(isAlive(`${gone} 1`)).toBe(false);
    expect(isAlive(`${process.pid} 1`)).toBe(false);
    expect(isAlive(identityOf(process.pid))).toBe(true);
  });
});

test("a module loses its names and nothing else", () => {
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const custom = (name: string, ...content: number[]) => {
    const body = [name.length, ...Buffer.from(name), ...content];
    return [0, body.length, ...body];
  };
  // One function type without parameters and results, in section 1.
  const types = [1, 4, 1, 0x60, 0, 0];
  const module = Buffer.from([...header, ...types, ...custom("name", 7, 7), ...custom("producers", 0)]);
  const stripped = withoutNames(module);
  expect([...stripped]).toEqual([...header, ...types, ...custom("producers", 0)]);
});

describe("the plain entry", () => {
  const SHIM =
    'function q(){s.criticalError&&b()}addEventListener("error",r=>{x(r.error)});' +
    "n.prototype.fetch=async function(e){let t=go$(e,this.env,this.ctx);return this.ctx.waitUntil(t),t};" +
    "export{a as Room,f as default};";

  test("takes the place of the class, calls the same functions, and leaves the objects alone", () => {
    const entry = withPlainEntry(SHIM);
    expect(entry).toContain("export{a as Room,plainEntry as default}");
    for (const call of ["q();", "go$(request, env, context)", "x(error);"]) expect(entry).toContain(call);
  });

  test("fails when worker-build writes something else", () => {
    expect(() => withPlainEntry(SHIM.replace("waitUntil", "keepAlive"))).toThrow("no serve in worker-build");
  });
});
