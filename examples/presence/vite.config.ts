/** The page, and `GET /session?name=…` beside it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { Sessions, type Stack } from "./sessions.ts";

const from = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CLIENT = "../../clients/typescript/src";

/** Signs in at the stack that `stack` finds. */
export function sessions(stack: () => Stack): Plugin {
  let [last, made]: [string, Sessions | undefined] = ["", undefined];
  return {
    name: "sessions",
    configureServer({ middlewares }) {
      middlewares.use("/session", async (request, response) => {
        try {
          const found = stack();
          if (!made || last !== found.api) [last, made] = [found.api, new Sessions(found)];
          const name = new URL(request.url ?? "", "http://x").searchParams.get("name") || "Somebody";
          response.setHeader("content-type", "application/json").setHeader("cache-control", "no-store");
          response.end(JSON.stringify(await made.of(name)));
        } catch (error) {
          response.writeHead(503, { "content-type": "text/plain" }).end((error as Error).message);
        }
      });
    },
  };
}

/** What `npm run dev` has written. */
function running(): Stack {
  try {
    return JSON.parse(readFileSync(from("../../.drey/dev.json"), "utf8"));
  } catch {
    throw new Error("The stack does not run: start it with npm run dev.");
  }
}

export default defineConfig({
  root: from("."),
  cacheDir: from("../../node_modules/.vite/presence"),
  // The origin that npm run dev allows.
  server: { host: "127.0.0.1", port: 5173, strictPort: true },
  resolve: {
    alias: [
      { find: "drey-client/presence", replacement: from(`${CLIENT}/presence/index.ts`) },
      { find: "drey-client", replacement: from(`${CLIENT}/index.ts`) },
    ],
  },
  plugins: [sessions(running)],
});
