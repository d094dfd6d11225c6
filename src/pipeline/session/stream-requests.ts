/** What a call asks of its recogniser and its voice: the same for every call of an agent, so that it can be prepared. */
import type { AgentConfig } from '../ports.ts';
import type { SttRequest, TtsRequest } from '../providers/spec.ts';

export function sttRequestOf({ language, questionsAndAnswers, endCallPhrases }: AgentConfig): SttRequest {
  return { language, phrases: [...questionsAndAnswers.flatMap(({ questions }) => questions), ...endCallPhrases] };
}

export function ttsRequestOf({ language }: AgentConfig): TtsRequest {
  return { language };
}
