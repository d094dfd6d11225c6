import { describe, expect, it } from 'vitest';
import { MS_PER_CHARACTER, ScriptedCall } from '../support/scripted-call.ts';

const GREETING = 'Hello, this is Ada.';
const withGreeting = { first_message: GREETING };
const greetingMs = GREETING.length * MS_PER_CHARACTER + 500;

/** What the model was told in its newest request, without the system message. */
const told = (call: ScriptedCall) => call.requests.at(-1)?.messages.slice(1);

describe('a call', () => {
  it('greets, hears a question, answers it, and keeps both in the history of the next turn', () => {
    const call = new ScriptedCall({ agent: withGreeting, reply: () => ({ pieces: ['We open ', 'at nine.'] }) });
    call.advance(greetingMs);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'greeting', heard_text: GREETING, interrupted: false }]);
    call.say('When do you open?');
    call.advance(3_000);
    expect(told(call)).toEqual([
      { role: 'assistant', content: GREETING },
      { role: 'user', content: 'When do you open?' },
    ]);
    expect(call.of('agent-said').at(-1)).toMatchObject({
      kind: 'reply',
      heard_text: 'We open at nine.',
      interrupted: false,
    });
    call.say('And on Sundays?');
    call.advance(1_000);
    expect(told(call)).toEqual([
      { role: 'assistant', content: GREETING },
      { role: 'user', content: 'When do you open?' },
      { role: 'assistant', content: 'We open at nine.' },
      { role: 'user', content: 'And on Sundays?' },
    ]);
  });

  it('stamps the stages of a turn from the true end of speech', () => {
    const call = new ScriptedCall({ agent: { turn_taking: { end_of_turn_silence_ms: 400 } } });
    call.say('Hello?');
    call.advance(2_000);
    // Silence 400 ms → model 200 ms → voice 100 ms after the last piece (20 ms).
    const [traced] = call.of('turn-traced');
    expect(traced?.stages).toMatchObject({ speech_end_detected_ms: 200, turn_confirmed_ms: 400, first_token_ms: 600 });
    expect(traced?.stages.transcript_ms).toBeCloseTo(300, 0);
    expect(traced?.stages.first_audio_ms).toBeGreaterThanOrEqual(700);
    expect(traced?.stages.first_audio_ms).toBeLessThanOrEqual(740);
  });

  it('keeps to the words of a caller who pauses and goes on before the answer is audible', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: ['Done.'], firstMs: 2_000 }) });
    call.say('I would like a room');
    call.advance(600);
    call.say('for two nights.');
    call.advance(5_000);
    expect(told(call)).toEqual([{ role: 'user', content: 'I would like a room for two nights.' }]);
    expect(call.of('caller-said')).toMatchObject([{ text: 'I would like a room for two nights.' }]);
    expect(call.of('agent-said')).toHaveLength(1);
  });

  it('says so when it heard speech and no words came, and does not go on about it for ever', () => {
    const call = new ScriptedCall({ finalAfterMs: undefined });
    for (let turn = 0; turn < 4; turn++) {
      call.say('', 1_000);
      call.advance(8_000);
    }
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['apology', 'apology']);
    expect(call.requests).toHaveLength(0);
  });

  it('answers on what there is when the final transcript never comes', () => {
    const call = new ScriptedCall({ finalAfterMs: undefined });
    call.say('', 1_000);
    call.final('Are you there?');
    call.advance(3_000);
    expect(told(call)).toEqual([{ role: 'user', content: 'Are you there?' }]);
  });

  it('says goodbye to an end-call phrase, is heard to the end, and only then hangs up', () => {
    const call = new ScriptedCall({ agent: { goodbye_message: 'Goodbye then.' } });
    call.say('Okay, goodbye!');
    call.advance(5_000);
    const said = call.of('agent-said').at(-1);
    expect(said).toMatchObject({ kind: 'goodbye', heard_text: 'Goodbye then.', interrupted: false });
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'agent-hung-up' });
    const lastAudio = call.wire.findLast(({ type }) => type === 'media');
    const hungUp = call.wire.find(({ type }) => type === 'hang-up');
    expect(hungUp?.atMs).toBeGreaterThan(lastAudio?.atMs ?? Number.POSITIVE_INFINITY);
    expect(call.requests).toHaveLength(0);
  });

  it('ends at the maximum duration with a spoken word and that reason', () => {
    const call = new ScriptedCall({ agent: { max_duration_s: 10 } });
    call.advance(20_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'goodbye', interrupted: false }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'max-duration' });
  });

  it('answers what was said during a greeting that may not be interrupted, after the greeting', () => {
    const call = new ScriptedCall({ agent: { ...withGreeting, turn_taking: { interruptible_first_message: false } } });
    call.advance(200);
    call.say('Are you open?', 400);
    expect(call.of('barge-in')).toHaveLength(0);
    call.advance(4_000);
    expect(call.of('agent-said')[0]).toMatchObject({ kind: 'greeting', interrupted: false });
    expect(told(call)?.at(-1)).toEqual({ role: 'user', content: 'Are you open?' });
  });
});

