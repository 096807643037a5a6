/**
 * Faults that a test asks a stand-in to make: which request, how often, what goes wrong.
 * The stand-in decides what each kind means; this file only keeps the list and its HTTP face.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { readJson, sendJson } from "./http.ts";

export interface Fault {
  id: number;
  kind: string;
  /** Milliseconds to wait, for kind `latency`. */
  latency_ms: number;
  /** Only requests whose text contains this; the empty string matches all. */
  match: string;
  /** How often it will still happen. */
  remaining: number;
  /** How often it has happened. */
  fired: number;
}

export class Faults {
  readonly #kinds: readonly string[];
  #faults: Fault[] = [];
  #lastId = 0;

  constructor(kinds: readonly string[]) {
    this.#kinds = kinds;
  }

  /** Throws when `request` is not a fault this stand-in knows. */
  add(request: unknown): Fault {
    const asked = request as Partial<Fault> & { times?: number };
    if (!this.#kinds.includes(asked.kind ?? ""))
      throw new Error(`kind must be one of ${this.#kinds.join(", ")}`);
    const fault: Fault = {
      id: ++this.#lastId,
      kind: asked.kind ?? "",
      latency_ms: asked.latency_ms ?? 0,
      match: asked.match ?? "",
      remaining: asked.times ?? 1,
      fired: 0,
    };
    this.#faults.push(fault);
    return fault;
  }

  /** The faults due for a request with this text, at most one of each kind; each is counted as fired. */
  take(text: string): Map<string, Fault> {
    const due = new Map<string, Fault>();
    for (const fault of this.#faults) {
      if (fault.remaining === 0 || due.has(fault.kind) || !text.includes(fault.match)) continue;
      fault.remaining -= 1;
      fault.fired += 1;
      due.set(fault.kind, fault);
    }
    return due;
  }

  list(): Fault[] {
    return this.#faults;
  }

  clear(id?: number): void {
    this.#faults = id === undefined ? [] : this.#faults.filter((fault) => fault.id !== id);
  }
}

/** `GET`, `POST` and `DELETE` of `/admin/faults[/<id>]`. */
export async function answerFaults(
  faults: Faults,
  id: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method === "GET") return sendJson(response, 200, faults.list());
  if (request.method === "DELETE") {
    faults.clear(id === undefined ? undefined : Number(id));
    return sendJson(response, 200, {});
  }
  try {
    sendJson(response, 201, faults.add(await readJson(request)));
  } catch (error) {
    sendJson(response, 400, { message: String(error) });
  }
}

export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Holds an answer back. What is held when a test run ends keeps nobody from ending. */
export function hold(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
