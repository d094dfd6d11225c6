/** Messages as vendors send them, a few of each kind, and what every adapter must make of any message at all. */
import assert from 'node:assert/strict';
import { BvraiError } from '../../src/core/errors.ts';
import type { SttPart } from '../../src/pipeline/providers/spec.ts';

export const DEEPGRAM: readonly string[] = [
  '{"type":"Results","channel_index":[0,1],"duration":1.98,"start":0.0,"is_final":true,"speech_final":true,"from_finalize":false,"channel":{"alternatives":[{"transcript":"Hello there.","confidence":0.99,"words":[{"word":"hello","start":0.1,"end":0.4,"confidence":0.99,"punctuated_word":"Hello"}]}]}}',
  '{"type":"Results","is_final":false,"channel":{"alternatives":[{"transcript":"Hel","confidence":0.9,"words":[]}]}}',
  '{"type":"SpeechStarted","channel":[0],"timestamp":1.2}',
  '{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.4}',
  '{"type":"Metadata","request_id":"x","duration":12.3,"channels":1}',
  '{"type":"Error","description":"x","message":"NET-0001","variant":"TIMEOUT"}',
];

export const FLUX: readonly string[] = [
  '{"type":"Connected","request_id":"x","sequence_id":0}',
  ...['StartOfTurn', 'Update', 'EagerEndOfTurn', 'TurnResumed', 'EndOfTurn'].map(
    (event) =>
      `{"type":"TurnInfo","sequence_id":1,"event":"${event}","turn_index":0,"transcript":"Yeah.","words":[{"word":"Yeah.","confidence":0.98,"start":0.4,"end":0.7}],"end_of_turn_confidence":0.86}`,
  ),
  '{"type":"Error","sequence_id":13,"code":"INTERNAL_SERVER_ERROR","description":"x"}',
];

export const ELEVENLABS: readonly string[] = [
  '{"audio":"f39/fw==","contextId":"u1","alignment":{"chars":["H","i"],"charStartTimesMs":[0,40],"charDurationsMs":[40,40]},"normalizedAlignment":{}}',
  '{"audio":"f39/","contextId":"u1","alignment":{"chars":["H"],"charsStartTimesMs":[0],"charsDurationsMs":[40]}}',
  '{"isFinal":true,"contextId":"u1"}',
  '{"error":"max_active_conversations","code":1008}',
  '{"error":"x","contextId":"u1"}',
];

export const OPENAI: readonly string[] = [
  '{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
  '{"id":"x","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}',
  '{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"t","arguments":""}}]}}]}',
  '{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
  '{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
  '{"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}',
  '{"error":{"message":"x","type":"server_error","code":null}}',
];

export const REALTIME: readonly string[] = [
  '{"type":"session.created","event_id":"e","session":{"type":"transcription"}}',
  '{"type":"session.updated","event_id":"e","session":{"type":"transcription"}}',
  '{"type":"input_audio_buffer.speech_started","event_id":"e","audio_start_ms":300,"item_id":"i1"}',
  '{"type":"input_audio_buffer.committed","event_id":"e","item_id":"i1","previous_item_id":null}',
  '{"type":"conversation.item.input_audio_transcription.delta","event_id":"e","item_id":"i1","content_index":0,"delta":"Hi"}',
  '{"type":"conversation.item.input_audio_transcription.completed","event_id":"e","item_id":"i1","content_index":0,"transcript":"Hi.","logprobs":[{"token":"Hi","logprob":-0.1,"bytes":[72,105]}],"usage":{"type":"duration","seconds":1}}',
  '{"type":"conversation.item.input_audio_transcription.completed","event_id":"e","item_id":"i2","content_index":0,"transcript":"There."}',
  '{"type":"conversation.item.input_audio_transcription.failed","event_id":"e","item_id":"i1","content_index":0,"error":{"type":"server_error","code":"x","message":"x"}}',
  '{"type":"error","event_id":"e","error":{"type":"invalid_request_error","code":"input_audio_buffer_commit_empty","message":"x","param":null}}',
];

export const SCRIBE: readonly string[] = [
  '{"message_type":"session_started","session_id":"x","config":{"sample_rate":8000}}',
  '{"message_type":"partial_transcript","text":"Hel"}',
  '{"message_type":"committed_transcript","text":"Hello there."}',
  '{"message_type":"committed_transcript_with_timestamps","text":"Hello there.","words":[{"text":"Hello","start":0.1,"end":0.4,"type":"word","logprob":-0.1},{"text":" ","start":0.4,"end":0.5,"type":"spacing"}]}',
  '{"message_type":"commit_throttled","error":"only 0.01s of uncommitted audio"}',
  '{"message_type":"transcriber_error","error":"x"}',
];

export const ANTHROPIC: readonly string[] = [
  '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}',
  '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
  '{"type":"ping"}',
  '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
  '{"type":"content_block_stop","index":0}',
  '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look_up","input":{}}}',
  '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"q\\":1}"}}',
  '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}',
  '{"type":"message_stop"}',
  '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
];

export const AURA: readonly string[] = [
  '{"type":"Metadata","request_id":"x","model_name":"aura-2-thalia-en","model_version":"1","model_uuid":"x"}',
  '{"type":"Flushed","sequence_id":0}',
  '{"type":"Flushed","sequence_id":1}',
  '{"type":"Cleared","sequence_id":1}',
  '{"type":"Warning","code":"EXCESSIVE_FLUSH","description":"Too many Flush messages."}',
  '{"type":"Error","code":"DATA-0001","description":"x"}',
];

/** Bodies of refusals, of those who speak over HTTP. */
export const REFUSALS: readonly string[] = [
  '{"error":{"message":"x","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
  '{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}',
  '{"detail":{"status":"quota_exceeded","message":"x"}}',
  '{"detail":[{"loc":["body","text"],"msg":"field required","type":"value_error"}]}',
];

export function checkError(part: object): void {
  if ('error' in part) assert(part.error instanceof BvraiError);
}

export function checkSttPart(part: SttPart): void {
  checkError(part);
  if ('text' in part) assert.equal(typeof part.text, 'string');
  if ('confidence' in part) assert(part.confidence >= 0 && part.confidence <= 1);
  if (part.type !== 'transcript-final') return;
  for (const word of part.words) {
    assert.equal(typeof word.text, 'string');
    for (const value of [word.startMs, word.endMs, word.confidence]) assert(value >= 0);
  }
}
