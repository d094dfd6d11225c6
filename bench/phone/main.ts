/** `npm run call`: rings a running server with recorded speech and reports what came back to the ear. */
import { parseArgs } from 'node:util';
import { mulawDecode, speechEdges } from './audio.ts';
import { earTable, liveLine } from './live-line.ts';
import { loadSpeech } from './mouth.ts';
import { CallFailed, Phone, WavError } from './phone.ts';

const HELP = `Rings a bvrai server as Twilio would and holds a call with recorded speech.

  npm run call -- --agent front-desk --say hours.wav --say parking.wav

  --say FILE.wav        says this, then waits for the answer to end; may be repeated
  --barge-in FILE.wav   says this while the answer to the --say before it is being heard
  --agent NAME          the agent to talk to (local mode; otherwise the called number decides)
  --url URL             the server (default http://127.0.0.1:8080)
  --from, --to NUMBER   the calling and the called number
  --auth-token TOKEN    signs requests as Twilio does (default: the variable TWILIO_AUTH_TOKEN)
  --public-url URL      the origin that signatures are made for, if the server has one (PUBLIC_URL)
  --out FILE.wav        records the call: caller on the left, what was heard on the right
  --no-greeting         speaks at once instead of waiting for the agent to greet
  --timeout SECONDS     how long to wait for each answer (default 15)
  --hang-up             hangs up in the middle of the last answer instead of after it
  --help                this text

WAV files: 16-bit PCM or μ-law, any sample rate. Exit code: 0 if everything was answered, 1 if not, 2 for wrong usage.`;

/** How much of an answer is heard before the caller interrupts it or hangs up. */
const INTERRUPT_AFTER_MS = 700;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

interface Step {
  readonly kind: 'say' | 'barge-in';
  readonly file: string;
  readonly mulaw: Uint8Array;
}

/** What is wrong with the command line. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      tokens: true,
      options: {
        say: { type: 'string', multiple: true },
        'barge-in': { type: 'string', multiple: true },
        agent: { type: 'string' },
        url: { type: 'string', default: 'http://127.0.0.1:8080' },
        from: { type: 'string' },
        to: { type: 'string' },
        'auth-token': { type: 'string' },
        'public-url': { type: 'string' },
        out: { type: 'string' },
        'no-greeting': { type: 'boolean', default: false },
        timeout: { type: 'string', default: '15' },
        'hang-up': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

type Arguments = ReturnType<typeof readArguments>;

/** The files in the order of the command line, read and checked before anyone is rung. */
async function loadSteps(tokens: Arguments['tokens']): Promise<Step[]> {
  const steps: Step[] = [];
  for (const token of tokens) {
    if (token.kind !== 'option' || (token.name !== 'say' && token.name !== 'barge-in')) continue;
    const file = token.value ?? '';
    if (token.name === 'barge-in' && steps.length === 0)
      throw new UsageError(`--barge-in ${file} needs a --say before it`);
    const mulaw = await loadSpeech(file);
    if (!speechEdges(mulawDecode(mulaw))) throw new WavError(`${file}: holds no audible speech`);
    steps.push({ kind: token.name, file, mulaw });
  }
  if (steps.length === 0) throw new UsageError('nothing to say: give at least one --say FILE.wav');
  return steps;
}

interface Manners {
  readonly greeting: boolean;
  readonly timeoutMs: number;
  readonly hangUp: boolean;
}

/** Goes through the steps; throws {@link CallFailed} at the first that gets no answer. */
async function converse(phone: Phone, steps: readonly Step[], manners: Manners): Promise<void> {
  const { timeoutMs } = manners;
  if (manners.greeting) await named('no greeting', phone.waitForAgent({ timeoutMs }));
  for (const [index, step] of steps.entries()) {
    const next = steps[index + 1];
    const utterance = await phone.say(step.mulaw, step.file);
    const complaint = `no answer to ${step.file}`;
    const isInterrupted = next ? next.kind === 'barge-in' : manners.hangUp;
    if (isInterrupted) {
      await named(complaint, phone.waitUntilAgentSpeaks(timeoutMs));
      await named(complaint, phone.sayNothing(INTERRUPT_AFTER_MS));
      continue;
    }
    try {
      await named(complaint, phone.waitForAgent({ timeoutMs }));
    } catch (error) {
      // A server that says goodbye and hangs up has answered.
      const saidGoodbye = !next && utterance?.voiceToVoiceMs !== undefined && phone.events.at(-1)?.type === 'ended';
      if (!saidGoodbye) throw error;
    }
  }
}

async function named(complaint: string, wait: Promise<void>): Promise<void> {
  try {
    await wait;
  } catch (error) {
    throw error instanceof CallFailed ? new CallFailed(`${complaint}: ${error.message}`, { cause: error }) : error;
  }
}

async function call(args: Arguments['values'], steps: readonly Step[]): Promise<boolean> {
  const timeoutMs = Number(args.timeout) * 1000;
  if (!(timeoutMs > 0)) throw new UsageError(`--timeout ${args.timeout}: must be a number of seconds, for example 15`);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  const authToken = args['auth-token'] ?? process.env['TWILIO_AUTH_TOKEN'];
  const phone = await Phone.ring({
    serverUrl: args.url,
    signal: interrupted.signal,
    onEvent(event) {
      const line = liveLine(event);
      if (line) console.log(line);
    },
    ...(args.agent === undefined ? {} : { agent: args.agent }),
    ...(args.from === undefined ? {} : { from: args.from }),
    ...(args.to === undefined ? {} : { to: args.to }),
    ...(args['public-url'] === undefined ? {} : { publicUrl: args['public-url'] }),
    ...(authToken ? { authToken } : {}),
  });
  let failure: CallFailed | undefined;
  try {
    await converse(phone, steps, { greeting: !args['no-greeting'], timeoutMs, hangUp: args['hang-up'] });
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    failure = error;
  } finally {
    await phone.hangUp();
  }
  console.log(`\n${earTable(phone.utterances)}`);
  const { count, totalMs } = phone.underruns;
  if (count > 0) console.log(`\nPlayback ran dry ${count} times, ${Math.round(totalMs)} ms in all.`);
  if (args.out) {
    await phone.writeWav(args.out);
    console.log(`\nRecorded in ${args.out} (left: caller, right: what was heard).`);
  }
  if (failure) console.error(`\nFAILED: ${failure.message}`);
  return failure === undefined;
}

async function main(): Promise<number> {
  try {
    const { values, tokens } = readArguments(process.argv.slice(2));
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    return (await call(values, await loadSteps(tokens))) ? 0 : EXIT_FAILED;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\nTry: npm run call -- --help`);
      return EXIT_USAGE;
    }
    if (error instanceof WavError || error instanceof CallFailed) {
      console.error(error.message);
      return error instanceof WavError ? EXIT_USAGE : EXIT_FAILED;
    }
    throw error;
  }
}

process.exitCode = await main();
