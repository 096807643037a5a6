/**
 * Replaces the entry point that worker-build generates (a class behind two proxies, made anew for each request) by a
 * plain object. It costs 7 % of a cached read, and nothing of it is needed for `fetch`: what it does when WebAssembly
 * has crashed is kept. The objects' classes keep their proxies.
 */

const NAME = "([\\w$]+)";
/** The pieces of `index.js` that the new entry calls, by how worker-build 0.8.7 writes them. */
const PIECES = {
  serve: `${NAME}\\.prototype\\.fetch=async function\\(${NAME}\\)\\{let ${NAME}=(?<name>[\\w$]+)\\(\\2,this\\.env,this\\.ctx\\);return this\\.ctx\\.waitUntil\\(\\3\\),\\3\\};`,
  restart: `function (?<name>[\\w$]+)\\(\\)\\{${NAME}\\.criticalError&&`,
  noteCrash: `addEventListener\\("error",${NAME}=>\\{(?<name>[\\w$]+)\\(\\1\\.error\\)\\}\\)`,
  replaced: "(?<name>[\\w$]+) as default",
};

/** The module with the plain entry. Throws when worker-build writes another text than it was made for. */
export function withPlainEntry(source) {
  const names = Object.fromEntries(
    Object.entries(PIECES).map(([piece, pattern]) => {
      const found = new RegExp(pattern).exec(source)?.groups?.name;
      if (!found)
        throw new Error(`no ${piece} in worker-build's index.js: scripts/entry.mjs has to follow it`);
      return [piece, found];
    }),
  );
  return `${source.replace(`${names.replaced} as default`, "plainEntry as default")}\n${entry(names)}`;
}

/**
 * What is not ready at once goes on when its client has gone: without `waitUntil` it would leak (workers-rs #653). A crash
 * later than here is an event of the runtime's, which worker-build listens for (`promises/src/promises.js`).
 */
function entry({ serve, restart, noteCrash }) {
  return `const plainEntry = {
  fetch(request, env, context) {
    ${restart}();
    let answer;
    try {
      answer = ${serve}(request, env, context);
    } catch (error) {
      ${noteCrash}(error);
      throw error;
    }
    if (answer instanceof Promise) context.waitUntil(answer);
    return answer;
  },
};
`;
}
