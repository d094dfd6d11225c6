/** How a bench with targets ends. */
import { loadavg } from 'node:os';

/** Says what the machine carried and which targets were missed; the process then exits 1 if any was. */
export function tellVerdict(misses: readonly string[]): void {
  const load = loadavg().map((value) => value.toFixed(1));
  console.log(`\nLoad of the machine at the end: ${load.join(', ')}.`);
  if (misses.length > 0) {
    console.error(`\nMISSED:\n${misses.map((miss) => `  - ${miss}`).join('\n')}`);
    process.exitCode = 1;
  } else {
    console.log('\nEvery target is met.');
  }
}
