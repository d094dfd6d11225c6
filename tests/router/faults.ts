/** Every way in which a vendor fails, by the stages that it can strike; what cannot apply is listed with the reason. */
import type { AudioFault, Faults } from '../../bench/emulators/faults.ts';

/** Of speech that drips: its first audio may come this late, and then the gaps add up. */
export const DRIP_MS = 1_000;

/** Of tokens that drip: likewise. */
export const TOKEN_DRIP_MS = 1_600;

/** How a stage's vendors are reached. */
export type WireKind = 'stt-socket' | 'llm-http' | 'tts-socket' | 'tts-http';

/** What a caller may have to wait for until the router knows: nothing, or one of the stage's deadlines. */
export type Wait = 'none' | 'connect' | 'known-connect' | 'known-voice' | 'first' | 'gap' | 'pace' | 'drip';

export interface FaultCell {
  readonly name: string;
  readonly faults: Faults;
  readonly wait: Wait;
  /** The vendor is well at first, and fails while it answers (STT: while the caller's second sentence is being said). */
  readonly midway: boolean;
  /** Both vendors have taken many connections before, each within milliseconds. */
  readonly known?: boolean;
}

export interface NotApplicable {
  readonly name: string;
  readonly wires: readonly WireKind[];
  readonly reason: string;
}

/** A socket that hangs is given up by its own deadline; of HTTP only the answer's first part is waited for. */
const HANG: Readonly<Record<WireKind, Wait>> = {
  'stt-socket': 'connect',
  'llm-http': 'first',
  'tts-socket': 'first',
  'tts-http': 'first',
};

const at = (name: string, faults: Faults, wait: Wait = 'none'): FaultCell => ({ name, faults, wait, midway: false });
const midway = (name: string, faults: Faults, wait: Wait = 'none'): FaultCell => ({ name, faults, wait, midway: true });
const CLOSE_CODES = [1006, 1008, 1011];
const WRONG_AUDIO: readonly AudioFault[] = ['wav', 'mp3', 'pcm-16khz'];

/** The cells of one kind of wire. `messages`: after how many an answer is half said. */
export function cellsOf(wire: WireKind, messages: number): FaultCell[] {
  const cells = [
    at('refuse', { refuseConnections: true }),
    at('401', { refuse: { status: 401 } }),
    at('429, retry-after 3 s', { refuse: { status: 429, retryAfterSeconds: 3 } }),
    at('500', { refuse: { status: 500 } }),
    at('hang at connect', { hang: true }, HANG[wire]),
    at(wire.endsWith('http') ? 'stall after headers' : 'silent after accept', { stallAfter: 0 }, 'first'),
    midway('stop mid-stream', { stallAfter: messages }, wire === 'stt-socket' ? 'first' : 'gap'),
    // A recogniser's third message: by then it has guessed at words of the first sentence.
    wire === 'stt-socket'
      ? at('garbage JSON', { garbageAfter: 2 })
      : midway('garbage JSON', { garbageAfter: messages }),
    midway('reset', { resetAfter: messages }),
  ];
  const knownHang = { name: 'hang at connect, known', faults: { hang: true }, midway: false, known: true };
  if (wire === 'stt-socket') cells.push({ ...knownHang, wait: 'known-connect' });
  if (wire === 'tts-socket') cells.push({ ...knownHang, wait: 'known-voice' });
  if (wire === 'stt-socket') cells.push(midway('slow drip', { drip: { gapMs: 2_500 } }, 'first'));
  if (wire === 'llm-http') cells.push(midway('slow drip', { drip: { gapMs: TOKEN_DRIP_MS } }, 'pace'));
  if (wire === 'tts-socket') cells.push(midway('slow drip', { drip: { gapMs: DRIP_MS } }, 'drip'));
  if (wire === 'tts-http') cells.push(midway('slow drip', { drip: { gapMs: DRIP_MS, bytes: 9_600 } }, 'drip'));
  if (wire.endsWith('socket')) {
    for (const code of CLOSE_CODES) {
      cells.push(at(`close ${code} at once`, { closeAfter: { messages: 0, code } }));
      cells.push(midway(`close ${code} mid-stream`, { closeAfter: { messages, code } }));
    }
  } else {
    cells.push(at('cut short at once', { closeAfter: { messages: 0, code: 1006 } }));
    cells.push(midway('cut short mid-stream', { closeAfter: { messages, code: 1006 } }));
  }
  if (wire === 'stt-socket') cells.push(midway('process dies mid-stream', { refuseConnections: true }));
  if (wire.startsWith('tts')) {
    for (const audio of WRONG_AUDIO) cells.push(at(`wrong audio: ${audio}`, { audio }));
    // Known when the vendor says that it has finished.
    cells.push(at('empty audio', { audio: 'empty' }, 'first'));
  }
  return cells.filter(({ name }) => !NOT_APPLICABLE.some((not) => not.name === name && not.wires.includes(wire)));
}

export const NOT_APPLICABLE: readonly NotApplicable[] = [
  {
    name: 'close 1008, 1011',
    wires: ['llm-http', 'tts-http'],
    reason: 'HTTP has no close codes; a body that is cut short is its 1006',
  },
  {
    name: 'wrong audio, empty audio',
    wires: ['stt-socket', 'llm-http'],
    reason: 'they send text',
  },
  {
    name: 'stall after headers',
    wires: ['stt-socket', 'tts-socket'],
    reason: 'the headers of an upgrade are its acceptance: the same as silent after accept',
  },
  {
    name: 'garbage JSON',
    wires: ['tts-http'],
    reason: 'the body is samples: any bytes are sound; what is not audio is told by its opening (wrong audio)',
  },
  {
    name: 'wrong audio: pcm-16khz',
    wires: ['tts-http'],
    reason: '16-bit samples are what this vendor sends: at the wrong rate they are a voice at the wrong pace',
  },
];
