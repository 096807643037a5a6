/**
 * A tenant for the fuzzer, and schemathesis' configuration with its ids.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { STATE } from "../paths.ts";

/** Things of its own for the fuzzer to hit: without them most operations would never get past their 404. */
export async function tenant(api: string, token: string): Promise<string> {
  const make = async (path: string, body: object): Promise<string> => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(`${api}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    if (answer.status !== 201)
      throw new Error(`POST ${path} answered ${answer.status}: ${await answer.text()}`);
    return ((await answer.json()) as { id: string }).id;
  };
  const org = await make("/v1/orgs", { name: "Fuzz" });
  const ws = await make(`/v1/orgs/${org}/workspaces`, { name: "Fuzz" });
  const project = await make(`/v1/workspaces/${ws}/projects`, { name: "Fuzz" });
  const invitation = await make(`/v1/orgs/${org}/invitations`, { email: "guest@drey.test", role: "member" });
  const key = await make(`/v1/workspaces/${ws}/api-keys`, { name: "Fuzz", scopes: ["read"] });
  const me = await fetch(`${api}/v1/me`, { headers: { authorization: `Bearer ${token}` } });
  const user = ((await me.json()) as { id: string }).id;
  return settings({ org, ws, project, invitation, key, user });
}

/** schemathesis' configuration: the ids for every operation but those that would delete them for the rest. */
function settings(ids: Record<string, string>): string {
  const file = join(STATE, "schemathesis.toml");
  const parameters = Object.entries(ids).map(([name, id]) => `"path.${name}" = "${id}"`);
  // Sent, they must agree with the path: names made up would be refused before any handler is reached.
  const headers = [`"header.x-org-id" = "${ids.org}"`, `"header.x-workspace-id" = "${ids.ws}"`, REVISION];
  const scope = ['"path.scope_type" = "project"', `"path.scope_id" = "${ids.project}"`];
  const spared = DELETES.map(
    (operation) => `[[operations]]\ninclude-name = "${operation}"\nparameters = { ${strangers(operation)} }`,
  );
  writeFileSync(
    file,
    `[parameters]\n${[...parameters, ...scope, ...headers].join("\n")}\n\n${spared.join("\n\n")}\n`,
  );
  return file;
}

/** What every tenant has reached. */
const REVISION = '"header.x-drey-revision" = "1"';

const DELETES = [
  "DELETE /v1/orgs/{org}",
  "DELETE /v1/orgs/{org}/invitations/{invitation}",
  "DELETE /v1/workspaces/{ws}",
  "DELETE /v1/workspaces/{ws}/api-keys/{key}",
  "DELETE /v1/workspaces/{ws}/members/{user}",
  "DELETE /v1/workspaces/{ws}/projects/{project}",
];

/** The last parameter names nothing that exists. */
function strangers(operation: string): string {
  const prefixes: Record<string, string> = {
    org: "org",
    ws: "ws",
    project: "prj",
    invitation: "inv",
    key: "key",
    user: "user",
  };
  const last = /\{(\w+)\}$/.exec(operation)?.[1] ?? "";
  const stranger = `${prefixes[last]}_01h455vb4pex5vsknk084sn02q`;
  const header = { org: "x-org-id", ws: "x-workspace-id" }[last];
  const parameters = [`"path.${last}"`, ...(header ? [`"header.${header}"`] : [])];
  return parameters.map((name) => `${name} = "${stranger}"`).join(", ");
}
