/**
 * What the demo prints: one line a step, with its figures and its time, and a last line that says what it came to.
 */

export interface Report {
  /** Runs a step; what it returns is printed beside its name. A step that throws ends the demo. */
  step(name: string, act: () => Promise<string>): Promise<void>;
  steps: number;
}

export function newReport(print: (line: string) => void): Report {
  const report: Report = {
    steps: 0,
    async step(name, act) {
      const since = performance.now();
      try {
        const figures = await act();
        report.steps += 1;
        print(`  ✓ ${name.padEnd(34)} ${milliseconds(since)}  ${figures}`);
      } catch (error) {
        print(`  ✗ ${name.padEnd(34)} ${milliseconds(since)}  ${(error as Error).message}`);
        throw error;
      }
    },
  };
  return report;
}

/** Throws with `problem` unless `fact` holds: the demo shows nothing that is not so. */
export function hold(fact: boolean, problem: string): void {
  if (!fact) throw new Error(problem);
}

export function count(number: number): string {
  return number.toLocaleString("en");
}

function milliseconds(since: number): string {
  return `${Math.round(performance.now() - since).toLocaleString("en")} ms`.padStart(9);
}
