/**
 * `npx tsx tests/simulation/mutations.ts [--seeds N] [--only name] [--skip N] [--take N]`: plants one defect after the other into a copy of the sources, and
 * shows which simulated call catches it. A simulation that misses a defect we know of cannot be trusted with those we do not.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DEFECTS } from './defects.ts';
import type { Defect } from './defects.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '800' },
    only: { type: 'string', default: '' },
    // A part of the list, so that it can be run in pieces.
    skip: { type: 'string', default: '0' },
    take: { type: 'string', default: '1000' },
    except: { type: 'string', default: '' },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);

interface Outcome {
  readonly caught: boolean;
  readonly how: string;
}

process.exitCode = main();

function main(): number {
  const copy = mkdtempSync(join(tmpdir(), 'bvrai-mutations-'));
  try {
    for (const part of ['src', 'tests', 'package.json', 'tsconfig.json']) {
      cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    return plantAll(copy);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function plantAll(copy: string): number {
  const sound = run(copy);
  if (sound.status !== 0) {
    say(`The simulation fails without any defect: ${sound.output}`);
    return 1;
  }
  const skip = Number(values.skip);
  const part = DEFECTS.slice(skip, skip + Number(values.take));
  const defects = part.filter(({ name }) => name.includes(values.only));
  const width = Math.max(...defects.map(({ name }) => name.length));
  let missed = 0;
  for (const defect of defects) {
    const { caught, how } = plant(copy, defect);
    if (!caught) missed++;
    say(`${caught ? 'caught' : 'MISSED'}  ${defect.name.padEnd(width)}  ${how}`);
  }
  say(`${defects.length - missed} of ${defects.length} defects caught within ${values.seeds} seeds`);
  return missed > 0 ? 1 : 0;
}

function plant(copy: string, { patches }: Defect): Outcome {
  const originals = new Map<string, string>();
  try {
    for (const { file, find, replace } of patches) {
      const path = join(copy, file);
      const text = readFileSync(path, 'utf8');
      if (!originals.has(path)) originals.set(path, text);
      const matches = text.split(find).length - 1;
      if (matches !== 1)
        return { caught: false, how: `${matches} matches in ${file} of: ${find.trim().split('\n')[0]}` };
      writeFileSync(
        path,
        text.replace(find, () => replace),
      );
    }
    const { status, output } = run(copy);
    return { caught: status === 1 && output.startsWith('seed '), how: output.slice(0, 150) };
  } finally {
    for (const [path, text] of originals) writeFileSync(path, text);
  }
}

function run(copy: string): { status: number | null; output: string } {
  const entry = join(copy, 'tests/simulation/main.ts');
  const args = ['--import', 'tsx', entry, '--seeds', values.seeds, '--no-shrink', '--except', values.except];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8' });
  const [first = ''] = (stdout === '' ? stderr : stdout).split('\n');
  return { status, output: first };
}
