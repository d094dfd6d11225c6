import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryLog } from '../../core/log.ts';
import { deriveKey, loadAuthSecret } from './secrets.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bvrai-secret-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the secret of the server', () => {
  it('is the configured one, if there is one; nothing is written then', async () => {
    expect(await loadAuthSecret('configured', directory, memoryLog())).toBe('configured');
    await expect(stat(join(directory, 'auth-secret'))).rejects.toThrow('ENOENT');
  });

  it('is made once, for this user only, and said in the log without showing it', async () => {
    const log = memoryLog();
    const data = join(directory, 'data');
    // Two at once agree.
    const [made, same] = await Promise.all([
      loadAuthSecret(undefined, data, log),
      loadAuthSecret(undefined, data, log),
    ]);
    expect(same).toBe(made);
    expect(await loadAuthSecret(undefined, data, memoryLog())).toBe(made);
    expect((await stat(join(data, 'auth-secret'))).mode & 0o777).toBe(0o600);
    expect(log.lines).toHaveLength(1);
    expect(JSON.stringify(log.lines)).not.toContain(await readFile(join(data, 'auth-secret'), 'utf8'));
  });

  it('is refused when its file is damaged', async () => {
    await writeFile(join(directory, 'auth-secret'), 'short');
    await expect(loadAuthSecret(undefined, directory, memoryLog())).rejects.toMatchObject({ code: 'config.invalid' });
  });

  it('gives a key of its own to each purpose', () => {
    expect(deriveKey('secret', 'one')).toHaveLength(32);
    expect(deriveKey('secret', 'one')).not.toEqual(deriveKey('secret', 'two'));
  });
});
