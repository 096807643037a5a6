/**
 * Our client in real Chromium: what was written offline outlives the page, and tabs of one browser are one client.
 *
 * The page comes from a service worker once it has been loaded, as an application's does that works offline.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import puppeteer, { type Browser, type Page as Tab } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chromium } from "../../../dev/chromium.ts";
import { expectStatus, home, type OwnedWorkspace } from "../../../tests/edge/actors.ts";
import { catchUp, type Device, device, mutation, push, workspaceScope } from "../../../tests/edge/pushes.ts";
import { type OwnCell, poll, world } from "../../../tests/edge/world.ts";
import type { Page, Shown } from "./page.ts";

/** Chromium may have to be installed first. */
const INSTALLING_MS = 300_000;

const SERVICE_WORKER = `
  const keep = async () => (await caches.open("page")).addAll(["/", "/page.js"]);
  self.addEventListener("install", (event) => event.waitUntil(keep().then(() => self.skipWaiting())));
  self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener("fetch", (event) => {
    if (new URL(event.request.url).origin === location.origin) event.respondWith(caches.match(event.request));
  });`;

let cell: OwnCell;
let server: Server;
let origin: string;
let browser: Browser;
/** What pages threw. */
const faults: string[] = [];

beforeAll(async () => {
  browser = await puppeteer.launch(await chromium());
  server = await pages();
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  cell = await world().restart({ CORS_ORIGINS: origin, LIMIT_SCALE: "100" }, { isolates: 1 });
}, INSTALLING_MS);
afterAll(async () => {
  await browser?.close();
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
  await cell?.stop();
});

async function pages(): Promise<Server> {
  const entryPoints = [fileURLToPath(new URL("page.ts", import.meta.url))];
  const bundle = await build({ entryPoints, bundle: true, format: "iife", write: false, target: "es2022" });
  const script = ["text/javascript", bundle.outputFiles[0]?.text ?? ""] as const;
  const html = `<!doctype html><title>drey</title><script src="/page.js"></script>`;
  const served = new Map<string | undefined, readonly [string, string]>([
    ["/", ["text/html", html]],
    ["/page.js", script],
    ["/sw.js", ["text/javascript", SERVICE_WORKER]],
  ]);
  const made = createServer((request, response) => {
    const [type, text] = served.get(request.url) ?? ["text/plain", ""];
    response.writeHead(served.has(request.url) ? 200 : 404, { "content-type": type }).end(text);
  });
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  return made;
}

/** A tab that could be loaded without a network from now on. */
async function open(): Promise<Tab> {
  const tab = await browser.newPage();
  tab.on("pageerror", (error) => faults.push(String(error)));
  await tab.goto(origin);
  await tab.evaluate(async () => {
    await navigator.serviceWorker.register("/sw.js");
    await navigator.serviceWorker.ready;
    if (navigator.serviceWorker.controller) return;
    await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve));
  });
  return tab;
}

/** Takes the tab's network away and gives it back, as its user sees it: `navigator.onLine` and its events tell. */
async function networkOf(tab: Tab): Promise<(is: boolean) => Promise<void>> {
  const session = await tab.createCDPSession();
  await session.send("Network.enable");
  const unlimited = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
  return (is) => session.send("Network.emulateNetworkConditions", { offline: !is, ...unlimited });
}

/** Calls a function of the page's. */
function ask<Name extends keyof Page>(
  tab: Tab,
  name: Name,
  ...args: Parameters<Page[Name]>
): Promise<Awaited<ReturnType<Page[Name]>>> {
  const run = (called: string, given: unknown[]) => {
    const { page } = globalThis as unknown as { page: Record<string, (...all: unknown[]) => unknown> };
    return page[called]?.(...given);
  };
  return tab.evaluate(run, name, args) as Promise<Awaited<ReturnType<Page[Name]>>>;
}

async function begin(tab: Tab, place: OwnedWorkspace): Promise<void> {
  const { id: workspace, org_id: org, owner } = place;
  await ask(tab, "begin", { api: cell.api, org, workspace, token: owner.token });
}

