import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  clockFaults,
  environmentFaults,
  exportFaults,
  floorFaults,
  importCycles,
  lengthFaults,
  purityFaults,
  roomOf,
  specFaults,
  undeclaredPackages,
} from './rules.ts';
import { parseSource, projectRoot, readSources } from './source-tree.ts';

const src = readSources('src');
const bench = readSources('bench');
const tests = readSources('tests');

const manifest = JSON.parse(fs.readFileSync(path.join(projectRoot, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};
const declared = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.optionalDependencies)]);

describe('the sources keep to the house', () => {
  test('there are sources to look at, with imports', () => {
    expect(src.length).toBeGreaterThan(5);
    expect(src.flatMap((file) => file.imports).length).toBeGreaterThan(10);
  });

  test('every folder of src is on a floor', () => {
    const rooms = new Set(src.map((file) => roomOf(file.path)));
    expect([...rooms].filter((room) => !['core', 'media', 'pipeline', 'control', 'main'].includes(room ?? ''))).toEqual(
      [],
    );
  });

  test('relative imports name an existing file with its extension', () => {
    const broken = [...src, ...bench].flatMap((file) =>
      file.imports
        .filter(({ target }) => target !== undefined && !fs.existsSync(path.join(projectRoot, target)))
        .map(({ specifier }) => `${file.path}: ${specifier}`),
    );
    expect(broken).toEqual([]);
  });

  test('imports go down the floors only', () => expect(floorFaults([...src, ...bench])).toEqual([]));
  test('no ring of imports', () => expect(importCycles(src)).toEqual([]));
  test('media and pipeline never read a clock', () => expect(clockFaults(src)).toEqual([]));
  test('only main.ts and config.ts read the environment', () => expect(environmentFaults(src)).toEqual([]));
  test('nothing is exported that no other file names', () =>
    expect(exportFaults([...src, ...bench, ...tests])).toEqual([]));
  test('no file is longer than one sitting', () => expect(lengthFaults([...src, ...bench])).toEqual([]));
  test('what is to be pure does nothing but decide', () => expect(purityFaults(src)).toEqual([]));
  test('the provider spec holds types only', () => expect(specFaults(src)).toEqual([]));
  test('a production installation has every package', () => expect(undeclaredPackages(src, declared)).toEqual([]));
});

