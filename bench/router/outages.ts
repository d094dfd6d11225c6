/** The agent, the vendors and the outages of the bench and of its small version among the tests. */
import type { DeepgramEmulator } from '../emulators/deepgram.ts';
import type { ElevenLabsEmulator } from '../emulators/elevenlabs.ts';
import type { OpenAiEmulator } from '../emulators/openai.ts';
import type { Outage } from './outage-calls.ts';

const ANSWER = 'We open at nine.';

/** A primary and a secondary for each stage, of the vendors that are emulated. */
export const OUTAGE_AGENT = {
  name: 'Ada',
  first_message: 'Hello.',
  // Callers may think for as long as they like.
  silence: { max_reminders: 0 },
  stt: [{ provider: 'deepgram' }, { provider: 'openai' }],
  llm: [
    { provider: 'openai', model: 'first' },
    { provider: 'openai', model: 'second' },
  ],
  tts: [{ provider: 'elevenlabs' }, { provider: 'deepgram', voice: 'aura-2-thalia-en' }],
};

export const OUTAGE_VENDORS = {
  deepgram: { transcripts: ['When do you open?'], finalDelayMs: 150, auraFirstAudioMs: 100 },
  openai: {
    firstTokenMs: 150,
    interTokenMs: 5,
    reply: [{ reply: ANSWER }],
    transcripts: ['When do you open?'],
    transcriptDelayMs: 150,
  },
  elevenlabs: { firstAudioMs: 100 },
};

interface Cloud {
  readonly deepgram: DeepgramEmulator;
  readonly openai: OpenAiEmulator;
  readonly elevenlabs: ElevenLabsEmulator;
}

/** Each stage's primary, as a process that dies with all its connections. */
export function outagesOf({ deepgram, openai, elevenlabs }: Cloud): Outage[] {
  return [
    {
      name: 'STT down',
      begin() {
        deepgram.settings.pathFaults = { '/listen': { refuseConnections: true } };
        deepgram.disconnect(1006);
      },
      end: () => (deepgram.settings.pathFaults = {}),
    },
    {
      name: 'LLM down',
      begin: () => (openai.settings.modelFaults = { first: { refuseConnections: true } }),
      end: () => (openai.settings.modelFaults = {}),
    },
    {
      name: 'TTS down',
      begin: () => (elevenlabs.settings.faults = { refuseConnections: true }),
      end: () => (elevenlabs.settings.faults = {}),
    },
  ];
}
