/** `npm run bench [name…] [--short] [--check] [--plot] [--rounds n] [--seconds n] [--drey folder] [--no-build]` */
import { parseArgs } from "node:util";
import { ROOT } from "../dev/paths.ts";
import type { Budget } from "./measure.ts";
import { NAMES } from "./workloads.ts";

export interface Arguments {
  names: string[];
  budget: Budget;
  check: boolean;
  plot: boolean;
  /** Folder with `wrangler.toml` and `build/`: another build of drey may be measured. */
  drey: string;
  build: boolean;
}

/** Five rounds tell the spread, and three seconds are 300 ticks of processor time. */
const FULL: Budget = { rounds: 5, seconds: 3, warmup: 3 };
/** For every push: a regression by a third shows, a tenth does not. */
const SHORT: Budget = { rounds: 3, seconds: 0.8, warmup: 1 };

export function readArguments(): Arguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      plot: { type: "boolean", default: false },
      "no-build": { type: "boolean", default: false },
      rounds: { type: "string" },
      seconds: { type: "string" },
      drey: { type: "string" },
    },
  });
  const unknown = positionals.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) throw new Error(`no workload ${unknown.join(", ")}: there are ${NAMES.join(", ")}`);
  const budget = { ...(values.short ? SHORT : FULL) };
  if (values.rounds) budget.rounds = Number(values.rounds);
  if (values.seconds) budget.seconds = Number(values.seconds);
  return {
    names: positionals.length > 0 ? positionals : NAMES,
    budget,
    check: values.check,
    plot: values.plot,
    drey: values.drey ?? ROOT,
    build: !values["no-build"] && values.drey === undefined,
  };
}
