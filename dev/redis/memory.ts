/**
 * A small Redis inside this process: the commands the project uses, with Redis' own answers and error texts.
 * The contract suite in `tests/stand-ins` holds it to what a real Redis does. Out of scope: streams, persistence.
 */

import type { Command } from "./command.ts";
import { HASHES } from "./commands/hashes.ts";
import { KEYS } from "./commands/keys.ts";
import { scripts } from "./commands/scripts.ts";
import { SETS } from "./commands/sets.ts";
import { STRINGS } from "./commands/strings.ts";
import { Keyspace } from "./keyspace.ts";
import { type Engine, RedisError, type Reply } from "./reply.ts";

const COMMANDS = new Map<string, Command>([...KEYS, ...STRINGS, ...HASHES, ...SETS, ...scripts(run)]);

export class MemoryEngine implements Engine {
  readonly name = "in-process Redis";
  readonly #keyspace = new Keyspace(Date.now);

  async execute(command: Buffer[]): Promise<Reply> {
    return run(this.#keyspace, command);
  }

  /** Nothing awaits between the commands, so nobody sees a half. A command that cannot run discards all. */
  async transaction(commands: Buffer[][]): Promise<(Reply | RedisError)[]> {
    const prepared = commands.map((command) => this.#queue(command));
    return prepared.map(attempt);
  }

  async close(): Promise<void> {}

  #queue(command: Buffer[]): () => Reply {
    try {
      return prepare(this.#keyspace, command);
    } catch {
      throw new RedisError("EXECABORT Transaction discarded because of previous errors.");
    }
  }
}

function run(keyspace: Keyspace, command: Buffer[]): Reply {
  return prepare(keyspace, command)();
}

/** Checks name and number of arguments, as Redis does before it queues or runs anything. */
function prepare(keyspace: Keyspace, [name = Buffer.of(), ...args]: Buffer[]): () => Reply {
  const command = COMMANDS.get(name.toString().toUpperCase());
  if (!command) throw new RedisError(unknown(name, args));
  const [least, most] = command.arity;
  if (args.length < least || args.length > most) {
    const shown = name.toString().toLowerCase();
    throw new RedisError(`ERR wrong number of arguments for '${shown}' command`);
  }
  return () => command.run(keyspace, args);
}

function unknown(name: Buffer, args: Buffer[]): string {
  const shown = args.map((arg) => `'${arg}' `).join("");
  return `ERR unknown command '${name}', with args beginning with: ${shown}`;
}

function attempt(run: () => Reply): Reply | RedisError {
  try {
    return run();
  } catch (error) {
    if (error instanceof RedisError) return error;
    throw error;
  }
}
