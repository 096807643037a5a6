/** The module with rooms that are not handed what is too large. */
export function withBoundedFrames(source: string): string;
