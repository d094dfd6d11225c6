import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LivePrinter } from './live.ts';
import { peaksOf, renderPage } from './page.ts';
import { buildReport, latencyTable } from './report.ts';
import { SAMPLE_EVENTS, SAMPLE_SCRIPT, SAMPLE_UTTERANCES } from './sample-call.ts';
import { parseBlock, type ServerEvent } from './server-events.ts';
import { findFaults } from './verify.ts';

const report = (events: readonly ServerEvent[] = SAMPLE_EVENTS, utterances = SAMPLE_UTTERANCES) =>
  buildReport({ agent: 'front-desk', callSid: 'CA1', durationMs: 17_000, script: SAMPLE_SCRIPT, utterances, events });

const QUIET = { heardGreeting: true, warnings: [], serverErrors: [] };

describe('the report', () => {
  it('joins the ear and the server turn by turn', () => {
    const { turns } = report();
    expect(
      turns.map(({ topic, transcript, answer, firstAudioMs, earMs }) => [
        topic,
        transcript,
        answer,
        firstAudioMs,
        earMs,
      ]),
    ).toEqual([
      ['hours', 'what are your hours', 'We are open from seven to eleven.', 561, 620],
      ['price', 'how much is a room', 'It is ninety a night.', 562, 600],
      ['goodbye', 'goodbye', 'Goodbye!', 563, 580],
    ]);
  });

  it('shows the transcript in order of speech, with what was heard of an interrupted answer', () => {
    const { transcript } = report();
    expect(transcript.map((line) => `${line.role} ${line.atMs} ${line.text}`)).toEqual([
      'agent 40 Hello, how can I help?',
      'caller 4000 what are your hours',
      'agent 6620 We are open from seven to eleven.',
      'caller 8000 how much is a room',
      'agent 10100 It is ninety a night.',
      'caller 14000 goodbye',
      'agent 15580 Goodbye!',
    ]);
    expect(transcript.map((line) => line.heardText)).toEqual([
      undefined,
      undefined,
      'We are open',
      ...Array<undefined>(4).fill(undefined),
    ]);
  });

  it('makes a table that says what is not known', () => {
    expect(latencyTable(report(SAMPLE_EVENTS.filter((event) => event.turn !== 3)).turns).split('\n')).toEqual([
      'turn               agent stopped   transcript   first token   first audio      ear',
      '────────────────   ─────────────   ──────────   ───────────   ───────────   ──────',
      'hours                          –       460 ms        500 ms        561 ms   620 ms',
      'price (barge-in)          180 ms       460 ms        500 ms        562 ms   600 ms',
      'goodbye                        –            –             –             –   580 ms',
    ]);
  });
});

describe('findFaults', () => {
  it('finds none in a good call', () => {
    expect(findFaults(SAMPLE_SCRIPT, report(), QUIET)).toEqual([]);
  });

  it('names each thing that is missing or wrong', () => {
    const withoutAnswer = SAMPLE_UTTERANCES.map(({ index, label, startMs, endMs }) => ({
      index,
      label,
      startMs,
      endMs,
    }));
    const misheard = SAMPLE_EVENTS.map((event) =>
      event.turn === 1 && event.text ? { ...event, text: 'water yours' } : event,
    );
    const uninterrupted = SAMPLE_EVENTS.filter((event) => event.turn !== 3).map((event) => ({
      ...event,
      interrupted: false,
    }));
    expect(findFaults(SAMPLE_SCRIPT, report(SAMPLE_EVENTS, withoutAnswer), QUIET)).toEqual([
      'hours: no answer reached the ear',
      'price: no answer reached the ear',
      'price: the agent had finished before it could be interrupted',
      'goodbye: no answer reached the ear',
    ]);
    expect(findFaults(SAMPLE_SCRIPT, report(misheard), QUIET)).toEqual([
      'hours: the transcript is wrong: "water yours"',
    ]);
    expect(findFaults(SAMPLE_SCRIPT, report(uninterrupted), QUIET)).toEqual([
      'goodbye: the transcript is empty',
      'no answer was cut to what the caller had heard of it when interrupted',
    ]);
    expect(
      findFaults(SAMPLE_SCRIPT, report(SAMPLE_EVENTS, SAMPLE_UTTERANCES.slice(0, 1)), {
        heardGreeting: false,
        warnings: ['31951 x'],
        serverErrors: ['boom'],
      }),
    ).toEqual([
      'the greeting was not heard',
      'only 1 of 3 turns took place',
      'Twilio would have complained: 31951 x',
      'the server logged an error: boom',
    ]);
  });

  it('does not accept an agent that talks on or takes too long', () => {
    const slow = SAMPLE_UTTERANCES.map((utterance) => ({ ...utterance, voiceToVoiceMs: 9000, bargeInStopMs: 2500 }));
    expect(findFaults(SAMPLE_SCRIPT, report(SAMPLE_EVENTS, slow), QUIET)).toContain(
      'price: the agent talked on for 2500 ms after being interrupted',
    );
    expect(findFaults(SAMPLE_SCRIPT, report(SAMPLE_EVENTS, slow), QUIET)).toContain(
      'hours: the answer took 9000 ms to reach the ear',
    );
  });
});

