/**
 * EVAL and EVALSHA: a script of Lua that nobody's command comes between, as nothing awaits in it. The numbers are of Lua
 * 5.4, Redis' are of 5.1; text is UTF-8 without NUL. Out of scope: functions, and the libraries cjson, cmsgpack and bit.
 */
import { createHash } from "node:crypto";
import { LuaFactory } from "wasmoon";
import { at, type CommandTable, command, integer, MANY, OK } from "../command.ts";
import type { Keyspace } from "../keyspace.ts";
import { RedisError, type Reply } from "../reply.ts";

type Run = (keyspace: Keyspace, command: Buffer[]) => Reply;
type Ask = (...command: unknown[]) => unknown;
type Evaluate = (script: string, keys: string[], args: string[], ask: Ask) => unknown;

/** What a script may not ask for: Redis runs no script inside a script. */
const NOT_IN_SCRIPTS = new Set(["EVAL", "EVALSHA", "SCRIPT"]);

/** Errors cross between Lua and here as `{ err }`. A script sees no files, and leaves no global to the next one. */
const EVALUATE = `
  local libraries = {
    string = string, math = math, table = table, unpack = table.unpack, next = next, pairs = pairs, ipairs = ipairs,
    select = select, type = type, tonumber = tonumber, tostring = tostring, assert = assert, error = error, pcall = pcall,
  }
  local function readonly() error('Attempt to modify a readonly table', 2) end

  local function compiled(script, globals)
    local chunk, fault = load(script, '@user_script', 't', globals)
    return chunk, { err = 'ERR Error compiling script (new function): ' .. tostring(fault) }
  end

  function faultOf(script)
    local chunk, fault = compiled(script, {})
    return chunk == nil and fault
  end

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
    local chunk, fault = compiled(script, globals)
    if not chunk then return fault end
    local done, reply = pcall(chunk)
    if done or type(reply) == 'table' then return reply end
    return { err = 'ERR ' .. tostring(reply) }
  end
`;

const lua = await new LuaFactory().createEngine({ enableProxy: false, injectObjects: false });
lua.doStringSync(EVALUATE);
const evaluate: Evaluate = lua.global.get("evaluate");
const faultOf: (script: string) => unknown = lua.global.get("faultOf");

/** `run` is what a script's own commands go through. */
export function scripts(run: Run): CommandTable {
  return [
    ["EVAL", command(2, MANY, (keyspace, [script, ...rest]) => evaluated(keyspace, text(script), rest, run))],
    [
      "EVALSHA",
      command(2, MANY, (keyspace, [sha, ...rest]) => evaluated(keyspace, known(keyspace, sha), rest, run)),
    ],
    ["SCRIPT", command(1, MANY, subcommand)],
  ];
}

function evaluated(
  keyspace: Keyspace,
  script: string,
  [count = Buffer.of(), ...rest]: Buffer[],
  run: Run,
): Reply {
  const keys = integer(count);
  if (keys < 0) throw new RedisError("ERR Number of keys can't be negative");
  if (keys > rest.length) throw new RedisError("ERR Number of keys can't be greater than number of args");
  if (!keyspace.scripts.has(digest(script))) load(keyspace, script);
  const texts = rest.map(String);
  const ask: Ask = (...command) => asked(() => run(keyspace, command.map(argument)));
  return replyOf(evaluate(script, texts.slice(0, keys), texts.slice(keys), ask));
}

/** What EVALSHA may name is what compiled once: by EVAL, or by SCRIPT LOAD. */
function subcommand(keyspace: Keyspace, [name, ...args]: Buffer[]): Reply {
  switch (text(name).toUpperCase()) {
    case "LOAD":
      return Buffer.from(load(keyspace, text(at(args, 0))));
    case "EXISTS":
      return args.map((sha) => Number(keyspace.scripts.has(text(sha).toLowerCase())));
    case "FLUSH":
      keyspace.scripts.clear();
      return OK;
    default:
      throw new RedisError(`ERR unknown subcommand '${text(name)}'. Try SCRIPT HELP.`);
  }
}

function load(keyspace: Keyspace, script: string): string {
  replyOf(faultOf(script));
  keyspace.scripts.set(digest(script), script);
  return digest(script);
}

function known(keyspace: Keyspace, sha: Buffer | undefined): string {
  const script = keyspace.scripts.get(text(sha).toLowerCase());
  if (script === undefined) throw new RedisError("NOSCRIPT No matching script. Please use EVAL.");
  return script;
}

const digest = (script: string) => createHash("sha1").update(script).digest("hex");
const text = (bytes: Buffer = Buffer.of()) => bytes.toString();

function argument(value: unknown, index: number): Buffer {
  if (typeof value !== "string" && typeof value !== "number") {
    throw new RedisError("ERR Lua redis lib command arguments must be strings or integers");
  }
  if (index === 0 && NOT_IN_SCRIPTS.has(String(value).toUpperCase())) {
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
