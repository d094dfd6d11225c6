import { describe, expect, it } from 'vitest';
import { agentSchema, toAgentConfig } from '../../src/control/agents/schema.ts';
import { variablesOf } from '../../src/control/calls/variables.ts';
import { fillAgent } from '../../src/pipeline/session/variables.ts';

const agentOf = (fields: object) => toAgentConfig('ada', agentSchema.parse({ name: 'Ada', ...fields }));
const NOON = new Date('2026-07-15T12:00:00Z');
const callTo = (agent: ReturnType<typeof agentOf>, variables: Record<string, string> = {}) =>
  variablesOf(
    {
      callSid: 'CA1',
      id: '0190',
      orgId: '0191',
      agent,
      direction: 'inbound',
      channel: 'phone',
      from: '+15550199',
      to: '+15550100',
      variables,
    },
    NOON,
  );

describe('the variables of a call', () => {
  it('are its own before the agent’s before what is known of every call', () => {
    const agent = agentOf({ variables: { agent_name: 'Ada of the harbour', customer: 'there' } });
    expect(callTo(agent, { customer: 'Grace' })).toMatchObject({
      agent_name: 'Ada of the harbour',
      customer: 'Grace',
      caller_number: '+15550199',
      called_number: '+15550100',
      call_id: '0190',
    });
    expect(callTo(agentOf({}))).toMatchObject({ agent_name: 'Ada' });
  });

  it.each([
    ['en', {}, 'Wednesday, July 15, 2026', '12:00', 'UTC'],
    ['de', { time_zone: 'Europe/Berlin' }, 'Mittwoch, 15. Juli 2026', '14:00', 'Europe/Berlin'],
    ['en-GB', { time_zone: 'Pacific/Auckland' }, 'Thursday', '00:00', 'Pacific/Auckland'],
    ['en', { time_zone: 'Mars/Olympus' }, 'Wednesday, July 15, 2026', '12:00', 'UTC'],
    ['xx-a1', {}, 'Wednesday', '12:00', 'UTC'],
  ])('tell the date and time as %s writes them, in the zone of %o', (language, variables, date, time, zone) => {
    const values = callTo(agentOf({ language, variables }));
    expect(values['date']).toContain(date);
    expect(values['time']).toContain(time);
    expect(values['time_zone']).toBe(zone);
  });
});

describe('an agent that is filled', () => {
  it('says what the variables stand for, and nothing for those that nobody knows', () => {
    const agent = agentOf({ system_prompt: 'For {{company}}.', first_message: 'Hello {{ caller }}{{x}}{{x}}{{y}}.' });
    const filled = fillAgent(agent, { company: 'Harbour View', caller: '{{company}}' });
    // What is put in is not looked at again.
    expect(filled.agent).toMatchObject({ systemPrompt: 'For Harbour View.', firstMessage: 'Hello {{company}}.' });
    expect(filled).toMatchObject({ greetsAlike: false, unknown: ['x', 'y'] });
    expect(fillAgent({ ...agent, firstMessage: 'Hello.' }, { company: 'Harbour View' }).greetsAlike).toBe(true);
    expect(agent.firstMessage).toContain('{{ caller }}');
  });

  it('is the same object when it has none, and knows no names but its own', () => {
    const agent = agentOf({ first_message: 'Hello, {{Not a name}}.' });
    expect(fillAgent(agent, {}).agent).toBe(agent);
    expect(fillAgent(agentOf({ first_message: '{{constructor}}' }), {}).unknown).toEqual(['constructor']);
  });
});
