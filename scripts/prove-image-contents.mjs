// Runs inside the container image, on its standard input: looks whether the image holds what it should, and nothing else.
// Its arguments are packages that are for development only, as paths from /app. Prints what it found; exits 1 on a finding.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, openSync, readSync, readdirSync } from 'node:fs';
import path from 'node:path';

const app = '/app';
const developmentOnly = process.argv.slice(2);
const entries = readdirSync(app, { recursive: true, withFileTypes: true }).map((entry) => ({
  name: path.join(entry.parentPath, entry.name),
  isFile: entry.isFile(),
  isLink: entry.isSymbolicLink(),
}));
const files = entries.filter(({ isFile }) => isFile).map(({ name }) => name);

/** The machine that a binary is for, as ELF numbers it; undefined: not a Linux binary. */
function machineOf(file) {
  const header = Buffer.alloc(20);
  readSync(openSync(file, 'r'), header, 0, header.length, 0);
  return header.toString('latin1', 0, 4) === '\x7fELF' ? header.readUInt16LE(18) : undefined;
}

function writable(name) {
  try {
    accessSync(name, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function inPath(command) {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(path.join(folder, command)));
}

const native = files.filter((file) => /\.(?:node|dylib|dll|exe|so)(?:\.\d+)*$/.test(file));
const ourMachine = machineOf(process.execPath);
const findings = [
  ...(process.getuid() === 0 ? ['the user is root'] : []),
  ...['cc', 'gcc', 'g++', 'make', 'python3', 'git', 'tsc'].filter(inPath).map((tool) => `${tool} is there`),
  ...developmentOnly.filter((name) => existsSync(path.join(app, name))).map((name) => `${name} is for development`),
  ...['bench', 'tests', 'src', 'dist/bench', '.env']
    .filter((name) => existsSync(path.join(app, name)))
    .map((name) => `${name} is there`),
  ...files
    .filter((file) => file.startsWith(`${app}/dist/`) && /\.test\./.test(file))
    .map((file) => `${file} is a test`),
  ...native.filter((file) => machineOf(file) !== ourMachine).map((file) => `${file} is for another platform`),
  ...entries.filter(({ name, isLink }) => !isLink && writable(name)).map(({ name }) => `${name} can be written`),
];

const libc = process.report.getReport().header.glibcVersionRuntime;
console.log(`Node ${process.versions.node} (ABI ${process.versions.modules}), glibc ${libc}, user ${process.getuid()}`);
console.log(`native: ${native.map((file) => path.relative(`${app}/node_modules`, file)).join(', ')}`);
console.log(
  `${execFileSync('du', ['-sm', app], { encoding: 'utf8' }).split('\t')[0]} MB in ${files.length} files under ${app}`,
);
for (const finding of findings) console.log(`wrong: ${finding}`);
process.exitCode = findings.length === 0 && native.length > 0 ? 0 : 1;
