/** Keys and words of one turn: in the order in which the caller gave them. */
import { describe, expect, it } from 'vitest';
import { ScriptedCall } from '../support/scripted-call.ts';

const NO_GUESSES = { speculation: { enabled: false } };
const confirmed = (call: ScriptedCall) => call.of('turn-confirmed').map(({ text }) => text);
function press(call: ScriptedCall, digits: string, everyMs = 200): void {
  for (const digit of digits) {
    call.session.onDtmf(digit);
    call.advance(everyMs);
  }
}

describe('keys that are pressed right after words', () => {
  it.each([
    [100, 200],
    [400, 150],
    [400, 400],
    [1_200, 200],
  ])('follow them, although the recogniser is slower (%i ms; a key every %i ms)', (finalAfterMs, everyMs) => {
    const call = new ScriptedCall({ agent: { turn_taking: NO_GUESSES }, finalAfterMs });
    call.say('My code is', 900);
    press(call, '4711#', everyMs);
    call.advance(4_000);
    expect(confirmed(call)).toEqual(['My code is 4711#']);
  });

  it('follow them when the recogniser has guessed only the first of them, and go before the next', () => {
    const call = new ScriptedCall({ agent: { turn_taking: NO_GUESSES }, finalAfterMs: 400 });
    call.interim('My code');
    call.say('My code is', 900);
    press(call, '47');
    call.advance(500);
    call.say('and then two.', 700);
    call.advance(4_000);
    expect(confirmed(call)).toEqual(['My code is 47 and then two.']);
  });

  it('follow those of a recogniser that decides turns, which decides later', () => {
    const call = new ScriptedCall({ agent: { turn_taking: NO_GUESSES }, finalAfterMs: undefined });
    call.interim('My code');
    call.say('', 900);
    call.model({ type: 'turn-end-likely', text: 'My code is' });
    press(call, '47');
    call.model({ type: 'turn-ended', text: 'My code is', confidence: 1, words: [] });
    press(call, '11#');
    call.advance(4_000);
    expect(confirmed(call)).toEqual(['My code is 4711#']);
  });

  it('go before words that come after them, though nothing came of the sound before them', () => {
    const call = new ScriptedCall({ agent: { turn_taking: NO_GUESSES } });
    call.say('', 300);
    press(call, '47');
    call.advance(500);
    press(call, '11');
    call.say('is my number.', 700);
    call.advance(4_000);
    expect(confirmed(call)).toEqual(['4711 is my number.']);
  });

  it('are all there is where the recogniser makes nothing of the sound, and are not kept waiting', () => {
    const call = new ScriptedCall({ agent: { turn_taking: NO_GUESSES }, finalAfterMs: undefined });
    call.model({ type: 'turn-ended', text: 'Hello.', confidence: 1, words: [] });
    call.advance(3_000);
    call.say('', 300);
    press(call, '4711#');
    const doneMs = call.clock.nowMs();
    call.advance(6_000);
    expect(confirmed(call)).toEqual(['Hello.', '4711#']);
    expect(call.of('turn-confirmed')[1]?.at_ms).toBeLessThan(doneMs + 1_500);
  });
});
