/** The floors of ARCHITECTURE.md as functions from source files to complaints, so that the tests can also feed them planted faults. */
import { blankNonCode, lineAt } from './source-tree.ts';
import type { SourceFile, SourceImport } from './source-tree.ts';

export const MAX_LINES = 450;

const FLOORS: Readonly<Record<string, number>> = { core: 0, media: 1, pipeline: 2, control: 3 };

/** `core`, `media`, … for a file of src; `main` for main.ts and config.ts; undefined outside src. */
export function roomOf(file: string): string | undefined {
  const parts = file.split('/');
  if (parts[0] !== 'src') return undefined;
  return parts.length === 2 ? 'main' : parts[1];
}

function floorOf(room: string): number {
  return room === 'main' ? 4 : (FLOORS[room] ?? Number.NaN);
}

/** `deepgram` for src/pipeline/providers/deepgram/stt.ts; undefined for what the vendors share. */
function vendorOf(file: string): string | undefined {
  return /^src\/pipeline\/providers\/([^/]+)\/./.exec(file)?.[1];
}

function importFault(file: SourceFile, target: string): string | undefined {
  const from = roomOf(file.path);
  const to = roomOf(target);
  if (file.path.startsWith('bench/')) {
    const isMicro = file.path.startsWith('bench/micro/');
    if (target.startsWith('tests/') && !file.isTest && !isMicro) return 'bench never imports tests';
    return to !== undefined && !isMicro ? 'bench speaks only public wires' : undefined;
  }
  if (from === undefined) return undefined;
  if (to === undefined) return file.isTest ? undefined : 'src imports nothing from outside src';
  if (target.endsWith('.test.ts')) return 'nothing imports a test';
  if (from === to) {
    const [vendor, other] = [vendorOf(file.path), vendorOf(target)];
    const crosses = vendor !== undefined && other !== undefined && vendor !== other;
    return crosses ? 'one provider never imports another' : undefined;
  }
  if (Number.isNaN(floorOf(from)) || Number.isNaN(floorOf(to))) return 'this folder is on no floor';
  if (floorOf(to) > floorOf(from)) return `floor ${floorOf(from)} imports from floor ${floorOf(to)}`;
  if (from === 'control' && to === 'media') return 'control never imports media';
  if (from === 'control' && to === 'pipeline' && target !== 'src/pipeline/ports.ts') {
    return 'of the pipeline, control imports only ports.ts';
  }
  return undefined;
}

/** Imports that go up a floor, sideways between providers, or out of the house. */
export function floorFaults(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap(({ target, specifier }) => {
      const fault = target === undefined ? undefined : importFault(file, target);
      return fault === undefined ? [] : [`${file.path}: imports ${specifier}: ${fault}`];
    }),
  );
}

/** Rings of run-time imports, each named once by its members. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const graph = new Map(files.map((file) => [file.path, runtimeTargets(file)]));
  const cycles = new Set<string>();
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) {
      cycles.add(trail.slice(start).toSorted().join(' ↔ '));
      return;
    }
    if (done.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return [...cycles];
}

function runtimeTargets(file: SourceFile): string[] {
  return file.imports.flatMap((entry) => (entry.typeOnly || entry.target === undefined ? [] : [entry.target]));
}

interface CodeBan {
  readonly pattern: RegExp;
  readonly instead: string;
}

const CLOCK_BANS: readonly CodeBan[] = [
  { pattern: /(?<![.\w#$])Date\b(?!\s*:)/g, instead: 'take a Clock' },
  { pattern: /(?<![.\w#$])performance\b(?!\s*:)/g, instead: 'take a Clock' },
  { pattern: /(?<![.\w#$])(?:setTimeout|setInterval|setImmediate)\b(?!\s*:)/g, instead: 'use clock.after' },
  { pattern: /\bglobalThis\s*(?:\.|\[)/g, instead: 'take what is needed as an argument' },
  { pattern: /\bAbortSignal\s*\.\s*timeout\b/g, instead: 'use a Clock' },
  { pattern: /\bprocess\s*\.\s*(?:hrtime|uptime)\b/g, instead: 'take a Clock' },
];

const CLOCK_MODULES = /^(?:node:)?(?:timers(?:\/promises)?|perf_hooks)$/;

function bannedCode(file: SourceFile, bans: readonly CodeBan[]): string[] {
  const code = blankNonCode(file.text, { keepStrings: false });
  return bans.flatMap(({ pattern, instead }) =>
    [...code.matchAll(pattern)].map(
      (match) => `${file.path}:${lineAt(code, match.index)}: ${match[0].trim()}: ${instead}`,
    ),
  );
}

/** Reads of a clock in media and pipeline, where time is an argument. */
export function clockFaults(files: readonly SourceFile[]): string[] {
  const bound = files.filter((file) => /^src\/(?:media|pipeline)\//.test(file.path) && !file.isTest);
  return bound.flatMap((file) => [
    ...bannedCode(file, CLOCK_BANS),
    ...file.imports
      .filter(({ specifier }) => CLOCK_MODULES.test(specifier))
      .map(({ specifier }) => `${file.path}: imports ${specifier}: use clock.after`),
  ]);
}

/** Reads of the environment anywhere in src but in main.ts and config.ts. */
export function environmentFaults(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => roomOf(file.path) !== undefined && roomOf(file.path) !== 'main' && !file.isTest)
    .flatMap((file) => [
      ...bannedCode(file, [{ pattern: /\bprocess\s*(?:\.\s*env\b|\[)/g, instead: 'only main.ts and config.ts' }]),
      ...file.imports
        .filter(({ specifier }) => /^(?:node:)?process$/.test(specifier))
        .map(({ specifier }) => `${file.path}: imports ${specifier}: only main.ts and config.ts`),
    ]);
}

export function lengthFaults(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const lines = file.text.replace(/\n$/, '').split('\n').length;
    return file.isTest || lines <= MAX_LINES ? [] : [`${file.path}: ${lines} lines, at most ${MAX_LINES}`];
  });
}