describe('a barge-in', () => {
  const LONG =
    'We are open from nine to five on every day of the week, except on public holidays and the first of May.';
  const interrupted = (script: { echoMarks?: boolean } = {}) => {
    const call = new ScriptedCall({ ...script, reply: () => ({ pieces: [LONG] }) });
    call.say('When are you open?');
    call.advance(2_500);
    const atMs = call.clock.nowMs();
    call.say('Stop.', 600);
    return { call, atMs };
  };

  it.each([{ echoMarks: true }, { echoMarks: false }])(
    'stops the agent and cuts the history to what was heard ($echoMarks)',
    (script) => {
      const { call, atMs } = interrupted(script);
      const cleared = call.wire.find(({ type }) => type === 'clear');
      expect(cleared?.atMs).toBeLessThanOrEqual(atMs + 120 + 64);
      call.advance(1_000);
      const [said] = call.of('agent-said');
      expect(said).toMatchObject({ interrupted: true, text: LONG });
      expect(LONG.startsWith(said?.heard_text ?? '?')).toBe(true);
      // Speech is modelled as 60 ms a character: what was heard is known to a word.
      const heardCharacters = (said?.heard_ms ?? 0) / MS_PER_CHARACTER;
      expect(Math.abs((said?.heard_text.length ?? 0) - heardCharacters)).toBeLessThanOrEqual(10);
      expect(told(call)).toEqual([
        { role: 'user', content: 'When are you open?' },
        { role: 'assistant', content: said?.heard_text },
        { role: 'user', content: 'Stop.' },
      ]);
    },
  );

  it('lets no audio of the cut reply onto the wire after the clear', () => {
    const { call } = interrupted();
    const cleared = call.wire.findIndex(({ type }) => type === 'clear');
    const confirmedAtMs = call.of('turn-confirmed').at(-1)?.at_ms ?? 0;
    const between = call.wire.slice(cleared).filter(({ type, atMs }) => type === 'media' && atMs < confirmedAtMs);
    expect(between).toEqual([]);
  });

  it('does not leave silence behind when the sound that stopped the agent was no speech', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: [LONG] }) });
    call.say('When are you open?');
    call.advance(2_500);
    call.say('', 200);
    call.advance(6_000);
    expect(call.of('agent-said').map(({ kind }) => kind)).toEqual(['reply', 'apology']);
  });
});

