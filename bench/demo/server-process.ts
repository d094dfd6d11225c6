/** The server under demonstration, as a child process that is always stopped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createInterface } from 'node:readline';
import { z } from 'zod';

/** The server did not come up, or said that something is broken. */
export class ServerFailed extends Error {
  override readonly name = 'ServerFailed';
}

const STOP_DEADLINE_MS = 8000;
const HEALTH_POLL_MS = 100;
const PINO_ERROR_LEVEL = 50;
const ERROR_LINE = /"level":[56]0/u;
const KEPT_LINES = 30;
/** All that the server may know of this machine: no provider key can slip through a list of what is let in. */
const INHERITED_VARIABLES = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'TEMP', 'TMP', 'SYSTEMROOT', 'NODE_OPTIONS'];
/** The server also reads `.env`, which does not override what is set: empty means absent. */
const EMPTIED_VARIABLES = ['DEEPGRAM', 'OPENAI', 'ELEVENLABS', 'ANTHROPIC']
  .flatMap((name) => [`${name}_API_KEY`, `${name}_BASE_URL`])
  .concat(
    'TWILIO_ACCOUNT_SID',
    'TWILIO_AUTH_TOKEN',
    'TWILIO_API_BASE_URL',
    'PUBLIC_URL',
    'MEDIA_PORT',
    'HEDGE_SHARE',
    'API_READS_PER_MINUTE',
    'API_WRITES_PER_MINUTE',
    'AUTH_SECRET',
    'DATABASE_URL',
  );

const logLine = z.object({ level: z.number(), msg: z.string(), port: z.number().optional() });

export interface ServerProcess {
  readonly pid: number | undefined;
  /** Where it listens, e.g. `http://127.0.0.1:41234`. */
  readonly url: string;
  /** For its API: that of its local mode. */
  readonly apiKey: string;
  /** The log lines of level error so far. */
  readonly errors: readonly string[];
  /** SIGTERM, then SIGKILL at a deadline. Resolves when the process is gone, with whether it drained by itself. */
  stop(): Promise<{ readonly drained: boolean }>;
}

/**
 * Starts `entry` with Node on a free loopback port, without any provider's keys, and waits until it is ready.
 * Its whole output goes to `logFile`. Throws {@link ServerFailed} with the last lines of it.
 */
export async function startServer(options: {
  readonly entry: string;
  readonly cwd: string;
  readonly logFile: string;
  /** DATA_DIR of this server alone. */
  readonly dataDirectory: string;
  readonly readyTimeoutMs: number;
  /** Set over all that the server knows by itself, e.g. where emulated vendors listen. */
  readonly environment?: Readonly<Record<string, string>>;
}): Promise<ServerProcess> {
  const env: NodeJS.ProcessEnv = Object.fromEntries(EMPTIED_VARIABLES.map((name) => [name, '']));
  Object.assign(env, { HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DATA_DIR: options.dataDirectory });
  for (const name of INHERITED_VARIABLES) if (process.env[name] !== undefined) env[name] = process.env[name];
  Object.assign(env, options.environment);
  const child = spawn(process.execPath, [options.entry], { cwd: options.cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  // A demo that crashes must not leave a server behind.
  const killChild = (): void => void child.kill('SIGKILL');
  process.once('exit', killChild);

  const errors: string[] = [];
  const lastLines: string[] = [];
  const port = watchOutput(child, options.logFile, lastLines, errors);
  const exited = new Promise<never>((_, reject) => {
    child.once('error', (error) => reject(new ServerFailed(`the server could not be started: ${error.message}`)));
    // `close`, not `exit`: only then have its last words been read.
    child.once('close', (code, signal) => {
      const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
      reject(new ServerFailed(`the server ${how}. Its last lines:\n${lastLines.join('\n')}`));
    });
  });
  // Only a failure while someone waits for the server; when it is told to stop its exit is no failure.
  exited.catch(() => {});
  const stop = (): Promise<{ drained: boolean }> => stopChild(child).finally(() => process.off('exit', killChild));

  try {
    const deadline = AbortSignal.timeout(options.readyTimeoutMs);
    const url = await Promise.race([
      port.then((value) => `http://127.0.0.1:${value}`),
      exited,
      overdue(deadline, lastLines),
    ]);
    await Promise.race([waitUntilReady(url, deadline), exited, overdue(deadline, lastLines)]);
    const apiKey = (await readFile(join(options.dataDirectory, 'local-api-key'), 'utf8')).trim();
    return { url, pid: child.pid, apiKey, errors, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Resolves with the port of the `listening` line. */
function watchOutput(child: ChildProcess, logFile: string, lastLines: string[], errors: string[]): Promise<number> {
  const log = createWriteStream(logFile);
  child.once('close', () => log.end());
  return new Promise((resolve) => {
    let isListening = false;
    const onLine = (line: string): void => {
      log.write(`${line}\n`);
      lastLines.push(line);
      if (lastLines.length > KEPT_LINES) lastLines.shift();
      // Whoever measures in this process must not be held up by reading every line of a busy server.
      if (isListening && !ERROR_LINE.test(line)) return;
      const parsed = logLine.safeParse(parseJson(line));
      if (!parsed.success) return;
      if (parsed.data.level >= PINO_ERROR_LEVEL) errors.push(line);
      if (parsed.data.msg !== 'listening' || parsed.data.port === undefined) return;
      isListening = true;
      resolve(parsed.data.port);
    };
    for (const stream of [child.stdout, child.stderr])
      if (stream) createInterface({ input: stream }).on('line', onLine);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function overdue(deadline: AbortSignal, lastLines: readonly string[]): Promise<never> {
  return new Promise((_, reject) => {
    deadline.addEventListener('abort', () =>
      reject(new ServerFailed(`the server was not ready in time. Its last lines:\n${lastLines.join('\n')}`)),
    );
  });
}

async function waitUntilReady(url: string, deadline: AbortSignal): Promise<void> {
  while (!deadline.aborted) {
    const response = await fetch(`${url}/health/ready`, { signal: deadline }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    await sleep(HEALTH_POLL_MS);
  }
}

async function stopChild(child: ChildProcess): Promise<{ drained: boolean }> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
    return { drained: child.exitCode === 0 };
  const gone = new Promise<boolean>((resolve) => child.once('exit', (code) => resolve(code === 0)));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  const drained = await gone;
  clearTimeout(timer);
  return { drained };
}
