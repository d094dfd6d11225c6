/** What a caller does while the agent thinks: a sound, a "hello?", or more words. The answer is on its way and nobody has heard it. */
import { describe, expect, it } from 'vitest';
import { ScriptedCall } from '../support/scripted-call.ts';
import type { CallScript } from '../support/scripted-call.ts';

const NO_GUESSES = { speculation: { enabled: false } };

/** A question to a model that takes its time, from which the caller has been silent for `waitMs`. */
function asked(waitMs: number, script: CallScript = {}): ScriptedCall {
  const call = new ScriptedCall({
    agent: { turn_taking: NO_GUESSES },
    reply: () => ({ pieces: ['We open at nine. ', 'We close at five.'], firstMs: 2_000 }),
    ...script,
  });
  call.say('When do you open?');
  call.advance(waitMs);
  return call;
}

const heard = (call: ScriptedCall) => call.of('agent-said').at(-1)?.heard_text;
const lastUserText = (call: ScriptedCall) => call.requests.at(-1)?.messages.at(-1)?.content;

describe('a cough before the answer is heard', () => {
  it.each([600, 1_900, 2_200])('does not have the model asked again (%i ms after the question)', (waitMs) => {
    const call = asked(waitMs);
    call.say('', 300);
    call.advance(6_000);
    expect(call.requests).toHaveLength(1);
    expect(call.of('agent-said')).toMatchObject([{ heard_text: 'We open at nine. We close at five.' }]);
    expect(call.of('caller-said')).toMatchObject([{ turn: 1, text: 'When do you open?' }]);
    expect(call.of('agent-clause')).toHaveLength(2);
    expect(call.of('first-token')).toHaveLength(1);
  });

  it.each([1_900, 2_300])('keeps the answer back while it may become words (%i ms after the question)', (waitMs) => {
    const call = asked(waitMs, { audioAfterMs: 700 });
    call.beginNoise(1_000);
    expect(call.sentMs()).toBe(0);
    call.final('On Sundays, I mean.');
    call.advance(8_000);
    expect(call.requests).toHaveLength(2);
    expect(lastUserText(call)).toBe('When do you open? On Sundays, I mean.');
  });

  it('has no recogniser waited for that decides turns and has decided this one', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: NO_GUESSES },
      finalAfterMs: undefined,
      reply: () => ({ pieces: ['We open at nine.'], firstMs: 1_000 }),
    });
    call.say('');
    call.model({ type: 'turn-ended', text: 'When do you open?', confidence: 1, words: [] });
    call.advance(500);
    const coughMs = call.clock.nowMs();
    call.say('', 300);
    call.advance(2_000);
    expect(call.requests).toHaveLength(1);
    expect(call.of('first-audio')[0]?.at_ms).toBeLessThan(coughMs + 1_500);
  });

  it('leaves the deadline where it was', () => {
    const call = asked(1_500, { reply: () => ({ pieces: [], end: 'hang' }) });
    const confirmedAtMs = call.of('turn-confirmed')[0]?.at_ms ?? NaN;
    call.say('', 300);
    call.advance(9_000);
    const filler = call.of('agent-clause')[0];
    expect(filler?.at_ms).toBe(confirmedAtMs + 3_000);
  });
});

describe('a caller who asks whether anybody is there before the answer is heard', () => {
  it.each(['Hello?', 'Hello? Are you there?', 'Um', 'Mm-hmm.'])('gets the answer (%j)', (text) => {
    const call = asked(500);
    call.say(text, 400);
    call.advance(500);
    call.say(text, 400);
    call.advance(5_000);
    expect(call.requests).toHaveLength(1);
    expect(heard(call)).toBe('We open at nine. We close at five.');
    expect(call.of('caller-said')).toMatchObject([{ text: `When do you open? ${text} ${text}` }]);
  });

  it('and then says something else is answered to that', () => {
    const call = asked(900);
    call.say('Hello?', 400);
    call.advance(400);
    call.say('On Sundays.', 600);
    call.advance(6_000);
    expect(lastUserText(call)).toBe('When do you open? Hello? On Sundays.');
    expect(call.of('caller-said')).toHaveLength(1);
  });

  it('in words that answer something as well is taken at their word', () => {
    const call = asked(900);
    call.say('Yes.', 400);
    call.advance(6_000);
    expect(lastUserText(call)).toBe('When do you open? Yes.');
  });
});

describe('a caller who asks whether anybody is there just as the answer begins', () => {
  const collided = (text: string, afterMs: number): ScriptedCall => {
    const call = asked(500, { reply: () => ({ pieces: ['We open at nine, and we close at five.'], firstMs: 1_000 }) });
    for (let ms = 0; ms < 5_000 && !call.wire.some(({ type }) => type === 'media'); ms += 20) call.advance(20);
    call.advance(afterMs);
    call.say(text, 400);
    call.advance(5_000);
    return call;
  };

  it.each([0, 300])('hears it to its end (%i ms after its beginning)', (afterMs) => {
    const call = collided('Hello?', afterMs);
    expect(call.of('barge-in')).toEqual([]);
    expect(heard(call)).toBe('We open at nine, and we close at five.');
    expect(call.requests).toHaveLength(1);
  });

  it('is answered when they say more than that, or have heard what the agent says', () => {
    expect(lastUserText(collided('Hello? I have a question.', 0))).toBe('Hello? I have a question.');
    expect(lastUserText(collided('Hello?', 1_000))).toBe('Hello?');
  });
});
