/** Types of `check-build.mjs`, for the TypeScript side. */
export function checkBuild(root: string): void;
export function classNames(config: string): string[];
export function bindingNames(config: string): string[];
export function exportedNames(source: string): Set<string>;
