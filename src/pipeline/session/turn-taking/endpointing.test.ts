import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TurnTakingSettings } from '../../ports.ts';
import type { CallerTurn } from '../state.ts';
import { NOTHING_TOLD } from '../known-words.ts';
import { emptyTurn } from '../state.ts';
import {
  ASKED_DEADLINE_MS,
  FINALISED_DEADLINE_MS,
  judgeTurnEnd,
  MODEL_DEADLINE_MS,
  observeResumption,
  TRANSCRIPT_DEADLINE_MS,
  turnText,
} from './endpointing.ts';
import type { EndpointingContext, TurnEnd } from './endpointing.ts';
import { NEW_RHYTHM, observePause } from './rhythm.ts';

const settings: TurnTakingSettings = {
  interruptibleFirstMessage: true,
  bargeInMs: 120,
  bargeInMinWords: 1,
  falseAlarmMs: 900,
  coolDownAfter: 2,
  coolDownMs: 10_000,
  backchannels: undefined,
  neverInterrupt: [],
  endOfTurnSilenceMs: 200,
  incompleteSilenceMs: 1_200,
  dictationSilenceMs: 1_800,
  fillerAfterMs: 3_000,
  turnDeadlineMs: 6_000,
  speculation: { enabled: true, maxTries: 2, wastedTokenBudget: 2_000 },
};
const context: EndpointingContext = { settings, rhythm: NEW_RHYTHM, language: 'en' };
const EMPTY_TURN = emptyTurn(false);
const SPOKEN_MS = 1_000;
const ENDED_MS = 2_000;

/** A caller who spoke until `ENDED_MS`, and whom the recogniser has answered for. */
function paused(text: string, more: Partial<CallerTurn> = {}): CallerTurn {
  return {
    ...EMPTY_TURN,
    voice: { type: 'paused', startedAtMs: ENDED_MS - SPOKEN_MS, endedAtMs: ENDED_MS, detectedAtMs: ENDED_MS + 64 },
    finals: text === '' ? [] : [text],
    settled: true,
    transcriptAtMs: ENDED_MS + 100,
    ...more,
  };
}

/** The silence after which the turn is confirmed or given up. */
function silenceOf(turn: CallerTurn, inContext: EndpointingContext = context): number {
  const judged = judgeTurnEnd(turn, inContext, ENDED_MS);
  return judged.type === 'wait' ? judged.untilMs - ENDED_MS : judged.type === 'open' ? Number.POSITIVE_INFINITY : 0;
}

describe('the silence that ends a turn', () => {
  it.each<[string, number]>([
    ['What are your opening hours?', 200],
    ['what are your opening hours', 200],
    ['yes', 200],
    ['No.', 200],
    ['Yeah, sure.', 200],
    ['my number is', 1_200],
    ['I would like a room and', 1_200],
    ['My number is five five five', 1_800],
    ['jane dot doe at', 1_800],
    ['the thing with john smith', 490],
  ])('%s: %d ms', (text, silence) => {
    expect(silenceOf(paused(text))).toBe(silence);
    const before = judgeTurnEnd(paused(text), context, ENDED_MS + silence - 1);
    expect(before).toEqual({ type: 'wait', untilMs: ENDED_MS + silence });
    expect(judgeTurnEnd(paused(text), context, ENDED_MS + silence)).toEqual({ type: 'confirmed', text });
  });

  it('is measured from the end of the speech, however late the words came', () => {
    const late = paused('my number is', { transcriptAtMs: ENDED_MS + 1_300 });
    expect(judgeTurnEnd(late, context, ENDED_MS + 1_300).type).toBe('confirmed');
  });

  it('is longer for a caller who often goes on after a pause, within the bounds', () => {
    const rhythmOf = (pauseMs: number) => {
      let rhythm = NEW_RHYTHM;
      for (let times = 0; times < 6; times++) rhythm = observePause(rhythm, pauseMs);
      return rhythm;
    };
    expect(silenceOf(paused('I would like a room.'), { ...context, rhythm: rhythmOf(500) })).toBe(600);
    expect(silenceOf(paused('I would like a room.'), { ...context, rhythm: rhythmOf(100) })).toBe(200);
    expect(silenceOf(paused('I would like a room.'), { ...context, rhythm: rhythmOf(2_800) })).toBe(1_200);
    expect(silenceOf(paused('the thing with john smith'), { ...context, rhythm: rhythmOf(500) })).toBe(600);
    expect(silenceOf(paused('my number is'), { ...context, rhythm: rhythmOf(2_800) })).toBe(1_200);
  });

  it('keeps its order when the settings do not', () => {
    const odd = { ...context, settings: { ...settings, endOfTurnSilenceMs: 2_000, incompleteSilenceMs: 500 } };
    for (const text of ['yes', 'my number is', 'five five five', 'the thing with john smith']) {
      expect(silenceOf(paused(text), odd)).toBe(2_000);
    }
  });
});

