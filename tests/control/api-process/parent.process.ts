/** A main process that has the real process of the API, and tells its number. */
import { ApiProcess } from '../../../src/control/api-process/api-process.ts';
import { memoryLog } from '../../../src/core/log.ts';
import { API_DATA } from './api-data.ts';
import { deskWith } from './desk-not-asked.ts';

const log = memoryLog();
await ApiProcess.start({ data: API_DATA, desk: deskWith(), log });
process.send?.(log.lines.find(({ fields }) => fields['pid'] !== undefined)?.fields);
setInterval(() => {}, 60_000);
