/** `npm run bench [name…] [--short] [--check] [--accept] [--plot] [--profile] [--rounds n] [--seconds n] [--drey folder] [--beside folder] [--rows n] [--no-build]` */
import { parseArgs } from "node:util";
import { ROOT } from "../dev/paths.ts";
import type { Budget } from "./measure.ts";
import { NAMES } from "./workloads.ts";

export interface Arguments {
  names: string[];
  budget: Budget;
  /** Fail if a ratio is worse than `expected.json` says. */
  check: boolean;
  /** Short rounds of a few workloads: they tell less than long ones. */
  short: boolean;
  /** Make the ratios of this run what is expected. */
  accept: boolean;
  plot: boolean;
  /** Measure nothing; say where the time goes. */
  profile: boolean;
  /** Folder with `wrangler.toml` and `build/`: another build of drey may be measured. */
  drey: string;
  /** Folder of another build, which stands beside this one instead of the peers. */
  beside: string | undefined;
  build: boolean;
}

/** Five rounds tell the spread, and two seconds are 200 ticks of processor time. */
const FULL: Budget = { rounds: 5, seconds: 2, warmup: 2 };
/** For every push: what has 0.4 of the requests/s that it had shows, and what takes 1.6 times the processor time; a tenth does not. After a shorter warm-up V8 has not yet compiled what is hot. */
const SHORT: Budget = { rounds: 5, seconds: 0.5, warmup: 2 };
/** Beside their first peer; one of each kind, of those that ask little of Postgres: the short form ends within 90 seconds, and on a busy machine too. */
const SHORT_NAMES = ["hello", "reads", "304", "429", "catchup10000", "presence10"];

export function readArguments(): Arguments {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      accept: { type: "boolean", default: false },
      plot: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      "no-build": { type: "boolean", default: false },
      rounds: { type: "string" },
      seconds: { type: "string" },
      drey: { type: "string" },
      beside: { type: "string" },
      rows: { type: "string" },
    },
  });
  if (values.accept && values.short) throw new Error("--accept needs the long rounds: leave --short out");
  if (values.plot && positionals.length > 0) throw new Error("--plot draws all workloads: name none");
  const unknown = positionals.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) throw new Error(`no workload ${unknown.join(", ")}: there are ${NAMES.join(", ")}`);
  // What a workload is read at import, also by the thread of the load.
  if (values.rows) process.env.BENCH_ROWS = values.rows;
  const budget = { ...(values.short ? SHORT : FULL) };
  if (values.rounds) budget.rounds = Number(values.rounds);
  if (values.seconds) budget.seconds = Number(values.seconds);
  return {
    names: positionals.length > 0 ? positionals : values.short ? SHORT_NAMES : NAMES,
    budget,
    check: values.check,
    short: values.short,
    accept: values.accept,
    plot: values.plot,
    profile: values.profile,
    drey: values.drey ?? ROOT,
    beside: values.beside,
    build: !values["no-build"] && values.drey === undefined,
  };
}
