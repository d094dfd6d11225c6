import { describe, expect, it } from 'vitest';
import { ToolCallDrafts } from './tool-calls.ts';
import type { ToolCallDelta } from './wire.ts';

function put(...deltas: Partial<ToolCallDelta>[]) {
  const drafts = new ToolCallDrafts();
  for (const delta of deltas) drafts.add({ index: 0, id: '', name: '', arguments: '', ...delta });
  return drafts;
}

describe('ToolCallDrafts', () => {
  it('puts interleaved calls together by index', () => {
    const drafts = put(
      { index: 0, id: 'a', name: 'first' },
      { index: 1, id: 'b', name: 'second', arguments: '[' },
      { index: 0, arguments: '{' },
      { index: 1, arguments: ']' },
      { index: 0, arguments: '}' },
    );
    expect(drafts.take()).toEqual([
      { id: 'a', name: 'first', arguments: '{}' },
      { id: 'b', name: 'second', arguments: '[]' },
    ]);
  });

  it('tells calls apart that an imitator gives the same index, and does not mind an id that is repeated', () => {
    const drafts = put(
      { id: 'a', name: 'first', arguments: '{' },
      { id: 'a', name: 'first', arguments: '}' },
      { id: 'b', name: 'second', arguments: '[]' },
    );
    expect(drafts.take()).toEqual([
      { id: 'a', name: 'first', arguments: '{}' },
      { id: 'b', name: 'second', arguments: '[]' },
    ]);
  });

  it.each([[{ id: 'a', arguments: '{}' }], [{ name: 'first', arguments: '{}' }]])('refuses %j', (delta) => {
    expect(() => put(delta).take()).toThrow(expect.objectContaining({ code: 'provider.protocol' }));
  });
});
