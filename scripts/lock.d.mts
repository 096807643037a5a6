/** Types of `lock.mjs`, for the TypeScript side. */
export function withLock<T>(name: string, waitingFor: string, work: () => T | Promise<T>): Promise<T>;
export function takeLock(name: string): (() => void) | undefined;
export function holderOf(name: string): string | undefined;
export function identityOf(pid: number): string;
export function isAlive(identity: string): boolean;
