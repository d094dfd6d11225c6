/** Many calls that go on talking while vendors die and return: who was answered, who was not, and what is left open. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Phone } from '../phone/phone.ts';

/** Something that breaks for a while. */
export interface Outage {
  readonly name: string;
  begin(): void;
  end(): void;
}

export interface OutagePlan {
  readonly serverUrl: string;
  readonly agent: string;
  readonly calls: number;
  /** μ-law. */
  readonly question: Uint8Array;
  readonly outages: readonly Outage[];
  /** How long each outage lasts, and how long all is well before, between and after them. */
  readonly outageMs: number;
  readonly restMs: number;
  /** Calls begin spread over this time, and a caller is silent for up to this long between an answer and the next question. */
  readonly spreadMs: number;
}

export interface PhaseCount {
  readonly name: string;
  answered: number;
  /** Questions that were asked in this phase and had no audible answer within {@link ANSWER_LIMIT_MS}. */
  unanswered: number;
  slowestMs: number;
}

export interface OutageReport {
  readonly phases: readonly PhaseCount[];
  /** Calls that could not be begun, or ended before the caller hung up; with the reason. */
  readonly lost: readonly string[];
  /** Calls that had no answer at all to one of their questions. */
  readonly mutedCalls: number;
  readonly underrunMs: number;
}

/** No caller holds the line for longer. */
const ANSWER_LIMIT_MS = 15_000;
const SILENCE_MS = 300;

/** Holds the calls through all outages, one after the other. Rejects only if the plan itself cannot be carried out. */
export async function holdThroughOutages(plan: OutagePlan): Promise<OutageReport> {
  const all: PhaseCount[] = [newPhase('all well')];
  const state = { phase: all[0] ?? newPhase(''), over: false };
  const lost: string[] = [];
  let mutedCalls = 0;
  let underrunMs = 0;
  const callers = Array.from({ length: plan.calls }, async (_, index) => {
    await sleep((index / plan.calls) * plan.spreadMs);
    try {
      const { phone, muted } = await holdCall(plan, state, index);
      if (muted) mutedCalls++;
      underrunMs += phone.underruns.totalMs;
    } catch (error) {
      lost.push(`call ${index}: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
  await sleep(plan.spreadMs + plan.restMs);
  for (const outage of plan.outages) {
    state.phase = newPhase(outage.name);
    all.push(state.phase);
    outage.begin();
    await sleep(plan.outageMs);
    outage.end();
    state.phase = newPhase(`after ${outage.name}`);
    all.push(state.phase);
    await sleep(plan.restMs);
  }
  state.over = true;
  await Promise.all(callers);
  return { phases: all, lost, mutedCalls, underrunMs };
}

const newPhase = (name: string): PhaseCount => ({ name, answered: 0, unanswered: 0, slowestMs: 0 });

async function holdCall(
  plan: OutagePlan,
  state: { readonly phase: PhaseCount; readonly over: boolean },
  index: number,
): Promise<{ phone: Phone; muted: boolean }> {
  // Silence is not sent: two cores carry the talk of many, not the frames of everybody's silence.
  const phone = await Phone.ring({ serverUrl: plan.serverUrl, agent: plan.agent, sendSilence: false });
  let muted = false;
  try {
    await phone.waitForAgent({ silenceMs: SILENCE_MS, timeoutMs: ANSWER_LIMIT_MS });
    for (let turn = 0; !state.over; turn++) {
      // Spread without chance, so that a run can be repeated.
      await phone.sayNothing((((index * 7 + turn * 3) % 10) / 10) * plan.spreadMs);
      const { phase } = state;
      const utterance = await phone.say(plan.question, `turn ${turn}`);
      const isAnswered = await phone.waitUntilAgentSpeaks(ANSWER_LIMIT_MS).then(
        () => true,
        () => false,
      );
      if (isAnswered) {
        phase.answered++;
        phase.slowestMs = Math.max(phase.slowestMs, utterance?.voiceToVoiceMs ?? 0);
        await phone.waitForAgent({ silenceMs: SILENCE_MS, timeoutMs: ANSWER_LIMIT_MS });
      } else {
        phase.unanswered++;
        muted = true;
      }
    }
  } finally {
    await phone.hangUp();
  }
  return { phone, muted };
}
