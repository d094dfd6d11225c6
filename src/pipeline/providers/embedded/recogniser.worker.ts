/** Worker thread of the embedded recogniser: loads SoundSwallower once, then decodes utterances as their audio comes. */
import { parentPort } from 'node:worker_threads';
import { DecoderPair, loadSoundSwallower } from './decoder.ts';
import { GrammarBuilder } from './pronunciation.ts';
import type { RecogniserReply, RecogniserRequest } from './recogniser-messages.ts';
import { UtteranceHost } from './utterance-host.ts';

const port = parentPort;
if (port) {
  const post = (reply: RecogniserReply) => port.postMessage(reply);
  // What it prints is about single utterances, and those report their failures themselves.
  const module = await loadSoundSwallower(() => {});
  const host = new UtteranceHost(() => DecoderPair.create(module), await GrammarBuilder.load(), post);
  await host.warm();
  port.on('message', (message: RecogniserRequest) => host.receive(message));
  post({ type: 'ready' });
}
