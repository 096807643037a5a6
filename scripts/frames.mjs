/**
 * Bounds what a room's socket may say before it is said to WebAssembly. The runtime takes messages of 32 MiB, and its memory
 * never shrinks: one that is too large is not copied there to be found so. What is too large comes as another that is.
 */

/** `MAX_FRAME` of `core/src/presence.rs`. A text has at least as many bytes as it has units. */
const MOST_UNITS = 5120;
const CLASSES = ["WorkspacePresence", "PresenceShard"];

/** The module with classes that are bounded. Throws when one is not exported as worker-build does it. */
export function withBoundedFrames(source) {
  const names = CLASSES.map((exported) => {
    const name = new RegExp(`([\\w$]+) as ${exported}\\b`).exec(source)?.[1];
    if (!name)
      throw new Error(`no class ${exported} in worker-build's index.js: scripts/frames.mjs has to follow it`);
    return name;
  });
  return `${source}\n${bound(names)}`;
}

/** No frame is binary, of whatever size. */
function bound(names) {
  return `for (const { prototype } of [${names.join(", ")}]) {
  const hear = prototype.webSocketMessage;
  prototype.webSocketMessage = function (socket, message) {
    if (typeof message !== "string") return hear.call(this, socket, new ArrayBuffer(0));
    return hear.call(this, socket, message.length > ${MOST_UNITS} ? "x".repeat(${MOST_UNITS + 1}) : message);
  };
}
`;
}
