/**
 * Requests to one workspace: the address, the credential, the tenant's headers, the revision of one's own writes.
 *
 * In scope: one request and its answer. Out of scope: repeating it (insist.ts).
 */
import type { Routes } from "../api/types.ts";
import type { Credential } from "./credential.ts";
import { ApiError, errorOf, hasCode, isCredential, NetworkError } from "./errors.ts";

export interface Tenant {
  /** Where drey is, without a path: `https://api.example.com`. */
  api: string;
  org: string;
  workspace: string;
}

type Route = keyof Routes;

type Asked<Query> = { [Name in keyof Query]?: Query[Name] | undefined } & Record<
  string,
  string | number | undefined
>;

/** What a request carries besides. */
export interface Sent<R extends Route> {
  /** The path's other names, `{ws}` being the workspace. */
  path?: Record<string, string>;
  query?: Asked<Routes[R]["query"]>;
  body?: Routes[R]["body"];
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Instead of the usual one, for reads that wait. */
  deadlineMs?: number;
}

export interface Answer<R extends Route> {
  status: number;
  headers: Headers;
  body: Routes[R]["answer"];
}

const REVISION = "x-drey-revision";

export class Http {
  readonly tenant: Tenant;
  readonly credential: Credential;
  readonly #fetch: typeof fetch;
  readonly #deadlineMs: number;
  /** The newest revision of the workspace that an answer named: no later read may show less. */
  #revision = 0;

  constructor(tenant: Tenant, credential: Credential, options: { fetch: typeof fetch; deadlineMs: number }) {
    this.tenant = tenant;
    this.credential = credential;
    this.#fetch = options.fetch;
    this.#deadlineMs = options.deadlineMs;
  }

  /** Sends one request; throws `ApiError` for every answer above 399 and `NetworkError` for none. */
  call<R extends Route>(route: R, sent: Sent<R> = {}): Promise<Answer<R>> {
    return this.#known(async () => {
      const deadline = AbortSignal.timeout(sent.deadlineMs ?? this.#deadlineMs);
      const response = await this.#accepted(route, sent, deadline);
      return this.#answered(response, await read(response));
    });
  }

  /** An answer that goes on for as long as its reader likes; `signal` ends it. The deadline is that of its head. */
  stream<R extends Route>(route: R, sent: Sent<R>): Promise<Response> {
    return this.#known(async () => {
      const deadline = new AbortController();
      const timeout = setTimeout(() => deadline.abort(), sent.deadlineMs ?? this.#deadlineMs);
      return this.#accepted(route, sent, deadline.signal).finally(() => clearTimeout(timeout));
    });
  }

  async #known<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      // A workspace that was restored has an earlier revision than the one remembered here.
      if (!hasCode(error, "revision-unknown")) throw error;
      this.#revision = 0;
      return send();
    }
  }

  /** An answer below 400. */
  async #accepted<R extends Route>(route: R, sent: Sent<R>, deadline: AbortSignal): Promise<Response> {
    const token = this.credential.token;
    const response = await this.#fetched(route, sent, token, deadline);
    if (response.status < 400) return response;
    const error = errorOf(response.status, response.headers, await read(response), Date.now());
    if (isCredential(error)) this.credential.refuse(token, error);
    throw error;
  }

  async #fetched<R extends Route>(
    route: R,
    sent: Sent<R>,
    token: string,
    deadline: AbortSignal,
  ): Promise<Response> {
    const [method = "GET", path = ""] = route.split(" ");
    const signal = sent.signal ? AbortSignal.any([sent.signal, deadline]) : deadline;
    const request: RequestInit = { method, headers: this.#headers(method, sent, token), signal };
    if (sent.body !== undefined) request.body = JSON.stringify(sent.body);
    try {
      return await this.#fetch(this.#url(path, sent), request);
    } catch (error) {
      throw new NetworkError(error);
    }
  }

  #headers<R extends Route>(method: string, sent: Sent<R>, token: string): Record<string, string> {
    return {
      authorization: `Bearer ${token}`,
      "x-org-id": this.tenant.org,
      "x-workspace-id": this.tenant.workspace,
      ...(sent.body === undefined ? {} : { "content-type": "application/json" }),
      ...(method === "GET" && this.#revision > 0 ? { [REVISION]: String(this.#revision) } : {}),
      ...sent.headers,
    };
  }

  /** Query parameters in the order of their names: the same question is the same address for every cache. */
  #url<R extends Route>(path: string, { path: names = {}, query = {} }: Sent<R>): string {
    const all: Record<string, string> = { ws: this.tenant.workspace, ...names };
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(all[name] ?? ""));
    const url = new URL(filled, this.tenant.api);
    for (const [name, value] of Object.entries(query).sort(([one], [other]) => (one < other ? -1 : 1))) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url.href;
  }

  #answered<R extends Route>(response: Response, text: string): Answer<R> {
    const revision = Number(response.headers.get(REVISION) ?? 0);
    if (revision > this.#revision) this.#revision = revision;
    return { status: response.status, headers: response.headers, body: body(response, text) };
  }
}

/** The body is part of the answer: one that ends too early is none. */
async function read(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    throw new NetworkError(error);
  }
}

function body<T>(response: Response, text: string): T {
  if (text === "") return null as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    // Somebody between here and drey answers in its place.
    throw new ApiError(502, { detail: `the answer ${response.status} is not JSON` }, 0);
  }
}
