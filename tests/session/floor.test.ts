/** Who has the floor: answers that overlap the agent, words that are too few, sounds that are nobody's, goodbyes that come too early. */
import { describe, expect, it } from 'vitest';
import { MS_PER_CHARACTER, ScriptedCall } from '../support/scripted-call.ts';

const NO_GUESSES = { speculation: { enabled: false } };
const told = (call: ScriptedCall) => call.requests.at(-1)?.messages.slice(1);
const lastUserText = (call: ScriptedCall) => told(call)?.findLast(({ role }) => role === 'user')?.content;
/** Lets time pass until the agent's first audio has been on the line for so long. */
function hear(call: ScriptedCall, heardMs: number): void {
  for (let ms = 0; ms < 5_000 && !call.wire.some(({ type }) => type === 'media'); ms += 20) call.advance(20);
  call.advance(heardMs);
}

describe('a yes that overlaps the end of a question', () => {
  const QUESTION = 'Shall I book the table for you?';
  const durationMs = QUESTION.length * MS_PER_CHARACTER;
  const asked = (text = QUESTION) => {
    let turn = 0;
    const call = new ScriptedCall({
      agent: { turn_taking: NO_GUESSES },
      reply: () => ({ pieces: [turn++ === 0 ? text : 'It is booked.'] }),
    });
    call.say('A table for two please.');
    return call;
  };

  it.each([600, 300, 100, 0])('is its answer (%i ms before the end)', (beforeEndMs) => {
    const call = asked();
    hear(call, durationMs - beforeEndMs);
    call.say('Yes.', 300);
    call.advance(3_000);
    expect(lastUserText(call)).toBe('Yes.');
    expect(call.of('agent-said').at(-1)).toMatchObject({ heard_text: 'It is booked.' });
  });

  it('is its answer when the agent goes on after the question', () => {
    const call = asked(`${QUESTION} It would be the last one for this evening, and it is by the window.`);
    hear(call, durationMs + 500);
    call.say('Yes.', 300);
    call.advance(3_000);
    expect(lastUserText(call)).toBe('Yes.');
  });
});

describe('a yes that overlaps the end of a question, and is recognised late', () => {
  const QUESTION = 'Shall I book the table by the window for you, your wife and the children?';
  const asked = (beforeEndMs: number) => {
    let turn = 0;
    const call = new ScriptedCall({
      agent: { turn_taking: NO_GUESSES },
      reply: () => ({ pieces: [turn++ === 0 ? QUESTION : 'It is booked.'] }),
      finalAfterMs: 1_000,
    });
    call.say('A table please.');
    hear(call, QUESTION.length * MS_PER_CHARACTER - beforeEndMs);
    call.say('Yes.', 300);
    call.advance(3_000);
    return call;
  };

  it('is its answer although the agent has gone on meanwhile', () => {
    const call = asked(400);
    expect(call.of('false-interruption')).toMatchObject([{ cause: 'nothing-recognised' }]);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(lastUserText(call)).toBe('Yes.');
  });

  it('is a "go on" all the same in the middle of what the agent says', () => {
    expect(asked(2_500).of('barge-in')).toEqual([]);
  });
});

describe('a "go on" that was guessed and never made final', () => {
  it('is not taken for the next one, which is an answer', () => {
    let turn = 0;
    const call = new ScriptedCall({
      agent: { turn_taking: NO_GUESSES },
      reply: () => ({ pieces: [turn++ === 0 ? 'We have one by the window. Do you want it?' : 'It is booked.'] }),
    });
    call.say('A table please.');
    hear(call, 300);
    call.interim('Mm-hmm.');
    call.say('', 300);
    for (let ms = 0; ms < 6_000 && call.of('agent-said').length === 0; ms += 20) call.advance(20);
    call.say('Mm-hmm.', 300);
    call.advance(2_000);
    expect(call.of('false-interruption')).toMatchObject([{ cause: 'backchannel' }]);
    expect(lastUserText(call)).toBe('Mm-hmm.');
  });
});

