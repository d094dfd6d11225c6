/** A caller's loudspeaker gives the agent's own voice back, and the recogniser hears it as words. */
import { describe, expect, it } from 'vitest';
import { MS_PER_CHARACTER, ScriptedCall } from '../support/scripted-call.ts';
import type { CallScript } from '../support/scripted-call.ts';

const NO_GUESSES = { speculation: { enabled: false } };
const LONG = 'We are open from nine to five on every day of the week, except on Sundays and on public holidays.';
const lastUserText = (call: ScriptedCall) => call.requests.at(-1)?.messages.at(-1)?.content;

/** The agent has been heard for so long with its answer. */
function answering(heardMs: number, answer = LONG, script: CallScript = {}): ScriptedCall {
  let turn = 0;
  const call = new ScriptedCall({
    agent: { turn_taking: NO_GUESSES },
    reply: () => ({ pieces: [turn++ === 0 ? answer : 'All right.'] }),
    ...script,
  });
  call.say('When are you open?');
  for (let ms = 0; ms < 5_000 && !call.wire.some(({ type }) => type === 'media'); ms += 20) call.advance(20);
  call.advance(heardMs);
  return call;
}

describe('an echo of what the agent is saying', () => {
  it('does not have the agent interrupt itself, more than once not even for a moment', () => {
    const call = answering(300);
    call.say('We are', 500);
    // It goes on at the beginning of the clause: the voice of this test tells no more of where its words are.
    call.advance(400);
    call.say('We are open from nine', 1_400);
    call.advance(200);
    call.say('On every day of the', 1_100);
    call.advance(200);
    call.advance(9_000);
    expect(call.of('barge-in')).toEqual([]);
    expect(call.of('false-interruption')).toMatchObject([{ cause: 'echo', text: 'We are' }]);
    expect(call.of('agent-said')).toMatchObject([{ heard_text: LONG, interrupted: false }]);
    expect(call.of('turn-confirmed')).toHaveLength(1);
  });

  it.each(['interim', 'final'] as const)('is no turn when the agent is done (the last of it is an %s)', (last) => {
    const first_message = 'How can I help you today?';
    const turn_taking = { interruptible_first_message: false, ...NO_GUESSES };
    const call = new ScriptedCall({ agent: { first_message, turn_taking }, finalAfterMs: undefined });
    call.advance(first_message.length * MS_PER_CHARACTER - 700);
    call.say('', 1_000);
    expect(call.of('agent-said')).toHaveLength(1);
    if (last === 'interim') call.interim('Help you today');
    else call.final('Help you today.');
    call.advance(6_000);
    expect(call.of('turn-confirmed')).toEqual([]);
    // Should it have been the caller after all, the log says why they got no answer.
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'stt', code: 'echo' }]);
    expect(call.of('agent-said')).toHaveLength(1);
  });

  it('does not keep the caller from interrupting, and is not part of what they say', () => {
    const call = answering(300);
    call.say('We are', 500);
    call.advance(400);
    call.say('We are open from nine', 1_400);
    call.say('And on Sundays?', 700);
    call.advance(3_000);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(lastUserText(call)).toBe('And on Sundays?');
  });
});

describe('a telephone that is a loudspeaker', () => {
  const greeting = 'Hello, this is Ada of the Ritz. How can I help you today?';
  const whole = (call: ScriptedCall) => call.of('agent-said').map(({ heard_text }) => heard_text);

  it.each([100, 250, 400])(
    'does not keep the agent from saying all of it, nor is it answered (%i ms)',
    (loudspeakerMs) => {
      const call = new ScriptedCall({ loudspeakerMs, agent: { first_message: greeting, turn_taking: NO_GUESSES } });
      call.advance(9_000);
      expect(whole(call)).toEqual([greeting]);
      expect(call.of('turn-confirmed')).toEqual([]);
      // Less than a word of it says nothing; from its first word on it is known.
      expect(call.of('interruption-suspected').length).toBeLessThanOrEqual(3);
    },
  );

  it.each([100, 250, 400])('has what the caller says answered, once (%i ms)', (loudspeakerMs) => {
    const call = new ScriptedCall({
      loudspeakerMs,
      agent: { first_message: greeting, turn_taking: NO_GUESSES },
      reply: () => ({ pieces: [LONG] }),
    });
    call.advance(7_000);
    call.say('When are you open?');
    call.advance(11_000);
    expect(whole(call)).toEqual([greeting, LONG]);
    expect(call.of('turn-confirmed').map(({ text }) => text)).toEqual(['When are you open?']);
  });
});

describe('a caller whose words are the agent’s as well', () => {
  it('is heard when they go on in other words', () => {
    const call = answering(300);
    call.clock.after(400, () => call.interim('We are'));
    call.clock.after(1_100, () => call.interim('We are in a'));
    call.say('We are in a hurry.', 1_300);
    call.advance(3_000);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(lastUserText(call)).toBe('We are in a hurry.');
  });

  it('is heard when they repeat what they have heard', () => {
    const answer = 'We have a table at seven, or there is one at nine, both of them are by the window and quiet.';
    const call = answering('We have a table at seven, or'.length * MS_PER_CHARACTER + 800, answer);
    call.say('At seven.', 500);
    call.advance(3_000);
    expect(lastUserText(call)).toBe('At seven.');
  });

  it('is answered when they choose what was offered last', () => {
    const answer = 'By the window, or by the door?';
    const call = answering(answer.length * MS_PER_CHARACTER + 300, answer);
    call.say('By the door.', 700);
    call.advance(3_000);
    expect(lastUserText(call)).toBe('By the door.');
  });
});
