#!/usr/bin/env node
// Runs before every npm script, so that each works alone from a clean clone: installs the packages when
// node_modules is missing, half-made, foreign or outdated, and with --build compiles src/ and bench/ into dist/
// when they changed. Plain Node and no dependencies, since it runs before there are any; on an old Node it must
// at least parse, so that it can say which one is needed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_NODE = [20, 19];
const LOCK_BEAT_MS = 2_000;
/** Without a sign of life for this long, a lock held on another host (a shared folder) counts as abandoned. */
const FOREIGN_LOCK_STALE_MS = 60_000;
/** A lock this old is abandoned even if its process id is in use again. */
const LOCK_STALE_MS = 600_000;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const modules = path.join(root, 'node_modules');
const dist = path.join(root, 'dist');
/** npm's own record of what it installed. */
const installedTree = path.join(modules, '.package-lock.json');
const installStamp = path.join(modules, '.bvrai-stamp');
const buildStamp = path.join(dist, '.bvrai-stamp');
const lockDir = path.join(root, '.bootstrap', 'lock');

/** npm keeps going when these fail to install, so their absence has to be said. */
const OPTIONAL_PACKAGES = [
  {
    name: 'onnxruntime-node',
    effect: 'speech is detected by energy alone instead of the Silero model, so noise can pass for a caller',
  },
  {
    name: 'uWebSockets.js',
    effect: 'a MEDIA_PORT is served by ws instead: it works, at about 1.7 times the CPU per call',
  },
];

class BootstrapFailure extends Error {}

// ---------------------------------------------------------------------------------------------------- small tools

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NEEDED_NODE[0] || (major === NEEDED_NODE[0] && minor >= NEEDED_NODE[1])) return;
  throw new BootstrapFailure(
    `bvrai needs Node ${NEEDED_NODE.join('.')} or newer; this is Node ${process.versions.node} (${process.execPath}).\n` +
      'Install a current version from https://nodejs.org or with your version manager, then run the command again.',
  );
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function readJson(file) {
  try {
    return JSON.parse(readText(file) || 'null');
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function digest(parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex');
}

/** Runs `work` while one line says what happens, completed by how long it took. */
async function announced(what, work) {
  const startedMs = Date.now();
  process.stderr.write(`bootstrap: ${what} … `);
  try {
    const result = await work();
    process.stderr.write(`done in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`);
    return result;
  } catch (error) {
    process.stderr.write('failed\n');
    throw error;
  }
}

let runningChild;

/** Runs a program with this very Node; resolves to its exit code and everything it printed. */
function runNode(args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    runningChild = child;
    let output = '';
    const collect = (chunk) => {
      output = (output + chunk).slice(-40_000);
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      runningChild = undefined;
      resolve({ ok: code === 0, output: output.trim(), how: signal ? `signal ${signal}` : `exit code ${code}` });
    });
  });
}

// ------------------------------------------------------------------------------------------------------- the lock