describe('a transcript that is late, missing or at odds with the voice', () => {
  it.each<[string, CallerTurn, number]>([
    ['an interim is open', paused('', { interim: 'book a table please', settled: false }), TRANSCRIPT_DEADLINE_MS],
    ['a final, and nothing more is promised', paused('Book a table.', { settled: false }), FINALISED_DEADLINE_MS],
    ['nothing yet', paused('', { settled: false, transcriptAtMs: undefined }), TRANSCRIPT_DEADLINE_MS],
    ['no words, for sure', paused(''), 200],
    ['unfinished words count as well', paused('', { interim: 'five five five', settled: false }), 1_800],
  ])('%s', (_, turn, silence) => {
    expect(silenceOf(turn)).toBe(silence);
  });

  it('asks when there was speech and no words came, not after a cough', () => {
    const nothing = paused('', { settled: false, transcriptAtMs: undefined });
    expect(judgeTurnEnd(nothing, context, ENDED_MS + 1_500)).toEqual({ type: 'no-words', ask: true });
    const cough: CallerTurn = {
      ...nothing,
      voice: { type: 'paused', startedAtMs: ENDED_MS - 200, endedAtMs: ENDED_MS, detectedAtMs: ENDED_MS },
    };
    expect(judgeTurnEnd(cough, context, ENDED_MS + 1_500)).toEqual({ type: 'no-words', ask: false });
  });

  it('waits for an answer from when the recogniser was asked, when the pause was seen late', () => {
    const late: CallerTurn = {
      ...paused('', { settled: false, transcriptAtMs: undefined }),
      voice: { type: 'paused', startedAtMs: ENDED_MS - 1_000, endedAtMs: ENDED_MS, detectedAtMs: ENDED_MS + 2_000 },
    };
    const untilMs = ENDED_MS + 2_000 + ASKED_DEADLINE_MS;
    expect(judgeTurnEnd(late, context, ENDED_MS + 2_000)).toEqual({ type: 'wait', untilMs });
    expect(judgeTurnEnd(late, context, untilMs)).toEqual({ type: 'no-words', ask: true });
    const answered = { ...late, finals: ['Book a table.'], settled: true, transcriptAtMs: ENDED_MS + 2_000 };
    expect(judgeTurnEnd(answered, context, ENDED_MS + 2_000)).toEqual({ type: 'confirmed', text: 'Book a table.' });
  });

  it('takes words that the detector missed, from when they came', () => {
    const missed: CallerTurn = { ...EMPTY_TURN, finals: ['Yes.'], settled: true, transcriptAtMs: 5_000 };
    expect(judgeTurnEnd(missed, context, 5_100)).toEqual({ type: 'wait', untilMs: 5_200 });
    expect(judgeTurnEnd(missed, context, 5_200)).toEqual({ type: 'confirmed', text: 'Yes.' });
    const interim: CallerTurn = { ...EMPTY_TURN, interim: 'yes', transcriptAtMs: 5_000 };
    expect(judgeTurnEnd(interim, context, 5_100)).toEqual({ type: 'wait', untilMs: 6_500 });
    expect(judgeTurnEnd(EMPTY_TURN, context, 99_000)).toEqual({ type: 'open' });
  });
});

