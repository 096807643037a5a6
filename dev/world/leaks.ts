/**
 * What may stand in no log line, in nothing that objects and caches keep, and in no Redis: credentials by their look, the
 * secrets of this world, and whatever tests plant. The whole run is held to it when it ends.
 *
 * In scope: looking. Out of scope: Postgres, where some of it lives by design (digests, replays of creates).
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** What tests plant as a secret begins so. */
export const PLANTED = "planted-";

/** What gives each kind away. `hunter2` is the value of secret variables in tests. */
const LOOKS: [kind: string, look: RegExp][] = [
  ["a signed token", /eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}/g],
  ["an API key", /drey_[a-z]+_key_[0-9a-z]{26}_[0-9A-Za-z]{20,}/g],
  ["an invitation's token", /drey_inv_[\w-]{20,}/g],
  ["a room's ticket", /ticket\.[\w-]{40,}/g],
  ["a password in an address", /postgres(?:ql)?:\/\/[^\s:/"]+:[^\s@/"]+@/g],
  ["what a test planted", new RegExp(`${PLANTED}[\\w-]+|hunter2`, "g")],
];

export interface Leak {
  /** Which log or file. */
  where: string;
  kind: string;
  /** The secret's beginning and what surrounds it. */
  found: string;
}

export class Leaks {
  readonly found: Leak[] = [];
  readonly #looks: [kind: string, look: RegExp][];

  /** `secrets`: this world's own, by name. */
  constructor(secrets: Record<string, string> = {}) {
    const literal = ([name, secret]: [string, string]): [string, RegExp] => [
      name,
      new RegExp(secret.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "g"),
    ];
    this.#looks = [
      ...LOOKS,
      ...Object.entries(secrets)
        .filter(([, secret]) => secret)
        .map(literal),
    ];
  }

  inText(where: string, text: string): void {
    for (const [kind, look] of this.#looks) {
      for (const match of text.matchAll(look)) {
        // Enough to see what it is, too little to leak it once more.
        const before = text.slice(Math.max(0, match.index - 60), match.index);
        this.found.push({ where, kind, found: `${before}[${match[0].slice(0, 12)}…]` });
      }
    }
  }

  /** Everything under this folder, as bytes. */
  async inFolder(where: string, folder: string): Promise<void> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries.filter((one) => one.isFile())) {
      const path = join(entry.parentPath, entry.name);
      this.inText(`${where}${path.slice(folder.length)}`, (await readFile(path)).toString("latin1"));
    }
  }

  /** Throws if anything was found. */
  end(): void {
    if (this.found.length === 0) return;
    const lines = this.found.slice(0, 20).map(({ where, kind, found }) => `${kind} in ${where}: ${found}`);
    throw new Error(`${this.found.length} secrets where none may be:\n${lines.join("\n")}`);
  }
}
