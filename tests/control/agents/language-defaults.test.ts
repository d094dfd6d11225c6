/** The texts that nobody has set follow the agent's language, over the API, in its versions and in calls. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadAgentForCall } from '../../../src/control/agents/for-calls.ts';
import { withLanguageDefaults } from '../../../src/control/agents/language-defaults.ts';
import { agentSchema } from '../../../src/control/agents/schema.ts';
import { startTestApi } from '../../support/api.ts';
import type { ApiRequest, TestAccount, TestApi } from '../../support/api.ts';

const GERMAN = {
  goodbye_message: 'Vielen Dank für Ihren Anruf. Auf Wiederhören.',
  silence: { reminder_message: 'Sind Sie noch da?' },
};
const ENGLISH = {
  goodbye_message: 'Thank you for calling. Goodbye.',
  silence: { reminder_message: 'Are you still there?' },
};
const EVERY_DEFAULT = ['/end_call_phrases', '/goodbye_message', '/silence/reminder_message'];

let api: TestApi;
let ada: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  ada = await api.register();
}, 60_000);
afterAll(() => api.close());

const as = (method: NonNullable<ApiRequest['method']>, url: string, body?: unknown) =>
  api.call({
    method,
    url: `/api/v1/agents${url}`,
    token: ada.accessToken,
    headers: method === 'PATCH' ? { 'if-match': '*' } : {},
    ...(body === undefined ? {} : { body }),
  });
const create = async (fields: object) => {
  const made = await as('POST', '', { name: 'Ada', ...fields });
  expect(made.status).toBe(201);
  return { id: String(made.body.id), body: made.body };
};
const forCall = (id: string) => api.database.door.inTenant(ada.organizationId, (tx) => loadAgentForCall(tx, id));

describe('an agent without texts of its own', () => {
  it('shows and says those of its language, and those of another when only the language changes', async () => {
    const { id, body } = await create({});
    expect(body).toMatchObject({ ...ENGLISH, language: 'en', language_defaults: EVERY_DEFAULT });
    expect(body.end_call_phrases).toContain('goodbye');

    const german = await as('PATCH', `/${id}`, { language: 'de-AT' });
    expect(german.body).toMatchObject({ ...GERMAN, version: 2, language_defaults: EVERY_DEFAULT });
    expect(german.body.end_call_phrases).toContain('auf Wiederhören');
    expect((await as('GET', `/${id}`)).body).toEqual(german.body);
    expect(await forCall(id)).toMatchObject({
      goodbyeMessage: GERMAN.goodbye_message,
      endCallPhrases: german.body.end_call_phrases,
      silence: { reminderMessage: GERMAN.silence.reminder_message, reminderAfterMs: 10_000, maxReminders: 2 },
    });

    const versions = await as('GET', `/${id}/versions`);
    expect(versions.body.items).toMatchObject([
      { version: 2, ...GERMAN },
      { version: 1, ...ENGLISH },
    ]);
    const back = await as('POST', `/${id}/rollback`, { version: 1 });
    expect(back.body).toMatchObject({ version: 3, ...ENGLISH, language_defaults: EVERY_DEFAULT });
  });

  it('speaks English in a language that there are no texts for', async () => {
    const { body } = await create({ language: 'fi' });
    expect(body).toMatchObject({ ...ENGLISH, language: 'fi', language_defaults: EVERY_DEFAULT });
  });

  it('stores none of them', async () => {
    const { id } = await create({ language: 'es' });
    const [row] = await api.rows(ada.organizationId, `SELECT config FROM agent_versions WHERE agent_id = '${id}'`);
    expect(JSON.stringify(row)).not.toMatch(/goodbye_message|reminder_message|end_call_phrases|language_defaults/u);
  });

  it('may have any of them in every language', () => {
    for (const language of ['en', 'de', 'es', 'fr', 'it', 'pt', 'nl']) {
      const document = withLanguageDefaults(agentSchema.parse({ name: 'Ada', language }));
      expect(agentSchema.parse(document)).toEqual(document);
    }
  });
});

describe('an agent with texts of its own', () => {
  const own = { goodbye_message: 'Servus!', end_call_phrases: ['servus', 'pfiat di'] };

  it('keeps them in another language, and is told which are not its own', async () => {
    const { id, body } = await create({ language: 'de', ...own });
    const fields = { ...own, language_defaults: ['/silence/reminder_message'] };
    expect(body).toMatchObject({ ...fields, silence: GERMAN.silence });
    const english = await as('PATCH', `/${id}`, { language: 'en' });
    expect(english.body).toMatchObject({ ...fields, silence: ENGLISH.silence });
    expect(await forCall(id)).toMatchObject({ goodbyeMessage: 'Servus!', endCallPhrases: own.end_call_phrases });
  });

  it('goes back to the language’s with null, and may have the very words of a default', async () => {
    const { id } = await create({ language: 'de', ...own, silence: { reminder_message: 'Hallo?' } });
    const reset = await as('PATCH', `/${id}`, { goodbye_message: null, silence: { reminder_message: null } });
    expect(reset.body).toMatchObject({
      ...GERMAN,
      language_defaults: ['/goodbye_message', '/silence/reminder_message'],
    });
    const set = await as('PATCH', `/${id}`, ENGLISH);
    expect(set.body).toMatchObject({ ...ENGLISH, language: 'de', language_defaults: [] });
    expect((await as('GET', `/${id}`)).body).toEqual(set.body);
  });

  it('may hear no phrase at all', async () => {
    const { id, body } = await create({ language: 'de', end_call_phrases: [] });
    expect(body.end_call_phrases).toEqual([]);
    expect(await forCall(id)).toMatchObject({ endCallPhrases: [] });
  });

  it('cannot set what only says which are not', async () => {
    const answer = await as('POST', '', { name: 'Ada', language_defaults: [] });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/language_defaults' }] } });
  });
});

it('are described to programs: what may be left out, and what is always shown', async () => {
  const { body } = await api.call({ url: '/openapi.json' });
  const { properties, required } = body.components.schemas.Agent;
  expect(required).toEqual(
    expect.arrayContaining(['end_call_phrases', 'goodbye_message', 'silence', 'language_defaults']),
  );
  expect(properties.silence.required).toContain('reminder_message');
  expect(properties.language_defaults.items.enum).toEqual(EVERY_DEFAULT);
  const asked = body.paths['/api/v1/agents'].post.requestBody.content['application/json'].schema;
  expect(asked.required).toEqual(['name']);
  for (const schema of [
    properties.goodbye_message,
    properties.end_call_phrases,
    properties.silence.properties.reminder_message,
    asked.properties.goodbye_message,
    asked.properties.silence.properties.reminder_message,
  ]) {
    expect(schema.description).toMatch(/Default: .* in the agent’s language\./u);
  }
});
