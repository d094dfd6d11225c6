/**
 * `npm run fuzz -- [--messages 100000] [--adapter NAME] [--seed N]`: vendors that say anything at all, through each adapter's live
 * driver. Prints a table; fails when a stream broke a rule, something was kept, or the process complained.
 */
import { parseArgs } from 'node:util';
import { formatTable } from '../../bench/phone/live-line.ts';
import { MESSAGES_PER_ADAPTER } from '../providers/fuzzing.ts';
import { ADAPTERS } from './adapters.ts';
import { fuzzAdapter } from './fuzz-adapter.ts';
import type { FuzzReport } from './fuzz-adapter.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: String(MESSAGES_PER_ADAPTER) },
    adapter: { type: 'string' },
    seed: { type: 'string', default: '20261128' },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);

const chosen = ADAPTERS.filter(({ name }) => values.adapter === undefined || name === values.adapter);
if (chosen.length === 0) {
  say(`No adapter is called ${values.adapter}. There are: ${ADAPTERS.map(({ name }) => name).join(', ')}.`);
  process.exitCode = 1;
}
const HEADER = ['adapter', 'messages read', 'streams', 'parts told', 'KiB kept', 'seconds', 'faults'];
const rowOf = ({ adapter, messages, streams, parts, grownBytes, elapsedMs, faults }: FuzzReport): string[] => [
  adapter,
  String(messages),
  String(streams),
  String(parts),
  (grownBytes / 1024).toFixed(0),
  (elapsedMs / 1000).toFixed(1),
  String(faults.length),
];

const rows: string[][] = [];
for (const adapter of chosen) {
  const report = await fuzzAdapter(adapter, Number(values.messages), Number(values.seed));
  rows.push(rowOf(report));
  for (const fault of report.faults) say(`FAILED ${adapter.name} (--seed ${values.seed}): ${fault}`);
  if (report.faults.length > 0) process.exitCode = 1;
}
if (rows.length > 0) say(formatTable([HEADER, ...rows]));