describe('a recogniser that decides turns itself', () => {
  it('is believed at once, with no wait of ours on top', () => {
    for (const text of ['My number is', 'Yes.']) {
      const ended = paused(text, { modelTurn: 'ended', settled: false });
      expect(judgeTurnEnd(ended, context, ENDED_MS)).toEqual({ type: 'confirmed', text });
    }
    const unsure: CallerTurn = {
      ...paused('Yes.', { modelTurn: 'ended' }),
      voice: { type: 'speaking', startedAtMs: 1_000, speechMs: 800, lastVoicedAtMs: 1_900, faded: false },
    };
    expect(judgeTurnEnd(unsure, context, ENDED_MS).type).toBe('confirmed');
    const missed = paused('Yes.', { modelTurn: 'ended', voice: { type: 'silent' } });
    expect(judgeTurnEnd(missed, context, ENDED_MS + 100).type).toBe('confirmed');
  });

  it('is not believed about speech that began after it', () => {
    const since: CallerTurn = {
      ...paused('Yes.', { modelTurn: 'ended' }),
      voice: {
        type: 'speaking',
        startedAtMs: ENDED_MS + 300,
        speechMs: 100,
        lastVoicedAtMs: ENDED_MS + 400,
        faded: false,
      },
    };
    expect(judgeTurnEnd(since, context, ENDED_MS + 400)).toEqual({ type: 'open' });
  });

  it.each(['open', 'likely'] as const)('is waited for while it says %s, but not for good', (modelTurn) => {
    const deciding = paused('', { interim: 'Yes.', modelTurn });
    expect(silenceOf(deciding)).toBe(MODEL_DEADLINE_MS);
    expect(judgeTurnEnd(deciding, context, ENDED_MS + MODEL_DEADLINE_MS).type).toBe('confirmed');
    // Of words that it has decided about it says no more, whatever is heard after them.
    expect(silenceOf(paused('Yes.', { modelTurn }))).toBe(200);
    // It has heard nothing, so it will end nothing.
    expect(silenceOf(paused('', { modelTurn, settled: false }))).toBe(TRANSCRIPT_DEADLINE_MS);
  });

  it('may end a turn that has no words', () => {
    const ended = paused('', { modelTurn: 'ended' });
    expect(judgeTurnEnd(ended, context, ENDED_MS)).toEqual({ type: 'no-words', ask: true });
  });
});

describe('what is learnt of the caller', () => {
  it('is a pause that the words did not announce', () => {
    expect(observeResumption(NEW_RHYTHM, paused('I need a room.'), ENDED_MS + 600, 'en').pausesMs).toEqual([600]);
    expect(observeResumption(NEW_RHYTHM, paused('I need a room and'), ENDED_MS + 600, 'en')).toEqual(NEW_RHYTHM);
    expect(observeResumption(NEW_RHYTHM, paused('five five five'), ENDED_MS + 600, 'en')).toEqual(NEW_RHYTHM);
    expect(observeResumption(NEW_RHYTHM, paused(''), ENDED_MS + 600, 'en')).toEqual(NEW_RHYTHM);
    expect(observeResumption(NEW_RHYTHM, EMPTY_TURN, ENDED_MS + 600, 'en')).toEqual(NEW_RHYTHM);
  });
});

