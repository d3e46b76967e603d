import { describe, expect, it } from 'vitest';
import { readAnswer } from '../../src/models/completion.js';
import { FinishRules, nameOfReason, STANDARD_RULES } from '../../src/models/finish-reason.js';

function answer(message: unknown, finish: unknown = 'stop', more: object = {}): unknown {
  return { choices: [{ index: 0, message, finish_reason: finish, ...more }] };
}

function choices(...finishes: [text: string | null, finish: unknown][]): unknown {
  return {
    choices: finishes.map(([content, finish], index) => ({
      index,
      message: { content },
      finish_reason: finish,
    })),
  };
}

describe('finish reasons', () => {
  it.each<[string, unknown[]]>([
    ['complete', ['stop', 'STOP', 'eos', 'eos_token', 'stop_sequence', 'STOP_SEQUENCE', 'end_turn']],
    ['complete', ['tool_calls', 'tool-calls', 'function_call', 'tool_use', 'COMPLETE', 'FinishReason.STOP']],
    ['truncated', ['length', 'model_length', 'MAX_TOKENS', 'max_tokens', 'FINISH_REASON_MAX_TOKENS']],
    ['filtered', ['content_filter', 'content-filter', 'SAFETY', 'RECITATION', 'PROHIBITED_CONTENT', 'SPII']],
    ['refused', ['refusal']],
    ['unknown', ['abort', { type: 'abort' }, 'error', 'insufficient_system_resource', 'load', 'OTHER']],
    ['unknown', [null, undefined, '', 0, false, [], {}, 'stopped early', 'unstop', 'toString', '__proto__']],
    [
      'unknown',
      ['MALFORMED_FUNCTION_CALL', 'cancelled', 'timeout', 'pause_turn', 'FINISH_REASON_UNSPECIFIED'],
    ],
  ])('take for %s: %j', (ending, reasons) => {
    for (const reason of reasons)
      expect(`${String(reason)} ${STANDARD_RULES.endingOf(reason)}`).toBe(`${String(reason)} ${ending}`);
  });

  it.each([
    [null, 'null'],
    [undefined, 'null'],
    ['', 'null'],
    ['abort', 'abort'],
    [{ type: 'abort', message: 'x' }, 'abort'],
    [7, '7'],
    [{ a: 1 }, '{"a":1}'],
    ['x'.repeat(1000), 'x'.repeat(60)],
  ])('%j is accepted as %s', (reason, name) => {
    expect(nameOfReason(reason)).toBe(name);
    expect(new FinishRules([name]).endingOf(reason)).toBe('complete');
    expect(new FinishRules(['another']).endingOf(reason)).toBe('unknown');
  });
});

describe('readAnswer', () => {
  it.each<[string, unknown, string, string | null]>([
    ['a text', answer({ content: 'x' }), 'ok', 'x'],
    [
      'a text in parts',
      answer({ content: [{ type: 'text', text: 'x' }, { text: 'y' }, null, 'z'] }),
      'ok',
      'xyz',
    ],
    [
      'Mistral’s reasoning in parts',
      answer({
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
          { type: 'text', text: 'x' },
        ],
      }),
      'ok',
      'x',
    ],
    [
      'reasoning parts with a text',
      answer({
        content: [
          { type: 'reasoning', text: 'hm' },
          { type: 'text', text: 'x' },
        ],
      }),
      'ok',
      'x',
    ],
    ['a text that calls a tool', answer({ content: 'x' }, 'tool_calls'), 'ok', 'x'],
    ['a text cut short', answer({ content: 'x' }, 'length'), 'truncated', 'x'],
    ['a text cut short by Gemini', answer({ content: 'x' }, 'MAX_TOKENS'), 'truncated', 'x'],
    ['no text before the limit', answer({ content: '' }, 'length'), 'truncated', null],
    ['a refusal', answer({ content: null, refusal: 'no' }), 'refused', null],
    ['a refusal by its ending', answer({ content: 'I can’t' }, 'refusal'), 'refused', null],
    ['a filtered text', answer({ content: 'x' }, 'content_filter'), 'filtered', null],
    ['a filtered text of Gemini', answer({ content: 'x' }, 'SAFETY'), 'filtered', null],
    ['an empty error beside the text', answer({ content: 'x' }, 'stop', { error: {} }), 'ok', 'x'],
    ['several texts', choices(['x', 'stop'], ['y', 'stop']), 'ok', 'x'],
    ['a later text cut short', choices(['x', 'stop'], ['y', 'length']), 'truncated', 'x'],
    ['a later text that was filtered', choices(['x', 'stop'], ['y', 'content_filter']), 'ok', 'x'],
  ])('takes %s', (_, response, state, annotation) => {
    expect(readAnswer(response)).toMatchObject({ kind: 'whole', completion: { state, annotation } });
  });

  it.each([
    ['abort', answer({ content: 'half' }, 'abort')],
    ['abort', answer({ content: 'half' }, { type: 'abort' })],
    ['null', answer({ content: 'half' }, null)],
    ['null', { choices: [{ message: { content: 'half' } }] }],
    ['load', answer({ content: '' }, 'load')],
    ['error', choices(['x', 'stop'], ['half', 'error'])],
  ])('takes what ends with %s for a part', (reason, response) => {
    expect(readAnswer(response)).toMatchObject({ kind: 'partial', reason });
    expect(readAnswer(response, new FinishRules(['something']))).toMatchObject({ kind: 'partial' });
  });

  it('takes for whole what ends with an accepted reason', () => {
    const rules = new FinishRules(['null', 'Done']);
    expect(readAnswer(answer({ content: 'x' }, null), rules)).toMatchObject({ completion: { state: 'ok' } });
    expect(readAnswer(answer({ content: 'x' }, 'done'), rules)).toMatchObject({
      completion: { state: 'ok' },
    });
    expect(readAnswer(answer({ content: '' }, null), rules)).toMatchObject({ kind: 'empty' });
  });

  it('keeps the error of a choice next to other fields', () => {
    const error = { code: 502, message: 'Upstream idle timeout' };
    for (const finish of ['error', 'stop', null])
      expect(readAnswer(answer({ content: 'half' }, finish, { error }))).toMatchObject({
        kind: 'error',
        error,
      });
  });

  it('leaves withheld choices out of the annotations', () => {
    const read = readAnswer(choices(['x', 'stop'], ['y', 'content_filter'], [null, 'stop'], ['z', 'length']));
    expect(read).toMatchObject({ completion: { annotations: ['x', null, null, 'z'] } });
  });

  it.each([
    [null, 'foreign'],
    [1, 'foreign'],
    ['x', 'foreign'],
    [[], 'foreign'],
    [{}, 'foreign'],
    [{ choices: null }, 'foreign'],
    [{ choices: [] }, 'empty'],
    [{ choices: [null] }, 'empty'],
    [answer(null), 'empty'],
    [answer({ content: '' }), 'empty'],
    [answer({ content: null }, 'stop'), 'empty'],
  ])('finds no text in %j', (response, kind) => {
    expect(readAnswer(response).kind).toBe(kind);
  });
});
