/** What callers hear and say beside the model's answers is in the agent's language, unless the agent has texts of its own. */
import { describe, expect, it } from 'vitest';
import { ScriptedCall } from '../support/scripted-call.ts';

const NO_GUESSES = { speculation: { enabled: false } };

const heard = (call: ScriptedCall) => call.of('agent-said').map(({ kind, heard_text }) => [kind, heard_text]);

describe.each([
  {
    language: 'de-AT',
    question: 'Haben Sie heute geöffnet?',
    answer: 'Ja, bis achtzehn Uhr.',
    reminder: 'Sind Sie noch da?',
    leave: 'Gut, danke, auf Wiederhören!',
    goodbye: 'Vielen Dank für Ihren Anruf. Auf Wiederhören.',
  },
  {
    language: 'es',
    question: '¿Está abierto hoy?',
    answer: 'Sí, hasta las seis.',
    reminder: '¿Sigue usted ahí?',
    leave: 'Muchas gracias, adios.',
    goodbye: 'Gracias por su llamada. Adiós.',
  },
])('an agent that speaks $language', ({ language, question, answer, reminder, leave, goodbye }) => {
  it('reminds a silent caller, and takes its leave when they do', () => {
    const call = new ScriptedCall({
      agent: { language, turn_taking: NO_GUESSES },
      reply: () => ({ pieces: [answer] }),
    });
    call.say(question);
    // The answer, and ten seconds of nothing.
    call.advance(15_000);
    call.say(leave);
    call.advance(10_000);
    expect(heard(call)).toEqual([
      ['reply', answer],
      ['reminder', reminder],
      ['goodbye', goodbye],
    ]);
    expect(call.requests).toHaveLength(1);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'agent-hung-up' });
  });

  it('takes its leave of a caller who stays silent', () => {
    const call = new ScriptedCall({ agent: { language, silence: { max_reminders: 1 } } });
    call.advance(40_000);
    expect(heard(call)).toEqual([
      ['reminder', reminder],
      ['goodbye', goodbye],
    ]);
    expect(call.events.at(-1)).toMatchObject({ type: 'call-ended', reason: 'caller-silent' });
  });

  it('says and hears what it was told instead', () => {
    const call = new ScriptedCall({
      agent: {
        language,
        end_call_phrases: ['servus'],
        goodbye_message: 'Pfiat di.',
        silence: { reminder_message: 'Hallo?' },
        turn_taking: NO_GUESSES,
      },
      reply: () => ({ pieces: [answer] }),
    });
    call.say(leave);
    call.advance(15_000);
    call.say('Servus!');
    call.advance(5_000);
    expect(heard(call)).toEqual([
      ['reply', answer],
      ['reminder', 'Hallo?'],
      ['goodbye', 'Pfiat di.'],
    ]);
  });
});