describe('whatever the turn', () => {
  const text = fc.constantFrom(
    '',
    'Yes.',
    'my number is',
    'five five five',
    'the thing with john',
    'Book a room.',
    '…',
  );
  const time = fc.integer({ min: 0, max: 100_000 });
  const turns: fc.Arbitrary<CallerTurn> = fc
    .record({
      voiceType: fc.constantFrom('silent', 'paused', 'speaking' as const),
      endedAtMs: time,
      spokenMs: fc.integer({ min: 0, max: 8_000 }),
      finals: fc.array(text, { maxLength: 3 }),
      interim: text,
      settled: fc.boolean(),
      transcriptAfterMs: fc.option(fc.integer({ min: -8_000, max: 1_000 }), { nil: undefined }),
      modelTurn: fc.constantFrom('none', 'open', 'likely', 'ended' as const),
    })
    .map(({ voiceType, endedAtMs, spokenMs, transcriptAfterMs, ...rest }) => ({
      ...rest,
      guessTold: NOTHING_TOLD,
      leftOut: '',
      lostGuess: '',
      lostTold: NOTHING_TOLD,
      lostGuessMet: false,
      keysUntilMs: undefined,
      keys: '',
      transcriptAtMs: transcriptAfterMs === undefined ? undefined : endedAtMs + transcriptAfterMs,
      voice: voiceOf(voiceType, endedAtMs - spokenMs, endedAtMs),
    }));
  const contexts: fc.Arbitrary<EndpointingContext> = fc.record({
    settings: fc
      .record({
        endOfTurnSilenceMs: fc.integer({ min: 100, max: 5_000 }),
        incompleteSilenceMs: fc.integer({ min: 100, max: 5_000 }),
        dictationSilenceMs: fc.integer({ min: 100, max: 5_000 }),
      })
      .map((silences) => ({ ...settings, ...silences })),
    rhythm: fc
      .array(fc.integer({ min: 1, max: 4_000 }), { maxLength: 14 })
      .map((all) => all.reduce(observePause, NEW_RHYTHM)),
    language: fc.constantFrom('en', 'en-US', 'de', 'ja'),
  });
  const moments = fc.record({ turn: turns, context: contexts, afterMs: fc.integer({ min: 0, max: 12_000 }) });

  function voiceOf(
    type: 'silent' | 'paused' | 'speaking',
    startedAtMs: number,
    endedAtMs: number,
  ): CallerTurn['voice'] {
    if (type === 'silent') return { type };
    if (type === 'speaking')
      return { type, startedAtMs, speechMs: endedAtMs - startedAtMs, lastVoicedAtMs: endedAtMs, faded: false };
    return { type, startedAtMs, endedAtMs, detectedAtMs: endedAtMs };
  }

  const anchorOf = (turn: CallerTurn): number =>
    turn.voice.type === 'paused' ? turn.voice.endedAtMs : (turn.transcriptAtMs ?? 0);
  const isOver = (judged: TurnEnd): boolean => judged.type === 'confirmed' || judged.type === 'no-words';

  it('is over ten seconds later, unless there is nothing to confirm', () => {
    fc.assert(
      fc.property(moments, ({ turn, context: given }) => {
        if (turn.voice.type === 'speaking') return;
        const judged = judgeTurnEnd(turn, given, anchorOf(turn) + 10_000);
        const heardNothing =
          turn.voice.type === 'silent' && (turnText(turn) === '' || turn.transcriptAtMs === undefined);
        expect(judged.type === 'open').toBe(heardNothing);
        if (!heardNothing) expect(isOver(judged)).toBe(true);
      }),
    );
  });

  it('never waits longer than the longest wait that anything allows', () => {
    fc.assert(
      fc.property(moments, ({ turn, context: given, afterMs }) => {
        const judged = judgeTurnEnd(turn, given, anchorOf(turn) + afterMs);
        if (judged.type !== 'wait') return;
        const { endOfTurnSilenceMs, incompleteSilenceMs, dictationSilenceMs } = given.settings;
        const ofWords = Math.max(endOfTurnSilenceMs, incompleteSilenceMs, dictationSilenceMs, TRANSCRIPT_DEADLINE_MS);
        const longestMs = turn.modelTurn === 'none' ? ofWords : Math.max(MODEL_DEADLINE_MS, ofWords);
        expect(judged.untilMs - anchorOf(turn)).toBeLessThanOrEqual(longestMs);
        expect(judged.untilMs - anchorOf(turn)).toBeGreaterThanOrEqual(Math.min(endOfTurnSilenceMs, MODEL_DEADLINE_MS));
      }),
    );
  });

  it('ends at the announced moment, and stays over', () => {
    fc.assert(
      fc.property(moments, fc.integer({ min: 0, max: 60_000 }), ({ turn, context: given, afterMs }, laterMs) => {
        const nowMs = anchorOf(turn) + afterMs;
        const judged = judgeTurnEnd(turn, given, nowMs);
        const later = judgeTurnEnd(turn, given, nowMs + laterMs);
        if (isOver(judged)) expect(later).toEqual(judged);
        if (judged.type !== 'wait') return;
        expect(judged.untilMs).toBeGreaterThan(nowMs);
        expect(isOver(judgeTurnEnd(turn, given, judged.untilMs))).toBe(true);
        expect(judgeTurnEnd(turn, given, judged.untilMs - 0.01).type).toBe('wait');
      }),
    );
  });
});