/** Whether a lock's holder is gone. A lock without an owner was taken a moment ago, or its taker died just then. */
function isStale(lock) {
  let ageMs;
  try {
    ageMs = Date.now() - fs.statSync(lock).mtimeMs;
  } catch {
    return false;
  }
  const owner = readJson(path.join(lock, 'owner.json'));
  if (!owner) return ageMs > 5_000;
  if (owner.host !== os.hostname()) return ageMs > FOREIGN_LOCK_STALE_MS;
  return ageMs > LOCK_STALE_MS || !isAlive(owner.pid);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Renaming is atomic: of several waiters exactly one moves an abandoned lock away. */
function removeStaleLock() {
  if (!isStale(lockDir)) return;
  const grave = `${lockDir}.${process.pid}`;
  try {
    fs.renameSync(lockDir, grave);
    // Another waiter was faster, and this was already its successor's lock: hand it back.
    if (!isStale(grave)) fs.renameSync(grave, lockDir);
  } catch (error) {
    if (!['ENOENT', 'EEXIST', 'ENOTEMPTY'].includes(error.code)) throw error;
  }
  fs.rmSync(grave, { recursive: true, force: true });
}

function tryLock() {
  fs.mkdirSync(path.dirname(lockDir), { recursive: true });
  try {
    fs.mkdirSync(lockDir);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    removeStaleLock();
    return false;
  }
  fs.writeFileSync(path.join(lockDir, 'owner.json'), JSON.stringify({ pid: process.pid, host: os.hostname() }));
  return true;
}

function touchLock() {
  try {
    fs.utimesSync(lockDir, new Date(), new Date());
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

/** Runs `work` while no other bootstrap of this folder works; waits for one that does. */
async function locked(work) {
  for (let attempt = 0; !tryLock(); attempt++) {
    if (attempt === 5) process.stderr.write('bootstrap: another command is setting up this folder; waiting for it\n');
    await new Promise((resolve) => setTimeout(resolve, attempt === 0 ? 10 : 200));
  }
  const beat = setInterval(touchLock, LOCK_BEAT_MS);
  const release = () => fs.rmSync(lockDir, { recursive: true, force: true });
  const stop = (signal) => {
    if (runningChild) runningChild.kill(signal);
    release();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    return await work();
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    clearInterval(beat);
    release();
  }
}

// -------------------------------------------------------------------------------------------------------- packages

/** What an installed tree depends on besides package-lock.json. */
function platformKey() {
  return `node ${process.versions.node.split('.')[0]} ${process.platform} ${process.arch}`;
}

function wantedInstall() {
  const lockFile = readText(path.join(root, 'package-lock.json'));
  if (lockFile === undefined) throw new BootstrapFailure('package-lock.json is missing: this is not a complete clone.');
  return `${platformKey()}\n${digest([lockFile])}\n`;
}

function installIsCurrent() {
  return readText(installStamp) === wantedInstall();
}

/**
 * Whether the tree that npm itself recorded in node_modules is the one package-lock.json asks for on this platform,
 * as after a developer's own `npm install`: then it is taken over instead of being installed again.
 */
function treeMatchesLock() {
  const stamp = readText(installStamp);
  if (stamp !== undefined && !stamp.startsWith(`${platformKey()}\n`)) return false;
  const wanted = (readJson(path.join(root, 'package-lock.json')) || {}).packages || {};
  const found = (readJson(installedTree) || {}).packages;
  if (!found) return false;
  for (const location of Object.keys(found)) {
    if (!wanted[location]) return false;
  }
  return Object.entries(wanted).every(([location, entry]) => {
    if (location === '') return true;
    const present = found[location] && fs.existsSync(path.join(root, location, 'package.json'));
    if (present) return found[location].version === entry.version && found[location].integrity === entry.integrity;
    return entry.optional === true && !isForThisPlatform(entry);
  });
}

/** An optional package without a stated platform is wanted only by one that has one, as far as can be told here. */
function isForThisPlatform(entry) {
  const takes = (list, value) => list.includes(value) || (list[0].startsWith('!') && !list.includes(`!${value}`));
  if (!entry.os && !entry.cpu) return false;
  if (entry.os && !takes(entry.os, process.platform)) return false;
  if (entry.cpu && !takes(entry.cpu, process.arch)) return false;
  return !entry.libc || takes(entry.libc, fs.existsSync('/etc/alpine-release') ? 'musl' : 'glibc');
}

/** The npm that runs this script, else the one on the PATH or beside this Node: always run by this very Node. */
function npmCli() {
  const onPath = (process.env.PATH || '').split(path.delimiter).map((folder) => path.join(folder, 'npm'));
  const besideNode = path.join(path.dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js');
  const found = [process.env.npm_execpath, ...onPath, besideNode]
    .filter((file) => file && fs.existsSync(file))
    .map((file) => fs.realpathSync(file))
    .find((file) => /npm-cli\.c?js$/.test(file));
  if (!found) throw new BootstrapFailure('npm was not found. Run this through npm, for example: npm run demo');
  return found;
}

const OFFLINE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b/;

function installFailure({ output, how }) {
  const offline = OFFLINE.exec(output);
  const advice = offline
    ? `npm could not reach its package registry (${offline[0]}). Check the network and \`npm config get registry\` and proxy settings.`
    : 'Mend what npm says above, then run the command again; a half-made node_modules is no obstacle.';
  return new BootstrapFailure(`${output.slice(-4_000)}\n\nnpm ci failed (${how}). ${advice}`);
}

async function install() {
  await announced('installing packages (npm ci)', async () => {
    // Without these two an interrupted installation is recognised by the next run.
    fs.rmSync(installStamp, { force: true });
    fs.rmSync(installedTree, { force: true });
    // NODE_ENV=production would leave out the compiler.
    const result = await runNode([npmCli(), 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']);
    if (!result.ok) throw installFailure(result);
  });
  for (const { name, effect } of OPTIONAL_PACKAGES.filter(isInstalled)) {
    const result = await runNode(['--input-type=module', '--eval', `await import(${JSON.stringify(name)})`]);
    const reason = /^.*Error.*$/m.exec(result.output) || [result.how];
    if (!result.ok) warn(`${name} does not load here (${reason[0].trim().slice(0, 200)}): ${effect}`);
  }
  fs.writeFileSync(installStamp, wantedInstall());
}

function isInstalled({ name }) {
  return fs.existsSync(path.join(modules, name, 'package.json'));
}

function warn(message) {
  process.stderr.write(`bootstrap: warning: ${message}\n`);
}

async function ensureInstalled() {
  if (!installIsCurrent()) {
    await locked(async () => {
      if (installIsCurrent()) return;
      if (treeMatchesLock()) fs.writeFileSync(installStamp, wantedInstall());
      else await install();
    });
  }
  for (const missing of OPTIONAL_PACKAGES.filter((entry) => !isInstalled(entry))) {
    warn(`${missing.name} is not installed: ${missing.effect}. To try again: npm ci --include=optional`);
  }
}

// ----------------------------------------------------------------------------------------------------------- build

function* sourceFiles(folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* sourceFiles(file);
    else if (/\.[cm]?tsx?$/.test(entry.name) && !entry.name.endsWith('.test.ts')) yield file;
  }
}

/** A digest of everything the compiler's output depends on. By content: times lie after a checkout or a copy. */
function wantedBuild() {
  const files = ['src', 'bench']
    .flatMap((name) => [...sourceFiles(path.join(root, name))])
    .sort((a, b) => (a < b ? -1 : 1));
  const parts = ['tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json'].map((name) =>
    path.join(root, name),
  );
  return digest([...parts, ...files].flatMap((file) => [path.relative(root, file), fs.readFileSync(file)]));
}

function removeAbandonedBuilds() {
  for (const name of fs.readdirSync(root)) {
    if (name.startsWith('.dist-')) fs.rmSync(path.join(root, name), { recursive: true, force: true });
  }
}

async function build(wanted) {
  await announced('compiling src and bench', async () => {
    removeAbandonedBuilds();
    // Compiled beside dist and moved into place when whole: nothing stale stays, and nobody starts half a build.
    const fresh = path.join(root, `.dist-${process.pid}`);
    const old = `${fresh}-old`;
    const tsc = path.join(modules, 'typescript', 'bin', 'tsc');
    const result = await runNode([tsc, '-p', 'tsconfig.build.json', '--outDir', fresh, '--noEmitOnError', '--pretty']);
    if (!result.ok) {
      fs.rmSync(fresh, { recursive: true, force: true });
      throw new BootstrapFailure(`${result.output}\n\nThe sources do not compile (${result.how}); dist is unchanged.`);
    }
    fs.mkdirSync(fresh, { recursive: true });
    fs.writeFileSync(path.join(fresh, path.basename(buildStamp)), wanted);
    if (fs.existsSync(dist)) fs.renameSync(dist, old);
    fs.renameSync(fresh, dist);
    fs.rmSync(old, { recursive: true, force: true });
  });
}

async function ensureBuilt() {
  const wanted = wantedBuild();
  if (readText(buildStamp) === wanted) return;
  await locked(async () => {
    if (readText(buildStamp) !== wanted) await build(wanted);
  });
}

// ------------------------------------------------------------------------------------------------------------ main

async function main() {
  checkNode();
  await ensureInstalled();
  if (process.argv.includes('--build')) await ensureBuilt();
}

main().catch((error) => {
  process.stderr.write(`${error instanceof BootstrapFailure ? error.message : error.stack}\n`);
  process.exitCode = 1;
});
