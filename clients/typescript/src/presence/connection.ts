/** What socket and stream have in common. */
import type { Timer } from "../timer.ts";
import type { Frame } from "./frames.ts";
import type { Say } from "./outbox.ts";

export interface Hearing {
  timer: Timer;
  /** Aborts when the room is left. */
  signal: AbortSignal;
  /** A stream goes on where the last one ended, without a `hello`. */
  onResume(): void;
  /** `say` is there where the connection takes words. */
  onFrame(frame: Frame, say: Say | undefined): void;
}