describe('the live transcript', () => {
  it('prints both sides', () => {
    const lines: string[] = [];
    const printer = new LivePrinter((line) => lines.push(line));
    for (const event of SAMPLE_EVENTS.slice(0, 12)) printer.onServer(event);
    printer.onPhone({
      type: 'reply',
      atMs: 6620,
      utterance: { index: 0, label: 'hours', startMs: 4000, endMs: 6000, voiceToVoiceMs: 620 },
    });
    expect(lines).toEqual([
      '   0.040 s  agent   Hello,',
      '   0.060 s  agent   how can I help?',
      '   6.460 s  caller  what are your hours',
      '   6.510 s  agent   We are open from seven to eleven.',
      '   8.160 s            interrupted; heard only: "We are open"',
      '   6.620 s            answer at the ear 620 ms after the question',
    ]);
  });

  it('reads server-sent events, whatever else is on the line', () => {
    expect(parseBlock('event: transcript\ndata: {"at_ms":5,\ndata: "text":"hi"}')).toEqual({
      type: 'transcript',
      at_ms: 5,
      text: 'hi',
    });
    expect(parseBlock('data: {"type":"barge-in","at_ms":1,"new":true}')).toEqual({
      type: 'barge-in',
      at_ms: 1,
      new: true,
    });
    for (const block of [': keep-alive', 'event: x', 'data: {', 'data: 5', 'data: {"at_ms":"5"}'])
      expect(parseBlock(block)).toBeUndefined();
  });
});

describe('the page', () => {
  it('carries the data safely inside one file', async () => {
    const template = fileURLToPath(new URL('./page.html', import.meta.url));
    const nasty = SAMPLE_EVENTS.map((event) =>
      event.turn === 1 && event.text ? { ...event, text: "</script><b>$& $' hours" } : event,
    );
    const content = {
      report: report(nasty),
      peaks: peaksOf(new Int16Array(8000), new Int16Array(8000).fill(-32_768)),
      audioFile: 'call.wav',
      faults: [],
    };
    const page = await renderPage(template, content);
    expect(page.match(/<\/script>/g)).toHaveLength(2);
    expect(page).not.toMatch(/(?:src|href)="(?!#)|https?:\/\//);
    const data = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)?.[1] ?? '';
    expect(JSON.parse(data)).toMatchObject({
      report: { turns: [{ transcript: "</script><b>$& $' hours" }, {}, {}] },
      peaks: { perSecond: 40, caller: Array(40).fill(0), agent: Array(40).fill(100) },
      latency: {
        columns: ['agent stopped', 'transcript', 'first token', 'first audio', 'ear'],
        rows: [
          [null, 460, 500, 561, 620],
          [180, 460, 500, 562, 600],
          [null, 460, 500, 563, 580],
        ],
      },
    });
  });
});
