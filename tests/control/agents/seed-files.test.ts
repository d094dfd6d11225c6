/** The agents of local mode's files, from one start to the next. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AnsweringAgents } from '../../../src/control/agents/answering.ts';
import { readAgentFiles } from '../../../src/control/agents/files.ts';
import { addVersion, findAgent } from '../../../src/control/agents/store.ts';
import type { AgentRow } from '../../../src/control/agents/store.ts';
import { openLocalOrganization } from '../../../src/control/local-organization.ts';
import type { LocalOrganization } from '../../../src/control/local-organization.ts';
import { silentLog } from '../../../src/core/log.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { startTestServer } from '../../support/server.ts';

const NUMBER = '+15550100';
let db: TestDatabase;
let directory: string;

beforeAll(async () => {
  db = await openTestDatabase();
}, 90_000);
afterAll(() => db.close());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bvrai-seeds-'));
  return () => rm(directory, { recursive: true, force: true });
});

const seed = (name: string, content: object | string): Promise<void> =>
  writeFile(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));

/** What a start does with the files; the key of the organization is kept beside them. */
const start = async (): Promise<LocalOrganization> =>
  openLocalOrganization(db.door, directory, await readAgentFiles(directory), silentLog);

async function agentOf({ orgId, agentIds }: LocalOrganization, slug: string): Promise<AgentRow> {
  const agent = await db.door.inTenant(orgId, (tx) => findAgent(tx, agentIds.get(slug) ?? ''));
  if (!agent) throw new Error(`no agent ${slug}`);
  return agent;
}

/** The prompt of whoever answers the number. */
async function promptAt(number: string): Promise<string | undefined> {
  const agents = new AnsweringAgents({ door: db.door, log: silentLog, onNewAgent: () => {} });
  return (await agents.byNumber(number))?.agent.systemPrompt;
}

describe('a seed file', () => {
  it('makes an agent once; what the API changes stays; a changed file makes the next version, which answers', async () => {
    await seed('ada.json', { name: 'Ada', system_prompt: 'first', phone_numbers: [NUMBER] });
    const first = await start();
    const made = await agentOf(first, 'ada');
    expect(made).toMatchObject({ version: 1, publishedVersion: 1, document: { name: 'Ada', system_prompt: 'first' } });
    expect(await promptAt(NUMBER)).toBe('first');

    const document = { ...made.document, system_prompt: 'by the API' };
    await db.door.inTenant(first.orgId, (tx) =>
      addVersion(tx, made, { orgId: first.orgId, document, createdBy: null, publish: true }),
    );
    const second = await start();
    expect(second).toEqual(first);
    expect(await agentOf(second, 'ada')).toMatchObject({ version: 2, publishedVersion: 2 });
    expect(await promptAt(NUMBER)).toBe('by the API');

    await seed('ada.json', { name: 'Ada', system_prompt: 'second', phone_numbers: [NUMBER] });
    const third = await start();
    expect(third).toEqual(first);
    const changed = { version: 3, publishedVersion: 3, document: { name: 'Ada', system_prompt: 'second' } };
    expect(await agentOf(third, 'ada')).toMatchObject(changed);
    expect(await promptAt(NUMBER)).toBe('second');

    await start();
    expect(await agentOf(third, 'ada')).toMatchObject(changed);
  });

  it('leaves the agents of other files as they are', async () => {
    await seed('ada.json', { name: 'Ada' });
    await seed('bea.json', { name: 'Bea', phone_numbers: ['*'] });
    await start();
    await seed('bea.json', { name: 'Bea', first_message: 'Changed.', phone_numbers: ['*'] });
    const started = await start();
    expect(await agentOf(started, 'ada')).toMatchObject({ version: 1 });
    expect(await agentOf(started, 'bea')).toMatchObject({ version: 2, document: { first_message: 'Changed.' } });
    expect(started.otherwise).toBe(started.agentIds.get('bea'));
  });

  it.each([
    ['is no JSON', '{"name": "Ada",', ['ada.json', 'JSON']],
    [
      'has a field of the wrong kind',
      { name: 'Ada', turn_taking: { barge_in_ms: 'soon' } },
      ['ada.json', 'turn_taking.barge_in_ms', 'number'],
    ],
    ['has a field that there is not', { name: 'Ada', voice: 'alloy' }, ['ada.json', '"voice"']],
    ['has no name', { system_prompt: 'Hello.' }, ['ada.json', 'name']],
    ['has a number that is none', { name: 'Ada', phone_numbers: ['0800'] }, ['ada.json', 'phone_numbers[0]', 'E.164']],
    ['has a number that another has', { name: 'Ada', phone_numbers: ['*'] }, ['bea.json', '*', 'agent ada']],
  ])('that %s is named at the start, with what is wrong with it', async (_what, content, words) => {
    await seed('ada.json', content);
    await seed('bea.json', { name: 'Bea', phone_numbers: ['*'] });
    const fault = await readAgentFiles(directory).catch((thrown: unknown) => thrown);
    expect(fault).toMatchObject({ code: 'agent.invalid' });
    for (const word of words) expect(String(fault)).toContain(word);
  });

  it('keeps a whole server from starting when it is broken', async () => {
    const agents = { ada: { name: 'Ada' }, bea: { name: 'Bea', llm: [{ provider: 7 }] } };
    const starting = startTestServer({ agents });
    await expect(starting).rejects.toMatchObject({ code: 'agent.invalid' });
    await expect(starting).rejects.toThrow(/bea\.json[\s\S]*llm\[0\]\.provider/u);
  });
});
