/**
 * An answer that comes in parts, as text.
 */
import { NetworkError } from "./errors.ts";

/**
 * Gives what comes until it ends. Nothing for `silenceMs` counts as an end, because a connection whose other side is gone
 * tells nobody; a server that has nothing to say is to say that now and then.
 */
export async function* partsOf(response: Response, silenceMs: number): AsyncGenerator<string> {
  const reader = response.body?.getReader();
  if (!reader) throw new NetworkError("the answer has no body");
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await within(silenceMs, reader.read());
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } catch (error) {
    throw error instanceof NetworkError ? error : new NetworkError(error);
  } finally {
    // Whoever stops reading tells the server, which is not waited for.
    reader.cancel().catch(() => {});
  }
}

function within<T>(ms: number, coming: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timeout = setTimeout(() => reject(new NetworkError(`nothing came for ${ms} ms`)), ms);
    coming.then(resolve, reject).finally(() => clearTimeout(timeout));
  });
}