describe('one noise after the other', () => {
  it('does not take an answer back again and again', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: NO_GUESSES },
      reply: () => ({ pieces: ['We open at nine.'], firstMs: 400 }),
    });
    call.say('When do you open?');
    for (let burst = 0; burst < 12; burst++) {
      call.advance(250);
      call.say('', 250);
    }
    const at = call.of('first-audio')[0]?.at_ms ?? Infinity;
    expect(call.requests.length).toBeLessThanOrEqual(3);
    expect(at).toBeLessThan(5_000);
  });

  it('says nothing: the agent reminds, and takes its leave', () => {
    const call = new ScriptedCall({ agent: { silence: { reminder_after_ms: 4_000, max_reminders: 1 } } });
    for (let burst = 0; burst < 30; burst++) {
      call.advance(700);
      call.say('', 300);
    }
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['reminder', 'goodbye']);
  });
});

describe('fewer words than take the floor', () => {
  /** "Seven." into an answer that three words would stop. */
  const interrupted = (answer: string) => {
    const call = new ScriptedCall({
      agent: { turn_taking: { barge_in_min_words: 3, ...NO_GUESSES } },
      reply: () => ({ pieces: [answer] }),
    });
    call.say('Do you have a table?');
    hear(call, 1_000);
    call.say('Seven.', 400);
    return call;
  };

  it('are answered when the agent is done', () => {
    const call = interrupted('We have a table at seven and another one at nine o clock.');
    call.advance(6_000);
    expect(lastUserText(call)).toBe('Seven.');
  });

  it('count with those that follow', () => {
    const call = interrupted('We have a table at seven and another one at nine o clock, both of them by the window.');
    call.advance(1_000);
    call.say('Seven is fine.', 600);
    call.advance(2_000);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(lastUserText(call)).toBe('Seven. Seven is fine.');
  });
});

describe('what must be spoken to its end', () => {
  const LEGAL = 'This call is recorded for training and for quality.';
  const REST =
    ' We are open from nine to five on every day of the week, except on public holidays and the first of May.';
  const started = () => {
    const call = new ScriptedCall({
      agent: { turn_taking: { never_interrupt: [LEGAL], ...NO_GUESSES } },
      reply: () => ({ pieces: [LEGAL, REST] }),
    });
    call.say('When are you open?');
    hear(call, 1_000);
    return call;
  };

  it('is not cut by a key either, which takes the floor as soon as it can', () => {
    const call = started();
    call.session.onDtmf('1');
    call.advance(1_000);
    expect(call.of('barge-in')).toEqual([]);
    call.advance(2_000);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(call.of('agent-said')[0]?.heard_text).toContain(LEGAL);
    expect(call.of('agent-said')[0]?.heard_text.length).toBeLessThan(LEGAL.length + 25);
  });

  it('gives way to words as soon as it has been heard', () => {
    const call = started();
    call.say('Stop, please.', 600);
    call.advance(3_500);
    expect(call.of('barge-in')).toHaveLength(1);
    expect(call.of('agent-said')[0]?.heard_text).toContain(LEGAL);
    expect(call.of('agent-said')[0]?.heard_text.length).toBeLessThan(LEGAL.length + 25);
  });

  it('is not cut by words that were said before it', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: { never_interrupt: [LEGAL], barge_in_ms: 1_000, ...NO_GUESSES } },
      reply: () => ({ pieces: ['Hello there. ', LEGAL, REST] }),
      finalAfterMs: 900,
    });
    call.say('When are you open?');
    hear(call, 100);
    call.say('Wait a minute.', 300);
    call.advance(8_000);
    expect(call.of('agent-said')[0]?.heard_text).toContain(LEGAL);
  });
});

describe('a goodbye to a caller who says nothing', () => {
  it('is broken off when they speak after all', () => {
    const call = new ScriptedCall({
      agent: { silence: { reminder_after_ms: 3_000, max_reminders: 1 }, turn_taking: NO_GUESSES },
    });
    for (let ms = 0; ms < 20_000 && call.of('agent-clause').at(-1)?.kind !== 'goodbye'; ms += 20) call.advance(20);
    call.advance(500);
    call.say('Yes, I am here.', 800);
    call.advance(3_000);
    expect(call.of('call-ended')).toEqual([]);
    expect(lastUserText(call)).toBe('Yes, I am here.');
  });
});