/** What does input or output; a pure module imports none of it. */
const IO_MODULES =
  /^(?:node:)?(?:net|tls|http|https|http2|dgram|dns|fs|child_process|worker_threads|timers)(?:\/.*)?$|^(?:ws|undici|openai|twilio|fastify|pino)$/;

/** `<vendor>/wire.ts` only parses; session/step.ts and state.ts only decide: no I/O, no promise, no clock. */
export function purityFaults(files: readonly SourceFile[]): string[] {
  const pure = files.filter((file) =>
    /^src\/pipeline\/(?:providers\/[^/]+\/wire|session\/(?:step|state)|session\/turn-taking\/[^/.]+)\.ts$/.test(
      file.path,
    ),
  );
  return pure.flatMap((file) => [
    ...file.imports.filter(isRuntimeIo).map(({ specifier }) => `${file.path}: imports ${specifier}: it is to be pure`),
    ...bannedCode(file, [
      { pattern: /\b(?:async|await)\b(?!\s*:)/g, instead: 'it is to be pure: return actions' },
      { pattern: /\bnew\s+Promise\b/g, instead: 'it is to be pure: return actions' },
    ]),
  ]);
}

function isRuntimeIo({ specifier, typeOnly }: SourceImport): boolean {
  return !typeOnly && (IO_MODULES.test(specifier) || specifier.endsWith('core/clock.ts'));
}

/** Values in providers/spec.ts, which is types only. */
export function specFaults(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => file.path === 'src/pipeline/providers/spec.ts')
    .flatMap((file) =>
      bannedCode(file, [
        { pattern: /^(?:export\s+)?(?:const|let|var|function|class|async)\b/gm, instead: 'spec.ts holds types only' },
        { pattern: /^import\s+(?!type\b)/gm, instead: 'spec.ts holds types only' },
      ]),
    );
}

/** Its tables are all described, used from here or not. */
const DESCRIBES = 'src/control/db/schema.ts';

/** Functions, classes and values that src exports and no other of the files names. */
export function exportFaults(files: readonly SourceFile[]): string[] {
  const code = new Map(files.map(({ path, text }) => [path, blankNonCode(text, { keepStrings: false })]));
  const names = new Map([...code].map(([path, text]) => [path, new Set(text.match(/[\w$]+/g))]));
  return files
    .filter(({ path, isTest }) => path.startsWith('src/') && !isTest && path !== DESCRIBES)
    .flatMap(({ path }) => {
      const exported = (code.get(path) ?? '').matchAll(/^export (?:async )?(?:function\*?|class|const|let) ([\w$]+)/gm);
      return Array.from(exported, ([, name = '']) => name)
        .filter((name) => ![...names].some(([other, used]) => other !== path && used.has(name)))
        .map((name) => `${path}: nobody else needs ${name}: do not export it`);
    });
}

/** Packages that src imports at run time without package.json promising them to a production installation. */
export function undeclaredPackages(files: readonly SourceFile[], declared: ReadonlySet<string>): string[] {
  return files
    .filter((file) => file.path.startsWith('src/') && !file.isTest)
    .flatMap((file) =>
      file.imports
        .filter(
          ({ target, specifier, typeOnly }) => target === undefined && !specifier.startsWith('node:') && !typeOnly,
        )
        .filter(({ specifier }) => !declared.has(packageOf(specifier)))
        .map(({ specifier }) => `${file.path}: ${specifier} is not in dependencies`),
    );
}

/** `@scope/name` or `name` of an import. */
export function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
