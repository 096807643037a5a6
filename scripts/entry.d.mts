/** The module with the plain entry. */
export function withPlainEntry(source: string): string;
