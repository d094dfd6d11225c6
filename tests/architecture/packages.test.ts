/** package.json, what is imported, and docs/dependencies.md say the same. */
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { packageOf } from './rules.ts';
import { blankNonCode, parseSource, projectRoot, readSources } from './source-tree.ts';
import type { SourceFile } from './source-tree.ts';

const names = z.record(z.string(), z.string()).default({});
const manifestShape = z.object({
  scripts: names,
  dependencies: names,
  optionalDependencies: names,
  devDependencies: names,
  peerDependencies: names,
});

function readManifest(file: string): z.infer<typeof manifestShape> {
  return manifestShape.parse(JSON.parse(fs.readFileSync(path.join(projectRoot, file), 'utf8')));
}

/** Loaded by another tool, by a name that stands nowhere here. */
const LOADED_BY_NAME: Readonly<Record<string, string>> = {
  'oxlint-tsgolint': 'oxlint --type-aware',
  '@vitest/coverage-v8': 'vitest --coverage',
};

/** The commands that a package brings, when they are not called like it. */
const COMMANDS: Readonly<Record<string, string>> = { typescript: 'tsc' };

/** Packages that files import, or whose files they look up by `resolve`. */
function packagesIn(files: readonly SourceFile[]): Set<string> {
  const specifiers = files.flatMap(({ imports, text }) => [
    ...imports.filter(({ target }) => target === undefined).map(({ specifier }) => specifier),
    ...Array.from(
      blankNonCode(text, { keepStrings: true }).matchAll(/(?:\brequire|\))\.resolve\(\s*'([^'\n]+)'/gu),
      ([, specifier = '']) => specifier,
    ),
  ]);
  return new Set(specifiers.filter((specifier) => PACKAGE.test(specifier)).map(packageOf));
}

/** Of the registry: neither `node:…` nor what only looks like an import, in a text. */
const PACKAGE = /^(@[\w.-]+\/)?[\w.-]+(\/[\w./-]+)?$/u;

/** Declared packages that nothing imports, runs, needs as a peer, or has types for. */
function unusedPackages(declared: readonly string[], imported: ReadonlySet<string>, commands: string): string[] {
  const peers = new Set(
    declared.flatMap((name) => {
      const file = `node_modules/${name}/package.json`;
      return fs.existsSync(path.join(projectRoot, file)) ? Object.keys(readManifest(file).peerDependencies) : [];
    }),
  );
  // Peers count only where nothing else could have brought them: types that a package of ours speaks in.
  const isPeer = (name: string): boolean => peers.has(name) && name.endsWith('-types');
  const runs = (name: string): boolean =>
    new RegExp(String.raw`(^|[\s/'"])${COMMANDS[name] ?? name}($|[\s'"])`, 'mu').test(commands);
  const typesOf = (name: string): string | undefined => /^@types\/(.+)$/u.exec(name)?.[1];
  return declared.filter((name) => {
    const typed = typesOf(name);
    if (typed !== undefined) return typed !== 'node' && !imported.has(typed);
    return !imported.has(name) && !runs(name) && !isPeer(name) && LOADED_BY_NAME[name] === undefined;
  });
}

/** The packages of the first column of each table. */
function documentedPackages(markdown: string): string[] {
  const cells = markdown.split('\n').map((row) => (row.startsWith('|') ? (row.split('|')[1] ?? '') : ''));
  return cells.flatMap((cell) => Array.from(cell.matchAll(/`([^`:]+)`/gu), ([, name = '']) => name));
}

const manifest = readManifest('package.json');
const declared = [manifest.dependencies, manifest.optionalDependencies, manifest.devDependencies].flatMap(Object.keys);
const scripts = fs
  .readdirSync(path.join(projectRoot, 'scripts'))
  .map((name) => ({ name, text: fs.readFileSync(path.join(projectRoot, 'scripts', name), 'utf8') }));
const files = [
  ...['src', 'bench', 'tests'].flatMap(readSources),
  ...['vitest.config.ts'].map((file) => parseSource(file, fs.readFileSync(path.join(projectRoot, file), 'utf8'))),
  ...scripts.filter(({ name }) => name.endsWith('.mjs')).map(({ name, text }) => parseSource(`scripts/${name}`, text)),
];
/** The architecture tests plant imports in texts of their own. */
const imported = packagesIn(files.filter((file) => !file.path.startsWith('tests/architecture/')));
const commands = [
  ...Object.values(manifest.scripts),
  ...scripts.map(({ text }) => text),
  fs.readFileSync(path.join(projectRoot, '.ci/run'), 'utf8'),
].join('\n');

describe('the packages', () => {
  test('that are imported anywhere are declared', () => {
    expect([...imported].filter((name) => !declared.includes(name))).toEqual([]);
  });

  test('that are declared are used', () => expect(unusedPackages(declared, imported, commands)).toEqual([]));

  test('that are declared are told of in docs/dependencies.md, and no others', () => {
    const documented = documentedPackages(fs.readFileSync(path.join(projectRoot, 'docs/dependencies.md'), 'utf8'));
    expect(documented.toSorted((a, b) => a.localeCompare(b))).toEqual(declared.toSorted((a, b) => a.localeCompare(b)));
  });
});

describe('the rules bite', () => {
  test('an import by any way is seen', () => {
    const text =
      "import a from 'one/sub'; await import('@two/x'); require.resolve('three/file'); // import 'four'\nimport 'node:fs';";
    expect([...packagesIn([parseSource('src/a.ts', text)])]).toEqual(['one', '@two/x', 'three']);
  });

  test('a package that nothing uses is found; one that a script runs is not', () => {
    expect(unusedPackages(['left-over', 'oxfmt', '@types/ws', '@types/gone'], new Set(['ws']), 'x && oxfmt .')).toEqual(
      ['left-over', '@types/gone'],
    );
  });
});
