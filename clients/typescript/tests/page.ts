/** What runs in the page of `browser.test.ts`: a client on the browser's own IndexedDB, its functions for the test to call. */
import { Client, indexedDbStore, type Outcome, type SyncState, type Value } from "../src/index.ts";

export interface Place {
  api: string;
  org: string;
  workspace: string;
  token: string;
}

export interface Shown {
  id: string;
  value: Value | null;
  version: number;
  isPending: boolean;
}

export interface Page {
  begin(place: Place): Promise<void>;
  put(id: string, value: Value): Promise<void>;
  shown(): Promise<Shown[]>;
  state(): SyncState;
  /** What has become of the mutations of this page and earlier ones. */
  outcomes(): Outcome["outcome"][];
}

let client: Client;
const outcomes: Outcome["outcome"][] = [];

const page: Page = {
  begin: async ({ token, ...tenant }) => {
    const store = await indexedDbStore(`drey ${tenant.workspace}`);
    client = new Client({ ...tenant, token, store, clientName: "A page", live: "sse" });
    client.on("outcome", ({ outcome }) => outcomes.push(outcome.outcome));
    await client.start();
    client.scope("workspace", tenant.workspace).follow();
  },
  put: async (id, value) => {
    await client.scope("workspace", client.http.tenant.workspace).put({ type: "request", id }, value);
  },
  shown: async () => {
    const views = await client.scope("workspace", client.http.tenant.workspace).list("request");
    return views.map(({ entity, value, server, isPending }) => ({
      id: entity.id,
      value,
      version: server.version,
      isPending,
    }));
  },
  state: () => client.state,
  outcomes: () => outcomes,
};

Object.assign(globalThis, { page });
