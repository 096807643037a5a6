/** Types of `wasm.mjs`, for the TypeScript side. */
export function withoutNames(module: Buffer): Buffer<ArrayBuffer>;
