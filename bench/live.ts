/** Live readers of a scope: long-polls that wait where the log ends, and what an answer says about where it goes on. */
import type { Line, Received } from "./workload.ts";
import { http } from "./workload.ts";
import type { Home } from "./world.ts";

export interface Reader {
  token: string;
  workspace: string;
}

/** The log of the workspace's own scope, from this offset. */
export function readAt({ token, workspace }: Reader, offset: string, live = false): Buffer {
  const path = `/v1/workspaces/${workspace}/sync/workspace/${workspace}?offset=${offset}${live ? "&live=long-poll" : ""}`;
  return http("GET", path, { authorization: `Bearer ${token}` });
}

export function push({ token, workspace }: Home, body: string): Buffer {
  return http("POST", `/v1/workspaces/${workspace}/sync/push`, { authorization: `Bearer ${token}` }, body);
}

export function nextOffset({ head }: Received): string {
  return /\r\nstream-next-offset: *(\S+)/i.exec(head)?.[1] ?? "";
}

/** Where the log ends now. */
export async function tail(reader: Reader, line: Line): Promise<string> {
  return nextOffset(await line.send(readAt(reader, "now")));
}

/** The first answer that is not a 200 speaks for all. */
export function worst(answers: Received[]): Received {
  return answers.find(({ status }) => status !== 200) ?? (answers[0] as Received);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
