/** The package as npm would have it: built by tsc, loaded by plain Node, with nothing in it that browsers lack. */
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const HOME = join(ROOT, "clients", "typescript");

test("what is built loads, and needs nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "drey-client-"));
  try {
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    const options = ["--project", join(HOME, "tsconfig.build.json"), "--outDir", join(folder, "dist")];
    const built = spawnSync(tsc, options, { encoding: "utf8" });
    expect(built.stdout + built.stderr).toBe("");
    await cp(join(HOME, "package.json"), join(folder, "package.json"));
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    expect(manifest.dependencies).toBeUndefined();

    const files = (await readdir(join(folder, "dist"), { recursive: true })).filter((name) =>
      name.endsWith(".js"),
    );
    const foreign = new Map<string, string[]>();
    for (const name of files) {
      const text = await readFile(join(folder, "dist", name), "utf8");
      const imports = [...text.matchAll(/^(?:import|export)[^"]*? from "([^."][^"]*)"/gm)].map(([, from]) =>
        String(from),
      );
      if (imports.length > 0) foreign.set(name, imports);
    }
    // Only the subpath of RxDB needs RxDB.
    expect(Object.fromEntries(foreign)).toEqual({
      [join("rxdb", "index.js")]: ["rxdb/plugins/replication", "rxjs"],
    });

    const script = `const all = await import("drey-client");
      const store = all.memoryStore();
      const client = new all.Client({ api: "http://127.0.0.1:9", org: "o", workspace: "w", token: "t", clientName: "n", store });
      await client.scope("workspace", "w").put({ type: "request", id: "r" }, { a: 1 });
      const presence = Object.keys(await import("drey-client/presence")).sort();
      console.log(JSON.stringify([Object.keys(all).sort(), presence, client.state.pending]));
      client.close();`;
    // Run in the package's own folder, Node resolves its name by its own exports.
    const ran = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: folder,
      encoding: "utf8",
    });
    expect(ran.stderr).toBe("");
    expect(JSON.parse(ran.stdout)).toEqual([
      ["ApiError", "Client", "DreyError", "NetworkError", "indexedDbStore", "memoryStore"],
      ["Room", "join"],
      1,
    ]);
    for (const { types, default: code } of [".", "./presence", "./rxdb"].map(
      (name) => manifest.exports[name],
    )) {
      for (const path of [types, code]) expect(await readFile(join(folder, path), "utf8")).not.toBe("");
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