describe('when something fails', () => {
  it('apologises when the model fails before it said anything, and answers the next turn', () => {
    let turn = 0;
    const call = new ScriptedCall({
      reply: () => ({ pieces: turn++ === 0 ? [] : ['Yes.'], end: turn === 1 ? 'fail' : 'finish' }),
    });
    call.say('Hello?');
    call.advance(8_000);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm', code: 'provider.overloaded' }]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology' }]);
    call.say('Are you there?');
    call.advance(3_000);
    expect(call.of('agent-said').at(-1)).toMatchObject({ kind: 'reply', heard_text: 'Yes.' });
    expect(
      call.requests
        .at(-1)
        ?.messages.filter(({ role }) => role === 'user')
        .map(({ content }) => content),
    ).toEqual(['Hello?', 'Are you there?']);
  });

  it('finishes what the model had said when it fails midway', () => {
    const call = new ScriptedCall({ reply: () => ({ pieces: ['We open at nine. ', 'We close at'], end: 'fail' }) });
    call.say('Hours?');
    call.advance(5_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'reply', heard_text: 'We open at nine. We close at' }]);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm' }]);
  });

  it('apologises at the turn deadline when the model stays silent', () => {
    const call = new ScriptedCall({
      agent: { turn_taking: { turn_deadline_ms: 3_000 } },
      reply: () => ({ pieces: [], end: 'hang' }),
    });
    call.say('Hello?');
    call.advance(9_000);
    expect(call.of('turn-failed')).toMatchObject([{ stage: 'llm', code: 'turn-deadline' }]);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'apology' }]);
  });

  it('says why a turn had no reply when there is no voice to say it with, and listens on', () => {
    const call = new ScriptedCall({ ttsFails: true });
    call.say('Hello?');
    call.advance(3_000);
    call.say('Hello?');
    call.advance(3_000);
    expect(call.of('turn-failed').map(({ stage }) => stage)).toEqual(['tts', 'tts']);
    expect(call.of('caller-said')).toHaveLength(2);
  });

  it('says goodbye when nobody can hear the caller any more', () => {
    const call = new ScriptedCall();
    call.failRecogniser();
    call.advance(10_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'goodbye' }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'internal-error' });
  });

  it('takes leave when the server must stop', () => {
    const call = new ScriptedCall();
    call.advance(100);
    call.session.leave();
    call.advance(10_000);
    expect(call.of('agent-said')).toMatchObject([{ kind: 'goodbye', interrupted: false }]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'server-shutdown' });
  });
});

describe('a far side that does not read', () => {
  it('gets nothing until it does, and then all of the reply, once', () => {
    const call = new ScriptedCall({ agent: withGreeting });
    call.congested = true;
    call.advance(2_000);
    expect(call.sentMs()).toBe(0);
    call.congested = false;
    call.advance(greetingMs);
    expect(call.sentMs()).toBe(GREETING.length * MS_PER_CHARACTER);
    expect(call.of('agent-said')).toMatchObject([{ heard_text: GREETING, interrupted: false }]);
  });
});

describe('the end', () => {
  it('may come at any moment, has one reason, and leaves no timer and no stream', () => {
    for (let hangUpAtMs = 0; hangUpAtMs < 8_600; hangUpAtMs += 37) {
      const call = new ScriptedCall({ agent: withGreeting });
      const timer = call.clock.after(hangUpAtMs, () => call.session.onEnd('stop'));
      call.advance(1_800);
      call.say('When do you open?');
      call.advance(1_500);
      call.say('And on Sundays, please?', 1_500);
      call.advance(2_500);
      timer.cancel();
      expect(call.of('call-ended')).toMatchObject([{ reason: 'caller-hung-up' }]);
      expect(call.events.at(-1)?.type).toBe('call-ended');
      expect(call.released).toBe(true);
      expect(call.openStreams).toBe(0);
      expect(call.of('turn-failed')).toEqual([]);
    }
  });

  it('cancels every timer of its own', () => {
    const call = new ScriptedCall({
      agent: withGreeting,
      echoMarks: false,
      finalAfterMs: undefined,
      audioAfterMs: undefined,
    });
    call.say('When do you open?');
    call.session.onEnd('socket-closed');
    expect(call.clock.pendingTimers).toBe(0);
  });
});
