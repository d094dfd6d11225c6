#!/usr/bin/env node
// What may not be in the repository, looked for in the tracked files of this checkout and the blobs reachable from
// HEAD: machine paths, registry hosts, big blobs, over-long sources. Prints a size report; exits 1 on any finding.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const MAX_BLOB_BYTES = 500_000;
const MAX_SOURCE_LINES = 450;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const self = path
  .relative(root, fileURLToPath(import.meta.url))
  .split(path.sep)
  .join('/');

function git(args, input) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', input, maxBuffer: 1e9 });
}

/** Places on one developer's or one CI machine; a path inside a container image or of a system tool is none. */
const MACHINE_PATH = /(?<![\w.~/@:-])\/(?:work|root|Users\/\w+|home\/(?!node\b)\w+|tmp\/tmp\.\w+)\/[\w.-]+/;
const REGISTRY =
  /\bregistry\.[\w-]+\.\w+|\bnpm\.pkg\.github\.com|\b(?:artifactory|jfrog|verdaccio|nexus)\b|"resolved":\s*"http/i;

function leftovers(file) {
  const bytes = fs.readFileSync(path.join(root, file));
  if (bytes.includes(0)) return [];
  return bytes
    .toString('utf8')
    .split('\n')
    .flatMap((line, index) => {
      const found = MACHINE_PATH.exec(line) || REGISTRY.exec(line);
      return found ? [`${file}:${index + 1}: ${found[0]} belongs to one machine or registry`] : [];
    });
}

function bigBlobs() {
  const objects = git(['rev-list', '--objects', 'HEAD']);
  const described = git(['cat-file', '--batch-check=%(objecttype) %(objectsize) %(rest)'], objects);
  return described
    .trim()
    .split('\n')
    .map((line) => /^blob (\d+) (.*)$/.exec(line))
    .filter((match) => match && Number(match[1]) > MAX_BLOB_BYTES)
    .map(([, size, file]) => `${file}: a blob of ${size} bytes, at most ${MAX_BLOB_BYTES}`);
}

function countLines(file) {
  return fs.readFileSync(path.join(root, file), 'utf8').replace(/\n$/, '').split('\n').length;
}

const tracked = git(['ls-files', '-z'])
  .split('\0')
  .filter((file) => file && fs.existsSync(path.join(root, file)));
const sources = tracked.filter((file) => /^(src|bench|tests)\/.*\.ts$/.test(file));
const isTest = (file) => file.startsWith('tests/') || file.endsWith('.test.ts');

const findings = [
  ...tracked.filter((file) => file !== self).flatMap(leftovers),
  ...bigBlobs(),
  ...sources
    .filter((file) => !isTest(file) && countLines(file) > MAX_SOURCE_LINES)
    .map((file) => `${file}: ${countLines(file)} lines, at most ${MAX_SOURCE_LINES}`),
];

for (const folder of ['src', 'bench', 'tests']) {
  const inside = sources.filter((file) => file.startsWith(`${folder}/`));
  const sum = (files) => files.reduce((total, file) => total + countLines(file), 0);
  const [code, tests] = [inside.filter((file) => !isTest(file)), inside.filter(isTest)];
  console.log(`${folder}: ${code.length} files, ${sum(code)} lines; tests: ${tests.length} files, ${sum(tests)} lines`);
}
const longest = sources
  .filter((file) => !isTest(file))
  .map((file) => ({ file, lines: countLines(file) }))
  .sort((a, b) => b.lines - a.lines)
  .slice(0, 5);
console.log(`longest: ${longest.map(({ file, lines }) => `${file} ${lines}`).join(', ')}`);

for (const finding of findings) console.error(finding);
process.exitCode = findings.length > 0 ? 1 : 0;
