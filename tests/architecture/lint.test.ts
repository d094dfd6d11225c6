/** The linter, with the project's own configuration, on planted faults: so that the rules cannot silently stop working. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from './source-tree.ts';

const run = promisify(execFile);

interface Plant {
  readonly rule: string;
  readonly file: string;
  readonly code: string;
}

const later = 'async function later(): Promise<number> {\n  return 1;\n}\n';
const kinds = "export type Kind = { kind: 'a' } | { kind: 'b' };\n";

const plants: readonly Plant[] = [
  {
    rule: 'typescript(no-floating-promises)',
    file: 'src/core/p01.ts',
    code: `${later}export function f() {\n  later();\n}\n`,
  },
  {
    rule: 'typescript(no-floating-promises)',
    file: 'src/core/p02.ts',
    code: `${later}export function f() {\n  void later();\n}\n`,
  },
  {
    rule: 'typescript(no-misused-promises)',
    file: 'src/core/p03.ts',
    code: `${later}export const f = () => [1].forEach(later);\n`,
  },
  {
    rule: 'typescript(no-misused-promises)',
    file: 'src/core/p04.ts',
    code: `${later}export const f = () => (later() ? 1 : 2);\n`,
  },
  { rule: 'typescript(await-thenable)', file: 'src/core/p05.ts', code: 'export async function f() {\n  await 1;\n}\n' },
  { rule: 'typescript(no-explicit-any)', file: 'src/core/p06.ts', code: 'export const f = (x: any) => typeof x;\n' },
  {
    rule: 'typescript(no-unsafe-assignment)',
    file: 'src/core/p07.ts',
    code: "export const x: string = JSON.parse('1');\n",
  },
  {
    rule: 'typescript(no-unsafe-member-access)',
    file: 'src/core/p08.ts',
    code: "export const f = () => typeof JSON.parse('1').a;\n",
  },
  {
    rule: 'typescript(no-unsafe-call)',
    file: 'src/core/p09.ts',
    code: "export const f = () => typeof JSON.parse('1')();\n",
  },
  {
    rule: 'typescript(no-unsafe-return)',
    file: 'src/core/p10.ts',
    code: "export const f = (): string => JSON.parse('1');\n",
  },
  {
    rule: 'typescript(no-unsafe-argument)',
    file: 'src/core/p11.ts',
    code: "export const f = () => Number.parseInt(JSON.parse('1'), 10);\n",
  },
  {
    rule: 'typescript(no-unsafe-type-assertion)',
    file: 'src/media/twilio/p12.ts',
    code: 'export const f = (x: unknown) => x as string;\n',
  },
  {
    rule: 'typescript(no-unsafe-type-assertion)',
    file: 'src/pipeline/providers/acme/wire.ts',
    code: 'export const f = (x: unknown) => x as string;\n',
  },
  {
    rule: 'typescript(no-non-null-assertion)',
    file: 'src/core/p13.ts',
    code: 'export const f = (x: string | undefined) => x!;\n',
  },
  { rule: 'typescript(ban-ts-comment)', file: 'src/core/p14.ts', code: '// @ts-ignore\nexport const x: number = 1;\n' },
  {
    rule: 'typescript(consistent-type-imports)',
    file: 'src/core/p15.ts',
    code: `import { Kind } from './kinds.ts';\nexport const x: Kind = { kind: 'a' };\n`,
  },
  {
    rule: 'typescript(switch-exhaustiveness-check)',
    file: 'src/core/p16.ts',
    code: `${kinds}export function f(x: Kind) {\n  switch (x.kind) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}\n`,
  },
  {
    rule: 'typescript(switch-exhaustiveness-check)',
    file: 'src/pipeline/session/p16.ts',
    code: `${kinds}export function f(x: Kind) {\n  switch (x.kind) {\n    case 'a':\n      return 1;\n    default:\n      return 2;\n  }\n}\n`,
  },
  {
    rule: 'vitest(no-focused-tests)',
    file: 'src/core/p16.test.ts',
    code: "import { test } from 'vitest';\ntest.only('x', () => {});\n",
  },
  { rule: 'eslint(eqeqeq)', file: 'src/core/p17.ts', code: 'export const f = (x: unknown) => x == 1;\n' },
  { rule: 'eslint(no-console)', file: 'src/core/p18.ts', code: "console.log('x');\n" },
  { rule: 'eslint(no-empty)', file: 'src/core/p19.ts', code: 'try {\n  JSON.parse("");\n} catch {}\n' },
  {
    rule: 'import(no-cycle)',
    file: 'src/core/p20.ts',
    code: "import { b } from './p20b.ts';\nexport const a = () => b;\n",
  },
  {
    rule: 'eslint(complexity)',
    file: 'src/core/p21.ts',
    code: `export function f(x: number) {\n${Array.from({ length: 25 }, (_, i) => `  if (x === ${i}) return ${i + 1};`).join('\n')}\n  return 0;\n}\n`,
  },
  {
    rule: 'eslint(max-lines)',
    file: 'src/core/p22.ts',
    code: Array.from({ length: 451 }, (_, i) => `export const x${i} = ${i};\n`).join(''),
  },
  {
    rule: 'eslint(max-lines-per-function)',
    file: 'src/core/p23.ts',
    code: `export function f() {\n  const all: number[] = [];\n${'  all.push(1);\n'.repeat(80)}  return all;\n}\n`,
  },
  { rule: 'node(no-process-env)', file: 'src/control/p24.ts', code: 'export const port = process.env["PORT"];\n' },
  ...['src/media/p25.ts', 'src/pipeline/session/p25.ts'].flatMap((file) =>
    [
      'Date.now()',
      'performance.now()',
      'setTimeout(f, 1)',
      'setInterval(f, 1)',
      'setImmediate(f)',
      'globalThis.setTimeout(f, 1)',
    ].map((use, index) => ({
      rule: 'eslint(no-restricted-globals)',
      file: file.replace('.ts', `-${index}.ts`),
      code: `const f = () => 1;\nexport const x = () => [f, ${use}];\n`,
    })),
  ),
  {
    rule: 'eslint(no-restricted-properties)',
    file: 'src/media/p26.ts',
    code: 'export const s = () => AbortSignal.timeout(5);\n',
  },
  {
    rule: 'eslint(no-restricted-properties)',
    file: 'src/pipeline/p27.ts',
    code: 'export const s = () => process.hrtime.bigint();\n',
  },
  ...(
    [
      ['src/core/p30.ts', '../media/fine.ts'],
      ['src/core/p31.ts', '../main.ts'],
      ['src/media/p32.ts', '../pipeline/fine.ts'],
      ['src/media/twilio/p33.ts', '../../control/fine.ts'],
      ['src/pipeline/p34.ts', '../control/fine.ts'],
      ['src/pipeline/providers/acme/p35.ts', '../other/fine.ts'],
      ['src/pipeline/providers/acme/p36.ts', '../../../control/fine.ts'],
      ['src/control/p37.ts', '../media/fine.ts'],
      ['src/control/p38.ts', '../pipeline/fine.ts'],
      ['src/control/calls/p39.ts', '../../pipeline/session/fine.ts'],
      ['bench/phone/p40.ts', '../../src/core/fine.ts'],
    ] as const
  ).map(([file, target]) => ({
    rule: 'eslint(no-restricted-imports)',
    file,
    code: `import type { Kind } from '${target}';\nexport type Other = Kind;\n`,
  })),
];

/** What the same configuration must let pass. */
const harmless: Readonly<Record<string, string>> = {
  'src/core/kinds.ts': kinds,
  'src/core/p20b.ts': "import { a } from './p20.ts';\nexport const b = () => a;\n",
  'src/main.ts': `${kinds}export const port = process.env['PORT'];\n`,
  'src/core/fine.ts': kinds,
  'src/media/fine.ts': "export type { Kind } from '../core/fine.ts';\n",
  'src/media/fine.test.ts': 'export const now = () => [Date.now(), performance.now()];\n',
  'src/pipeline/fine.ts': "export type { Kind } from '../media/fine.ts';\n",
  'src/pipeline/ports.ts': kinds,
  'src/pipeline/session/fine.ts': "export type { Kind } from '../fine.ts';\n",
  'src/pipeline/providers/json.ts': kinds,
  'src/pipeline/providers/other/fine.ts': "export type { Kind } from '../json.ts';\n",
  'src/control/fine.ts': "export type { Kind } from '../pipeline/ports.ts';\n",
  'bench/micro/fine.ts': "export type { Kind } from '../../src/core/fine.ts';\n",
};

