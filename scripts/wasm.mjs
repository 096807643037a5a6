/**
 * Takes the function names out of a WebAssembly module: a tenth of what is sent and compiled, and only read by people.
 */

/** Section id of everything that is not code or data; such a section begins with its own name. */
const CUSTOM = 0;

/** Magic number and version. */
const HEADER_BYTES = 8;

/** The module without its section `name`; everything else stays byte for byte. */
export function withoutNames(module) {
  const kept = [module.subarray(0, HEADER_BYTES)];
  for (let start = HEADER_BYTES; start < module.length; ) {
    const [size, body] = readLength(module, start + 1);
    const end = body + size;
    if (module[start] !== CUSTOM || sectionName(module, body) !== "name")
      kept.push(module.subarray(start, end));
    start = end;
  }
  return Buffer.concat(kept);
}

function sectionName(module, body) {
  const [length, start] = readLength(module, body);
  return module.toString("utf8", start, start + length);
}

/** An unsigned LEB128 number and where it ends: seven bits a byte, the high bit says that more follow. */
function readLength(module, start) {
  let value = 0;
  for (let offset = 0; ; offset += 1) {
    const byte = module[start + offset];
    value += (byte & 0x7f) * 2 ** (7 * offset);
    if (byte < 0x80) return [value, start + offset + 1];
  }
}
