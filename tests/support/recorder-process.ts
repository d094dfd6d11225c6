/** A process with a recorder and ten calls that never stop talking, to be killed: `tsx recorder-process.ts` and one JSON. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrphanKeeper } from '../../src/control/calls/orphans.ts';
import { CallRecorder } from '../../src/control/calls/recorder.ts';
import { holdDataDirectory } from '../../src/control/data-directory.ts';
import { newId } from '../../src/control/db/ids.ts';
import { openDatabase } from '../../src/control/db/open.ts';
import { openTenantDoor } from '../../src/control/db/tenant.ts';
import { silentLog } from '../../src/core/log.ts';
import { projectRoot } from '../architecture/source-tree.ts';
import { TalkingCall } from './recorded-calls.ts';
import type { CallOwner } from './recorded-calls.ts';

export interface RecorderProcessOptions {
  readonly dataDirectory: string;
  readonly url: string | undefined;
  readonly owner: CallOwner;
}

/** One line of its output: so many events of this call are on disk. */
export interface SafeEvents {
  readonly callId: string;
  readonly events: number;
}

const CALLS = 10;

async function main({ dataDirectory, url, owner }: RecorderProcessOptions): Promise<void> {
  const log = silentLog;
  const { path, nodeId } = await holdDataDirectory(dataDirectory, log);
  const migrationsDirectory = join(projectRoot, 'migrations');
  const door = openTenantDoor(await openDatabase({ url, dataDirectory: path, migrationsDirectory, log }));
  const instanceId = newId();
  const recorder = await CallRecorder.open({ door, directory: path, instanceId, log });
  await OrphanKeeper.start({ door, instanceId, nodeId, log, replayed: recorder.replayed });
  const calls = Array.from({ length: CALLS }, () => new TalkingCall(recorder, owner));
  for (let turn = 1; ; turn++) {
    for (const call of calls) call.turn(turn);
    // Two of them end on the way.
    if (turn === 10) calls.splice(0, 2).forEach((call) => call.end());
    const safe = calls.map(({ id: callId, events }): SafeEvents => ({ callId, events: events.length }));
    while (recorder.status.unsafeBytes > 0) await sleep(1);
    process.stdout.write(`${JSON.stringify(safe)}\n`);
    await sleep(20);
  }
}

await main(JSON.parse(process.argv[2] ?? '') as RecorderProcessOptions);
