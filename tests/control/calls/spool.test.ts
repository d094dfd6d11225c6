/** The spool on its own: what a full or failing disk, and a process that was cut off, do to it. */
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatLine } from '../../../src/control/calls/spool-lines.ts';
import type { SpoolLine } from '../../../src/control/calls/spool-lines.ts';
import { Spool } from '../../../src/control/calls/spool.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { memoryLog } from '../../../src/core/log.ts';

const directories: string[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bvrai-spool-'));
  directories.push(directory);
  return directory;
}

const [callId, orgId] = [newId(), newId()];
const event = (seq: number, type: 'call-started' | 'call-ended' = 'call-started'): SpoolLine => {
  const said =
    type === 'call-ended' ? ({ type, at_ms: 0, reason: 'caller-hung-up' } as const) : ({ type, at_ms: 0 } as const);
  return { kind: 'event', call_id: callId, org_id: orgId, at: 0, seq, event: said };
};

async function untilOnDisk(spool: Spool): Promise<void> {
  await vi.waitFor(() => expect(spool.unsafeBytes).toBe(0), { timeout: 5_000, interval: 1 });
}

async function readAll(spool: Spool): Promise<number[]> {
  const seqs: number[] = [];
  const stop = AbortSignal.timeout(300);
  for (let batch = await spool.next(stop); batch; batch = await spool.next(stop)) {
    for (const line of batch.lines) if (line.kind === 'event') seqs.push(line.seq);
    await spool.commit(batch);
  }
  return seqs;
}

describe('the spool', () => {
  it('counts what waits until the database has it, on the way to the disk too', async () => {
    const spool = await Spool.open({ directory: await newDirectory(), log: memoryLog() });
    spool.append(event(0));
    const waitingBytes = formatLine(event(0)).length;
    expect([spool.waitingBytes, spool.unsafeBytes]).toEqual([waitingBytes, waitingBytes]);
    await untilOnDisk(spool);
    expect(spool.waitingBytes).toBe(waitingBytes);
    expect(await readAll(spool)).toEqual([0]);
    expect(spool.waitingBytes).toBe(0);
    await spool.close();
  });

  it('does not write a line again because the disk failed after it', async () => {
    const directory = await newDirectory();
    const log = memoryLog();
    const spool = await Spool.open({ directory, log });
    const probe: FileHandle = await open(join(directory, 'probe'), 'w');
    const prototype = Object.getPrototypeOf(probe) as FileHandle;
    await probe.close();
    vi.spyOn(prototype, 'datasync').mockRejectedValueOnce(new Error('EIO'));
    spool.append(event(0, 'call-ended'));
    await untilOnDisk(spool);
    spool.append(event(1));
    await untilOnDisk(spool);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(await readAll(spool)).toEqual([0, 1]);
    await spool.close();
  });

  it('is thinned though an older file ends in a line that was cut', async () => {
    const directory = await newDirectory();
    const lines = Array.from({ length: 20 }, (_, seq) => formatLine(event(seq)));
    await writeFile(join(directory, '000000001.jsonl'), lines.join(''));
    await writeFile(join(directory, '000000002.jsonl'), `${lines.join('')}{"kind":"eve`);
    const log = memoryLog();
    const spool = await Spool.open({ directory, log, maxBytes: 1_000, segmentBytes: 100_000 });
    spool.append(event(100, 'call-ended'));
    await vi.waitFor(() => expect(spool.droppedLines).toBe(21), { timeout: 5_000, interval: 1 });
    expect(log.lines.some(({ message }) => message.includes('could not be'))).toBe(false);
    expect(await readAll(spool)).toEqual([...Array.from({ length: 20 }, (_, seq) => seq), 100]);
    await spool.close();
    expect((await readdir(directory)).length).toBeLessThanOrEqual(1);
  });
});
