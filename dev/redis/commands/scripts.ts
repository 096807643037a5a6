/**
 * EVAL: a script of Lua that nobody's command comes between, as nothing awaits in it. The numbers are of Lua 5.4, Redis'
 * are of 5.1; text is UTF-8 without NUL. Out of scope: EVALSHA and functions.
 */
import { LuaFactory } from "wasmoon";
import { type CommandTable, command, integer, MANY, OK } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { RedisError, type Reply } from "../reply.ts";

type Run = (keyspace: Keyspace, command: Buffer[]) => Reply;
type Ask = (...command: unknown[]) => unknown;
type Evaluate = (script: string, keys: string[], args: string[], ask: Ask) => unknown;

/** Errors cross between Lua and here as `{ err }`. A script sees no files, and leaves no global to the next one. */
const EVALUATE = `
  local libraries = {
    string = string, math = math, table = table, unpack = table.unpack, next = next, pairs = pairs, ipairs = ipairs,
    select = select, type = type, tonumber = tonumber, tostring = tostring, assert = assert, error = error, pcall = pcall,
  }
  local function readonly() error('Attempt to modify a readonly table', 2) end

  function evaluate(script, keys, args, ask)
    local function call(...)
      local reply = ask(...)
      if type(reply) == 'table' and reply.err then error(reply) end
      return reply
    end
    local redis = {
      call = call,
      pcall = ask,
      error_reply = function(text) return { err = text } end,
      status_reply = function(text) return { ok = text } end,
    }
    local names = setmetatable({ KEYS = keys, ARGV = args, redis = redis }, { __index = libraries })
    local globals = setmetatable({}, { __index = names, __newindex = readonly })
    local chunk, fault = load(script, '@user_script', 't', globals)
    if not chunk then return { err = 'ERR Error compiling script (new function): ' .. fault } end
    local done, reply = pcall(chunk)
    if done or type(reply) == 'table' then return reply end
    return { err = 'ERR ' .. tostring(reply) }
  end
`;

const lua = await new LuaFactory().createEngine({ enableProxy: false, injectObjects: false });
lua.doStringSync(EVALUATE);
const evaluate: Evaluate = lua.global.get("evaluate");

/** `run` is what a script's own commands go through. */
export function scripts(run: Run): CommandTable {
  return [["EVAL", command(2, MANY, (keyspace, args) => evaluated(keyspace, args, run))]];
}

function evaluated(
  keyspace: Keyspace,
  [script = Buffer.of(), count = Buffer.of(), ...rest]: Buffer[],
  run: Run,
) {
  const keys = integer(count);
  if (keys < 0) throw new RedisError("ERR Number of keys can't be negative");
  if (keys > rest.length) throw new RedisError("ERR Number of keys can't be greater than number of args");
  const texts = rest.map(String);
  const ask: Ask = (...command) => asked(() => run(keyspace, command.map(argument)));
  return replyOf(evaluate(script.toString(), texts.slice(0, keys), texts.slice(keys), ask));
}

function argument(value: unknown, index: number): Buffer {
  if (typeof value !== "string" && typeof value !== "number") {
    throw new RedisError("ERR Lua redis lib command arguments must be strings or integers");
  }
  if (index === 0 && String(value).toUpperCase() === "EVAL") {
    throw new RedisError("ERR This Redis command is not allowed from script");
  }
  return Buffer.from(String(value));
}

function asked(run: () => Reply): unknown {
  try {
    return inLua(run());
  } catch (error) {
    if (error instanceof RedisError) return { err: error.message };
    throw error;
  }
}

/** What a script sees of a reply: nothing is `false`, as a list would end at a nil. */
function inLua(reply: Reply): unknown {
  if (reply === OK) return { ok: "OK" };
  if (Array.isArray(reply)) return reply.map(inLua);
  return Buffer.isBuffer(reply) ? reply.toString() : (reply ?? false);
}

/** What becomes of a script's value: numbers lose their fraction, `false` is nothing, a list ends at its first nil. */
function replyOf(value: unknown): Reply {
  if (typeof value === "number") return Math.trunc(value);
  if (typeof value === "string") return Buffer.from(value);
  if (value === true) return 1;
  if (typeof value !== "object" || value === null) return null;
  const table = value as Record<string, unknown>;
  if (typeof table.err === "string") throw new RedisError(table.err);
  if (typeof table.ok === "string") return Buffer.from(table.ok);
  const list = Array.isArray(value) ? value : beginning(table);
  return list.map(replyOf);
}

/** A table with a hole comes as an object whose keys are the places, from 1. */
function beginning(table: Record<string, unknown>): unknown[] {
  const list: unknown[] = [];
  while (table[list.length + 1] !== undefined) list.push(table[list.length + 1]);
  return list;
}
