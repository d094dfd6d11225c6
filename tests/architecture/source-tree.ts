/** Reads the project's own sources as text: who imports whom, and the code without its comments and strings. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

export interface SourceImport {
  /** As written, such as `../core/clock.ts` or `ws`. */
  readonly specifier: string;
  /** For a relative import: the target relative to the project root, with forward slashes. */
  readonly target: string | undefined;
  /** Gone after compilation. */
  readonly typeOnly: boolean;
}

export interface SourceFile {
  /** Relative to the project root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly SourceImport[];
  readonly isTest: boolean;
}

/** Every TypeScript file below `folder` (relative to the project root), in a stable order. */
export function readSources(folder: string): SourceFile[] {
  const absolute = path.join(projectRoot, folder);
  if (!fs.existsSync(absolute)) return [];
  return fs
    .readdirSync(absolute, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.[cm]?tsx?$/.test(entry.name))
    .map((entry) => path.relative(projectRoot, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .toSorted()
    .map((file) => parseSource(file, fs.readFileSync(path.join(projectRoot, file), 'utf8')));
}

export function parseSource(file: string, text: string): SourceFile {
  return { path: file, text, imports: findImports(file, text), isTest: /\.test\.[cm]?tsx?$/.test(file) };
}

/** `import … from`, `export … from`, bare `import '…'`, and dynamic `import('…')`, `require('…')`, `import('…')` types. */
function findImports(file: string, text: string): SourceImport[] {
  const code = blankNonCode(text, { keepStrings: true });
  const found: SourceImport[] = [];
  const add = (specifier: string, typeOnly: boolean) => {
    const target = /^\.{1,2}\//.test(specifier) ? path.posix.join(path.posix.dirname(file), specifier) : undefined;
    found.push({ specifier, target, typeOnly });
  };
  const statement = /(?<![\w.$])(?:import|export)\b(\s+type\b)?([^'"`;()=]*?)\bfrom\s*(['"])([^'"\n]+)\3/g;
  for (const match of code.matchAll(statement)) {
    add(match[4] ?? '', match[1] !== undefined || namesOnlyTypes(match[2] ?? ''));
  }
  for (const match of code.matchAll(/(?<![\w.$])import\s*(['"])([^'"\n]+)\1/g)) add(match[2] ?? '', false);
  for (const match of code.matchAll(/(?<![\w$])(?:import|require)\s*\(\s*(['"`])([^'"`\n]+)\1/g)) {
    add(match[2] ?? '', false);
  }
  return found;
}

/** Whether an import's braces hold nothing but `type` names. */
function namesOnlyTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*$/.exec(clause)?.[1];
  if (names === undefined || names.trim() === '') return false;
  return names
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .every((name) => name.startsWith('type '));
}

const COMMENT_OR_LITERAL = new RegExp(
  [
    String.raw`\/\/[^\n]*`,
    String.raw`\/\*[\s\S]*?\*\/`,
    String.raw`'(?:[^'\\\n]|\\[\s\S])*'`,
    String.raw`"(?:[^"\\\n]|\\[\s\S])*"`,
    // A regular expression: a slash where an operand is expected.
    String.raw`(?<=(?:^|[=([{,;:!&|?+\-*%<>~^\n]|\breturn|\btypeof|\bcase|=>)\s*)\/(?![*/])(?:[^\/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*`,
  ].join('|'),
  'g',
);

/**
 * The text with comments and regular expressions blanked out, and strings too unless kept; line breaks stay.
 * Template literals stay as they are: what stands in `${…}` is code.
 */
export function blankNonCode(text: string, options: { keepStrings: boolean }): string {
  return text.replace(COMMENT_OR_LITERAL, (match) => {
    if (options.keepStrings && (match.startsWith("'") || match.startsWith('"'))) return match;
    return match.replace(/[^\n]/g, ' ');
  });
}

/** The line, counted from 1, at which `index` stands. */
export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
