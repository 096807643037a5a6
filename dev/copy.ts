/**
 * `COPY … FROM STDIN` for node-postgres, which speaks the protocol and has no call for it.
 */
import type { Socket } from "node:net";
import type pg from "pg";

/** What node-postgres hands to a query; the part of it that a COPY needs. */
interface Wire {
  stream: Socket;
  query(text: string): void;
  sendCopyFromChunk(chunk: Uint8Array): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/** Lines of Postgres' text format are gathered to about this many bytes: fewer, larger messages. */
const CHUNK_BYTES = 64 * 1024;

/** Copies these rows; a value is text or NULL. Waits while Postgres is behind, so any number of rows fits. */
export function copy(
  client: pg.Client,
  table: string,
  columns: string[],
  rows: Iterable<(string | number | null)[]>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const fail = (wire: Wire, error: unknown) => {
      failure = error as Error;
      wire.sendCopyFail(failure.message);
    };
    const query = {
      submit: (wire: Wire) => wire.query(`copy ${table} (${columns.join(", ")}) from stdin`),
      handleCopyInResponse: (wire: Wire) => {
        send(wire, rows).then(
          () => wire.endCopyFrom(),
          (error) => fail(wire, error),
        );
      },
      handleCommandComplete: () => {},
      handleReadyForQuery: () => (failure ? reject(failure) : resolve()),
      handleError: (error: Error) => {
        failure ??= error;
        reject(failure);
      },
    };
    client.query(query as unknown as pg.Submittable);
  });
}

async function send(wire: Wire, rows: Iterable<(string | number | null)[]>): Promise<void> {
  let lines = "";
  for (const row of rows) {
    lines += `${row.map(field).join("\t")}\n`;
    if (lines.length < CHUNK_BYTES) continue;
    wire.sendCopyFromChunk(Buffer.from(lines));
    lines = "";
    if (wire.stream.writableNeedDrain) {
      await new Promise((resolve) => wire.stream.once("drain", resolve));
    }
  }
  if (lines) wire.sendCopyFromChunk(Buffer.from(lines));
}

function field(value: string | number | null): string {
  if (value === null) return "\\N";
  return String(value).replace(/[\\\n\r\t]/g, (special) => ESCAPES[special] ?? special);
}

const ESCAPES: Record<string, string> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
