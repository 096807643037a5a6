/**
 * How many requests and statements came in, in all and by the trace they belong to. The Worker puts its `traceparent`
 * into an SQL comment; a test that sends its own trace id counts exactly what its request caused.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { sendJson } from "../http.ts";
import type { Statement } from "./request.ts";

interface Count {
  requests: number;
  statements: number;
}

/** W3C trace context: `version-traceid-parentid-flags`. */
const TRACEPARENT = /\b[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b/;

/** A long `npm run dev` must not grow without bound: the oldest traces are forgotten. */
const MAX_TRACES = 20_000;

export class Counters {
  #total: Count = { requests: 0, statements: 0 };
  readonly #traces = new Map<string, Count>();

  count(statements: Statement[]): void {
    add(this.#total, statements.length);
    const trace = statements.map((statement) => TRACEPARENT.exec(statement.text)?.[1]).find(Boolean);
    if (trace === undefined) return;
    const count = this.#traces.get(trace) ?? { requests: 0, statements: 0 };
    add(count, statements.length);
    this.#traces.set(trace, count);
    if (this.#traces.size > MAX_TRACES) this.#forgetOldest();
  }

  /** `GET /admin/counters[/<trace id>]` and `DELETE /admin/counters`. */
  async answer(trace: string | undefined, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "DELETE") this.#reset();
    if (trace !== undefined) {
      return sendJson(response, 200, this.#traces.get(trace) ?? { requests: 0, statements: 0 });
    }
    sendJson(response, 200, { ...this.#total, traces: Object.fromEntries(this.#traces) });
  }

  #reset(): void {
    this.#total = { requests: 0, statements: 0 };
    this.#traces.clear();
  }

  #forgetOldest(): void {
    const oldest = this.#traces.keys().next();
    if (!oldest.done) this.#traces.delete(oldest.value);
  }
}

function add(count: Count, statements: number): void {
  count.requests += 1;
  count.statements += statements;
}
