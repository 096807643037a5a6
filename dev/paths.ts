/**
 * Folders of the checkout, wherever it lies.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Everything the local stack writes, besides `build/` and `target/`; may be deleted at any time while nothing runs. */
export const STATE = join(ROOT, ".drey");

export const MIGRATIONS = join(ROOT, "migrations");

/** Programs of the packages in `node_modules`. */
export function program(name: string): string {
  return join(ROOT, "node_modules", ".bin", name);
}
