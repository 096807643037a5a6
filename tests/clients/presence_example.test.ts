/** `examples/presence` in real Chromium: two people in two browsers. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chromium } from "../../dev/chromium.ts";
import { STATE } from "../../dev/paths.ts";
import { freePort, LOOPBACK } from "../../dev/ports.ts";
import config, { sessions } from "../../examples/presence/vite.config.ts";
import { type OwnCell, poll, world } from "../edge/world.ts";

const SCREENSHOT = join(STATE, "presence-example.png");
/** Chromium may have to be installed first. */
const INSTALLING_MS = 300_000;

let cell: OwnCell;
let server: ViteDevServer;
let origin: string;
const browsers: Browser[] = [];
/** What pages complained of. */
const faults: string[] = [];

beforeAll(async () => {
  const port = await freePort();
  origin = `http://${LOOPBACK}:${port}`;
  cell = await world().restart({ CORS_ORIGINS: origin });
  const stack = { api: cell.api, issuer: world().issuer };
  server = await createServer({
    ...config,
    configFile: false,
    logLevel: "error",
    server: { host: LOOPBACK, port, strictPort: true },
    plugins: [sessions(() => stack)],
  });
  await server.listen();
  const options = await chromium();
  for (let n = 0; n < 2; n += 1) browsers.push(await puppeteer.launch(options));
}, INSTALLING_MS);
afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server?.close();
  await cell?.stop();
});

async function enter(browser: Browser | undefined, name: string): Promise<Page> {
  const page = await (browser as Browser).newPage();
  page.on("pageerror", (error) => faults.push(`${name}: ${error}`));
  page.on("console", (message) => message.type() === "error" && faults.push(`${name}: ${message.text()}`));
  await page.setViewport({ width: 1_100, height: 700 });
  await page.goto(`${origin}/?name=${name}`);
  await page.waitForSelector('#status[data-status="open"]');
  return page;
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

async function boxOf(page: Page, selector: string): Promise<Box> {
  const found = await page.$(selector);
  return (await found?.boundingBox()) as Box;
}

/** Moves the pointer to this share of the board. */
async function move(page: Page, x: number, y: number): Promise<void> {
  const board = await boxOf(page, "#board");
  await page.mouse.move(board.x + x * board.width, board.y + y * board.height, { steps: 5 });
}

/** Waits until a page draws somebody's cursor at this share of its board, to two pixels. */
function drawn(page: Page, name: string, x: number, y: number): Promise<unknown> {
  return poll(`${name} at ${x}, ${y}`, async () => {
    const [board, cursor] = [await boxOf(page, "#board"), await boxOf(page, `.cursor[data-name="${name}"]`)];
    // The board has a border of a pixel, in which nothing is drawn.
    const isNear = (at: number, wanted: number) => Math.abs(at - wanted) <= 2;
    return (
      cursor && isNear(cursor.x, board.x + x * board.width) && isNear(cursor.y, board.y + y * board.height)
    );
  });
}

const textOf = (page: Page, selector: string) =>
  page.$$eval(selector, (found) => found.map(({ textContent }) => textContent));

test("two people in two browsers see each other move, speak and leave", async () => {
  const [ada, bob] = [await enter(browsers[0], "Ada"), await enter(browsers[1], "Bob")];
  await move(ada, 0.3, 0.35);
  await drawn(bob, "Ada", 0.3, 0.35);
  await move(bob, 0.62, 0.55);
  await drawn(ada, "Bob", 0.62, 0.55);
  await move(ada, 0.4, 0.6);
  await drawn(bob, "Ada", 0.4, 0.6);
  await ada.type("#words", "Shall we begin?");
  await poll(
    "her words",
    async () => (await textOf(bob, '.cursor[data-name="Ada"] q'))[0] === "Shall we begin?",
  );
  await ada.focus("#board");
  await ada.keyboard.press("ArrowRight");
  await drawn(bob, "Ada", 0.42, 0.6);
  expect(await textOf(bob, "#people li")).toEqual(["BBobyou", "AAda"]);
  await mkdir(STATE, { recursive: true });
  await bob.screenshot({ path: SCREENSHOT });

  const tab = await enter(browsers[0], "Ada");
  await move(tab, 0.1, 0.1);
  await poll("one person with two tabs", async () => (await textOf(bob, "#people li"))[1] === "AAda2 tabs");
  await browsers[0]?.close();
  await poll("her leaving", async () => (await textOf(bob, "#people li")).length === 1);
  expect(await textOf(bob, "#news")).toEqual(["Ada has left."]);
  expect(await textOf(bob, ".cursor b")).toEqual(["You"]);
  expect(faults).toEqual([]);
});
