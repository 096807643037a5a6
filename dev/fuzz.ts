/**
 * `npm run fuzz`: schemathesis against a stack of its own, over every operation of `/openapi.json`, as the owner of a
 * tenant. Fails on any answer that is a 5xx, not documented, or not of its documented shape, and when 5 % or more are 429.
 * After that, what all those requests have left at `/metrics` is read with Prometheus' own parser.
 */
import { readFileSync } from "node:fs";
import { run } from "./command.ts";
import { metrics } from "./fuzz/metrics.ts";
import { tenant } from "./fuzz/tenant.ts";
import { installPython, pythonProgram } from "./python.ts";
import { startStack } from "./stack.ts";
import { WORKER_LOG } from "./wrangler.ts";

/** High enough that a limit never answers what a handler should. */
const SCALE = "100000";
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "missing_required_header",
  "unsupported_method",
  "ignored_auth",
];

const progress = (step: string) => console.log(`drey: ${step}`);
process.exitCode = await fuzz();
process.exit();

async function fuzz(): Promise<number> {
  installPython(progress);
  const cancelled = new AbortController().signal;
  // Live reads end long before the fuzzer gives them up.
  const live = { FEED_LONG_POLL_MS: "500", FEED_SSE_MS: "1000" };
  // A machine that is busy with what is asked is not a gate that is down.
  const vars = { LIMIT_SCALE: SCALE, LOG_FORMAT: "json", GATE_TIMEOUT_MS: "9000", ...live };
  const stack = await startStack({ port: 0, vars, quiet: true, progress, cancelled });
  try {
    const token = await owner(stack.addresses);
    const config = await tenant(stack.addresses.api, token);
    const failed = await schemathesis(stack.addresses.api, token, config);
    return failed + (await metrics(stack.addresses)) + limited();
  } finally {
    await stack.stop();
  }
}

async function owner(addresses: { api: string; issuer: string }): Promise<string> {
  const claims = {
    sub: `fuzz-${process.pid}-${Date.now()}`,
    email: "fuzz@drey.test",
    name: "Fuzz",
    expires_in: 7200,
  };
  const answer = await fetch(`${addresses.issuer}/token`, { method: "POST", body: JSON.stringify(claims) });
  return ((await answer.json()) as { access_token: string }).access_token;
}

function schemathesis(api: string, token: string, config: string): Promise<number> {
  const args = [
    "--config-file",
    config,
    "run",
    `${api}/openapi.json`,
    "-H",
    `Authorization: Bearer ${token}`,
    "--checks",
    CHECKS.join(","),
  ];
  const options = [
    "--max-examples",
    process.env.FUZZ_EXAMPLES ?? "40",
    "--seed",
    process.env.FUZZ_SEED ?? "1",
  ];
  return run(pythonProgram("st"), [...args, ...options, "--no-color"], { PYTHONUNBUFFERED: "1" });
}

/** Statuses by operation, from the Worker's own log: what was covered, and how much of it the limits kept away. */
function limited(): number {
  const lines = readFileSync(WORKER_LOG, "utf8").split("\n");
  const requests = lines
    .filter((line) => line.includes('"target":"request"'))
    .map((line) => JSON.parse(line.slice(line.indexOf("{"))));
  const operations = new Set(
    requests.filter((one) => one.route !== "none").map((one) => `${one.method} ${one.route}`),
  );
  const refused = requests.filter((one) => one.status === 429).length;
  const share = (100 * refused) / Math.max(requests.length, 1);
  console.log(
    `drey: ${requests.length} requests over ${operations.size} operations, ${share.toFixed(1)} % answered 429`,
  );
  for (const operation of [...operations].sort()) console.log(`  ${operation}`);
  return share < 5 && requests.length > 0 ? 0 : 1;
}