/** One planted fault each: the rules above must not pass because they see nothing. */
describe('the rules bite', () => {
  const plant = (file: string, text: string) => [parseSource(file, text)];

  test.each([
    ['src/core/a.ts', "import { x } from '../media/call-port.ts';"],
    ['src/media/a.ts', "import type { X } from '../pipeline/ports.ts';"],
    ['src/media/twilio/a.ts', "export * from '../../control/routes.ts';"],
    ['src/media/a.ts', "export {\n  a,\n  b,\n} from\n  '../control/routes.ts';"],
    ['src/pipeline/a.ts', "const x = await import('../control/routes.ts');"],
    ['src/pipeline/a.ts', "let x: import('../control/routes.ts').X;"],
    ['src/pipeline/a.ts', "import '../main.ts';"],
    ['src/pipeline/providers/deepgram/stt.ts', "import { y } from '../openai/wire.ts';"],
    ['src/pipeline/providers/deepgram/deep/stt.ts', "import { y } from '../../openai/wire.ts';"],
    ['src/control/calls/routes.ts', "import { x } from '../../media/playout.ts';"],
    ['src/control/calls/routes.ts', "import { x } from '../../pipeline/session/session.ts';"],
    ['src/media/a.ts', "import { phone } from '../../bench/phone/phone.ts';"],
    ['src/media/a.ts', "import { wav } from '../../tests/support/wav.ts';"],
    ['src/media/a.ts', "import { wav } from './b.test.ts';"],
    ['src/attic/a.ts', "import { x } from '../core/log.ts';"],
    ['bench/phone/a.ts', "import { x } from '../../src/core/log.ts';"],
  ])('%s: %s', (file, text) => expect(floorFaults(plant(file, text))).toHaveLength(1));

  test.each([
    ['src/media/a.ts', "import { x } from '../core/clock.ts'; import { y } from './twilio/messages.ts';"],
    ['src/pipeline/providers/deepgram/stt.ts', "import { y } from '../json.ts'; import { z } from './wire.ts';"],
    ['src/control/calls/routes.ts', "import type { AgentConfig } from '../../pipeline/ports.ts';"],
    ['src/main.ts', "import { x } from './control/a.ts'; import { y } from './media/b.ts';"],
    ['src/pipeline/a.test.ts', "import { phone } from '../../bench/phone/phone.ts';"],
    ['bench/micro/a.ts', "import { x } from '../../src/core/log.ts';"],
    ['src/core/a.ts', "// import { x } from '../media/a.ts'\n/* import '../media/a.ts' */\nconst s = `import`;"],
  ])('%s may: %s', (file, text) => expect(floorFaults(plant(file, text))).toEqual([]));

  test.each([
    'const a = Date.now();',
    'const a = new Date();',
    'const a = performance.now();',
    'setTimeout(() => {}, 5);',
    'const quote = /["\']/; setInterval(f, 5);',
    'const s = "it\'s"; setImmediate(f);',
    'globalThis.setTimeout(f, 5);',
    "globalThis['setTimeout'](f, 5);",
    'const s = AbortSignal.timeout(5);',
    'const t = process.hrtime.bigint();',
    'const s = `${Date.now()}`;',
    "import { setTimeout as sleep } from 'node:timers/promises';",
    "import { performance as p } from 'perf_hooks';",
  ])('reads a clock: %s', (text) => {
    expect(clockFaults(plant('src/media/a.ts', text)).length).toBeGreaterThan(0);
    expect(clockFaults(plant('src/pipeline/deep/a.ts', text)).length).toBeGreaterThan(0);
    expect(clockFaults(plant('src/media/a.test.ts', text))).toEqual([]);
  });

  test.each([
    '// Date and setTimeout are banned here',
    '/* performance.now() */ const a = 1;',
    "const message = 'Date: setTimeout(…)';",
    'clock.after(5, () => {}); const performanceMs = 1; const startDate = 2; timers.setTimeout;',
  ])('reads no clock: %s', (text) => expect(clockFaults(plant('src/media/a.ts', text))).toEqual([]));

  test('reads of the environment', () => {
    for (const text of ['process.env.PORT', "process['env']", "import { env } from 'node:process';"]) {
      expect(environmentFaults(plant('src/control/a.ts', text))).toHaveLength(1);
      expect(environmentFaults(plant('src/config.ts', text))).toEqual([]);
    }
  });

  test('rings of run-time imports, but not of types', () => {
    const ring = (how: string) => [
      parseSource('src/core/a.ts', `${how} { b } from './b.ts';`),
      parseSource('src/core/b.ts', "import { c } from './c.ts';"),
      parseSource('src/core/c.ts', "import { a } from './a.ts';"),
    ];
    expect(importCycles(ring('import'))).toEqual(['src/core/a.ts ↔ src/core/b.ts ↔ src/core/c.ts']);
    expect(importCycles(ring('export'))).toHaveLength(1);
    expect(importCycles(ring('import type'))).toEqual([]);
  });

  test('exports for nobody', () => {
    const exporting = parseSource('src/core/a.ts', 'export const x = 1;\nexport function f() {}\nx;');
    const naming = (text: string) => exportFaults([exporting, parseSource('src/core/b.ts', text)]);
    expect(naming('// x and f')).toHaveLength(2);
    expect(naming("import { x, f } from './a.ts';")).toEqual([]);
  });

  test('long files, impure decisions, values in the spec, undeclared packages', () => {
    expect(lengthFaults(plant('src/core/a.ts', 'x;\n'.repeat(450)))).toEqual([]);
    expect(lengthFaults(plant('src/core/a.ts', 'x;\n'.repeat(451)))).toHaveLength(1);
    expect(purityFaults(plant('src/pipeline/session/step.ts', 'export async function f() {}'))).toHaveLength(1);
    expect(purityFaults(plant('src/pipeline/providers/x/wire.ts', "import { WebSocket } from 'ws';"))).toHaveLength(1);
    expect(specFaults(plant('src/pipeline/providers/spec.ts', 'export const x = 1;'))).toHaveLength(1);
    expect(specFaults(plant('src/pipeline/providers/spec.ts', "import { x } from './json.ts';"))).toHaveLength(1);
    expect(undeclaredPackages(plant('src/core/a.ts', "import { test } from 'vitest';"), declared)).toHaveLength(1);
    expect(undeclaredPackages(plant('src/core/a.ts', "import { z } from 'zod/v4';"), declared)).toEqual([]);
  });
});