/** The documents as plain HTTP reads them from the log. */
async function standing(place: OwnedWorkspace): Promise<Shown[]> {
  const documents = new Map<string, Shown>();
  for (const { key, value, headers } of await catchUp(place.owner, place, workspaceScope(place))) {
    const id = key.replace("request/", "");
    documents.set(id, { id, value: value as Shown["value"], version: headers.version, isPending: false });
  }
  return [...documents.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
}

async function converges(tab: Tab, place: OwnedWorkspace): Promise<Shown[]> {
  await poll("the queue to drain", async () => (await ask(tab, "state")).pending === 0, 30_000);
  const wanted = JSON.stringify(await standing(place));
  await poll("the page to show it", async () => JSON.stringify(await ask(tab, "shown")) === wanted);
  return JSON.parse(wanted) as Shown[];
}

function write(from: Device, place: OwnedWorkspace, id: string, base_version: number | null, value: object) {
  const change = { entity: { type: "request", id }, base_version, value };
  return push(from, [mutation(from, workspaceScope(place), change)]);
}

test("what is written offline outlives a reload offline, and converges once there is a network", async () => {
  const place = await home(cell.api);
  const tab = await open();
  await begin(tab, place);
  await ask(tab, "put", "a", { name: "a", method: "GET" });
  const [made] = await converges(tab, place);
  expect(made).toMatchObject({ id: "a", version: 1, isPending: false });
  // What others write comes by the stream.
  const other = device(place.owner, place);
  expectStatus(await write(other, place, "b", null, { name: "b", method: "GET" }), 200);
  await poll("what another wrote", async () => (await ask(tab, "shown")).length === 2);

  const network = await networkOf(tab);
  await network(false);
  for (let n = 0; n < 20; n += 1) await ask(tab, "put", `offline-${n}`, { n });
  await ask(tab, "put", "a", { name: "a, offline", method: "GET" });
  await ask(tab, "put", "b", { name: "b, offline", method: "GET" });
  expect((await ask(tab, "state")).pending).toBe(22);
  await tab.reload();
  await begin(tab, place);
  expect((await ask(tab, "state")).pending).toBe(22);
  const kept = await ask(tab, "shown");
  expect(kept.filter(({ isPending }) => isPending)).toHaveLength(22);
  expect(kept.find(({ id }) => id === "a")?.value).toEqual({ name: "a, offline", method: "GET" });
  await ask(tab, "put", "after", { reload: true });

  // Meanwhile another edits what the page has edited: another field, and the same.
  expectStatus(await write(other, place, "a", 1, { name: "a", method: "POST" }), 200);
  expectStatus(await write(other, place, "b", 2, { name: "b, online", method: "GET" }), 200);
  await network(true);
  const all = await converges(tab, place);
  expect(all).toHaveLength(23);
  expect(all.find(({ id }) => id === "a")?.value).toEqual({ name: "a, offline", method: "POST" });
  expect(all.find(({ id }) => id === "b")?.value).toEqual({ name: "b, online", method: "GET" });
  const outcomes = await ask(tab, "outcomes");
  expect(outcomes.length).toBe(23);
  expect([...new Set(outcomes)].sort()).toEqual(["applied", "diverged", "merged"]);
  expect((await ask(tab, "state")).open_divergences).toBe(1);
  await tab.close();
  expect(faults).toEqual([]);
});

test("two tabs are one client: both write at once, nothing is sent twice, both show all", async () => {
  const place = await home(cell.api);
  const tabs = [await open(), await open()];
  for (const tab of tabs) await begin(tab, place);
  await Promise.all(
    tabs.flatMap((tab, of) => Array.from({ length: 10 }, (_, n) => ask(tab, "put", `${of}-${n}`, { n }))),
  );
  for (const tab of tabs) expect(await converges(tab, place)).toHaveLength(20);
  const log = await catchUp(place.owner, place, workspaceScope(place));
  expect(log.map(({ headers }) => headers.mutation_id)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  expect(new Set(log.map(({ headers }) => headers.client_id)).size).toBe(1);
  for (const tab of tabs) await tab.close();
  expect(faults).toEqual([]);
});