describe('a false alarm during which the time for a reply has run out', () => {
  it('does not let the filler go on for a moment', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: { filler_after_ms: 1_000, turn_deadline_ms: 2_300, ...NO_GUESSES } },
      reply: () => ({ pieces: [], end: 'hang' }),
      finalAfterMs: 100,
    });
    call.say('When do you open?');
    hear(call, 600);
    call.beginNoise(1_300);
    call.advance(200);
    const alarm = call.of('false-interruption')[0]?.at_ms ?? Infinity;
    const apology = call.of('agent-clause').find(({ kind }) => kind === 'apology')?.at_ms;
    expect(apology).toBe(alarm);
    expect(call.sentMs(alarm)).toBeGreaterThan(0);
    expect(call.wire.filter(({ type, atMs }) => type === 'clear' && atMs >= alarm)).toEqual([]);
  });
});

describe('a goodbye', () => {
  const leaving = (agent: Record<string, unknown> = {}) => {
    // By a phrase the agent leaves without asking the model.
    let turn = agent['end_call_phrases'] === undefined ? 1 : 0;
    const call = new ScriptedCall({
      agent: { goodbye_message: 'Thank you for calling us today. Goodbye.', turn_taking: NO_GUESSES, ...agent },
      reply: () =>
        turn++ === 0
          ? { pieces: ['Goodbye, and thank you for calling.'], tools: ['end_call'] }
          : { pieces: ['Of course.'] },
    });
    call.say(agent['end_call_phrases'] === undefined ? 'Okay, goodbye!' : 'That is all for now.');
    return call;
  };
  const byTool = { end_call_phrases: [] };

  it.each([{}, byTool])('is broken off by a caller who asks to wait (%j)', (agent) => {
    const call = leaving(agent);
    hear(call, 300);
    call.say('Oh wait, I forgot something.', 700);
    call.advance(4_000);
    expect(call.of('call-ended')).toEqual([]);
    expect(lastUserText(call)).toBe('Oh wait, I forgot something.');
  });

  it('is broken off by a question', () => {
    const call = leaving(byTool);
    hear(call, 300);
    call.say('Can I bring my dog?', 700);
    call.advance(4_000);
    expect(call.of('call-ended')).toEqual([]);
    expect(lastUserText(call)).toBe('Can I bring my dog?');
  });

  it.each(['Thank you, goodbye!', 'Thanks, have a nice day.', 'Yeah.', ''])('is not broken off by %j', (text) => {
    const call = leaving(byTool);
    hear(call, 300);
    call.say(text, 500);
    call.advance(4_000);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'agent-hung-up' });
    expect(call.of('agent-said').at(-1)).toMatchObject({ interrupted: false });
  });

  it('is not said to a caller who goes on before it is heard', () => {
    const call = leaving();
    call.advance(140);
    call.final('To the old number, I mean.');
    call.advance(3_000);
    expect(call.of('call-ended')).toEqual([]);
    expect(lastUserText(call)).toBe('Okay, goodbye! To the old number, I mean.');
  });
});

describe('a long sentence', () => {
  const started = (interim: string) => {
    const call = new ScriptedCall({ agent: { turn_taking: NO_GUESSES } });
    call.interim(interim);
    call.say('I have a question about my booking and', 900);
    call.advance(300);
    return call;
  };

  it('is not talked over where the recogniser tells words only at a pause', () => {
    const call = started('');
    call.beginNoise(5_000);
    call.final('it is the one for Sunday evening.');
    call.advance(6_500);
    expect(call.of('turn-confirmed').map(({ text }) => text)).toEqual([
      'I have a question about my booking and it is the one for Sunday evening.',
    ]);
  });

  it('without words is noise where the recogniser tells words as they come', () => {
    const call = started('I have');
    call.beginNoise(5_000);
    expect(call.of('turn-confirmed')).toHaveLength(1);
  });
});
