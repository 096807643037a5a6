/**
 * What every npm script runs first, on whatever Node ≥ 20 the machine has: checks the machine, installs what the
 * project needs at pinned versions, and then runs the asked program on the pinned Node. Takes well under a second
 * when nothing is missing. No dependencies: on a clean clone there are none yet.
 *
 *     node dev/bootstrap.mjs [--without-rust] <program> [arguments…]
 */

import { installPackages, pinnedNode } from "./bootstrap/packages.mjs";
import { checkNode, checkRust } from "./bootstrap/prerequisites.mjs";
import { runToTheEnd } from "./bootstrap/run.mjs";
import { installTools } from "./bootstrap/tools.mjs";

const given = process.argv.slice(2);
const withoutRust = given[0] === "--without-rust";
const [program, ...args] = withoutRust ? given.slice(1) : given;

try {
  checkNode();
  if (!withoutRust) checkRust();
  await installPackages();
  if (!withoutRust) await installTools();
  process.exitCode = await runToTheEnd(pinnedNode(), [program, ...args]);
} catch (error) {
  console.error(`drey: ${error.message}`);
  process.exitCode = 1;
}
