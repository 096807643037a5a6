/**
 * Workers that are killed in the middle of their work, while others take their place: what a deploy, an eviction or a crash
 * of the isolate does to those who were being answered.
 */
import type { Answer } from "./actors.ts";
import { world } from "./world.ts";

export interface Herd extends AsyncDisposable {
  /** Base URL of one of the isolates that live now. */
  api(n: number): string;
  /** Kills all of them, with the requests they are at and what their objects hold, once others are there. */
  kill(): Promise<void>;
}

export async function herd(vars: Record<string, string>, isolates: 1 | 2 | 3): Promise<Herd> {
  let cell = await world().restart(vars, { isolates });
  return {
    api: (n) => cell.apis[n % isolates] ?? "",
    kill: async () => {
      const old = cell;
      cell = await world().restart(vars, { isolates });
      await old.stop();
    },
    [Symbol.asyncDispose]: () => cell.stop(),
  };
}

/** The answer; undefined where none arrived, or one that says to come again. */
export async function reach<T>(
  ask: () => Promise<Answer<T>>,
  cut: () => void,
): Promise<Answer<T> | undefined> {
  try {
    const answer = await ask();
    return answer.status === 503 ? undefined : answer;
  } catch (error) {
    // What fetch says of a connection that ended before the head of an answer, and within its body.
    const isCut = error instanceof TypeError && ["fetch failed", "terminated"].includes(error.message);
    if (!isCut) throw error;
    cut();
    return undefined;
  }
}