let folder = '';
let reported: Map<string, Set<string>>;

beforeAll(async () => {
  folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'bvrai-lint-')));
  for (const name of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    fs.copyFileSync(path.join(projectRoot, name), path.join(folder, name));
  }
  fs.symlinkSync(path.join(projectRoot, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
  for (const [file, code] of [
    ...plants.map((plant) => [plant.file, plant.code] as const),
    ...Object.entries(harmless),
  ]) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), code);
  }
  reported = await lint();
}, 60_000);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** Runs the linter as `npm run lint` does; rule codes by file. */
async function lint(): Promise<Map<string, Set<string>>> {
  const oxlint = path.join(projectRoot, 'node_modules', 'oxlint', 'bin', 'oxlint');
  // It exits with 1 when it found something; the report is on stdout all the same.
  const stdout = await run(process.execPath, [oxlint, '--type-aware', '--format=json'], {
    cwd: folder,
    maxBuffer: 1e8,
    timeout: 50_000,
  }).then(
    (result) => result.stdout,
    (error: { stdout: string }) => error.stdout,
  );
  const report = JSON.parse(stdout) as { diagnostics: { code?: string; filename: string }[] };
  const byFile = new Map<string, Set<string>>();
  for (const { code, filename } of report.diagnostics) {
    const file = path.relative(folder, path.resolve(folder, filename)).split(path.sep).join('/');
    byFile.set(file, (byFile.get(file) ?? new Set()).add(code ?? 'unnamed'));
  }
  return byFile;
}

describe('the linter reports', () => {
  test.each(plants)('$rule in $file', ({ rule, file }) => {
    expect([...(reported.get(file) ?? [])]).toContain(rule);
  });
});

describe('the linter lets pass', () => {
  const quiet = Object.keys(harmless).filter((file) => file !== 'src/core/p20b.ts');
  test.each(quiet)('%s', (file) => expect([...(reported.get(file) ?? [])]).toEqual([]));
});
