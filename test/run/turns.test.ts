import { describe, expect, it } from 'vitest';
import { requireTalk } from '../../src/formats/all-turns.js';
import { asksWith } from '../../src/run/journal-request.js';
import { parseRow, rowLine, rowMark, withMessages } from '../../src/run/row-line.js';
import { answeredTurns, countTurns, requestOfTurn, turnsOf } from '../../src/run/turns.js';
import type { ChatMessage, PromptRow } from '../../src/types.js';
import { settingsFor } from '../support/settings.js';

/** `u` and `a` are turns of user and assistant, `s` a system prompt. */
function chat(shape: string): ChatMessage[] {
  const roles = { s: 'system', u: 'user', a: 'assistant' } as const;
  return Array.from(shape, (one, place) => ({ role: roles[one as 'u'], content: `${one}${place}` }));
}

function rowOf(messages: ChatMessage[], more: Partial<PromptRow> = {}): PromptRow {
  return { system_prompt: '', user_prompt: 'p', annotation_original: 'o', messages, ...more };
}

describe('the turns of a chat', () => {
  it.each([
    ['u', []],
    ['suau', [2]],
    ['uauau', [1, 3]],
    // A greeting, and an answer that continues.
    ['auau', [2]],
    ['uaau', [1]],
    ['uu', []],
  ])('that are answered again follow a user’s: %s', (shape, places) => {
    expect(answeredTurns(chat(shape))).toEqual(places);
    expect(countTurns(chat(shape))).toBe(places.length + 1);
  });

  it('are requested with the new answers before them', () => {
    const request = chat('suauau');
    const texts = (answers: string[]): (string | null)[] =>
      requestOfTurn(request, answers).map(({ content }) => content);
    expect(texts([])).toEqual(['s0', 'u1']);
    expect(texts(['x'])).toEqual(['s0', 'u1', 'x', 'u3']);
    expect(texts(['x', 'y'])).toEqual(['s0', 'u1', 'x', 'u3', 'y', 'u5']);
  });

  it('are estimated with the dataset’s own answers', () => {
    const turns = turnsOf(rowOf(chat('uau')));
    expect(turns.map(({ messages, annotation_original: old }) => [messages?.length, old])).toEqual([
      [1, 'a1'],
      [3, 'o'],
    ]);
    expect(turnsOf({ system_prompt: '', user_prompt: 'p', annotation_original: 'o' })).toHaveLength(1);
  });

  it('cannot be answered again where tools are called', () => {
    const call = { id: 'c', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
    const called: ChatMessage[] = [
      { role: 'user', content: 'u' },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', content: 'r', tool_call_id: 'c' },
    ];
    expect(() => {
      requireTalk(rowOf(called));
    }).toThrow(/^turn 2 of the chat calls a tool/);
    expect(() => {
      requireTalk(rowOf(chat('uau'), { tools: [{}] }));
    }).toThrow(/has tools/);
    requireTalk(rowOf(chat('u'), { tools: [{}] }));
    requireTalk(rowOf(chat('uau'), { images: [{ reference: 'r', url: 'u' }] }));
  });
});

describe('a row with another request', () => {
  it.each<[string, Partial<PromptRow>]>([
    ['a chat', {}],
    ['kept columns', { source: '{"big":12345678901234567890,"messages":"\\"messages\\":[1]"}' }],
    ['images', { images: [{ reference: 'r', url: 'data:x' }] }],
  ])('keeps everything else: %s', (_, more) => {
    const row = rowOf(chat('uau'), more);
    const line = Buffer.from(rowLine(row));
    const now: ChatMessage[] = requestOfTurn(chat('uau'), ['a new answer, “ü”']);
    const changed = withMessages(line, now);
    expect(parseRow(changed)).toMatchObject({ ...parseRow(line), messages: now });
    const text = changed.toString();
    if (more.source !== undefined) expect(text).toContain(`"source":${more.source}`);
    const mark = rowMark(changed, 0, changed.length);
    if (mark === null) return;
    expect(mark.keys).toBe(rowMark(line, 0, line.length)?.keys);
    expect(() => JSON.parse(`${changed.subarray(0, mark.bytes).toString()}}`) as unknown).not.toThrow();
  });
});

it('a request from the journal has the same content in any form of its parts', () => {
  const messages = chat('ua');
  const line = (turns: unknown): Buffer => Buffer.from(JSON.stringify([{ messages: turns }, {}, {}]));
  expect(asksWith(line(messages), messages)).toBe(true);
  expect(
    asksWith(line([{ role: 'user', content: [{ type: 'text', text: 'u0' }] }, messages[1]]), messages),
  ).toBe(true);
  expect(asksWith(line(messages.slice(0, 1)), messages)).toBe(false);
  expect(asksWith(line([messages[0], { role: 'assistant', content: 'other' }]), messages)).toBe(false);
  expect(asksWith(Buffer.from('no line'), messages)).toBe(false);
});

describe('what can be combined with several requests per row', () => {
  it.each<[Record<string, string | true>, RegExp]>([
    [{ turns: 'all', batch: true }, /--turns all works online/],
    [{ turns: 'all', batch_file_only: true }, /--turns all works online/],
    [{ turns: 'all', n: '2' }, /remove --n/],
    [{ turns: 'all', prompt_template: '{prompt}!' }, /--prompt_template/],
    [{ turns: 'all', dedupe: true }, /--dedupe compares/],
    [{ turns: 'all', reuse: 'x' }, /--reuse compares/],
    [{ select: 'judge', n: '2', batch: true }, /--select judge works online/],
    [{ judge: 'gpt-4o' }, /--judge requires --select judge/],
    [{ select: 'judge', n: '2', judge: 'nobody/x' }, /Unknown provider "nobody" in --judge/],
    [{ check_retry: '2' }, /requires --check answer/],
    [{ check_retry: '2', check: 'answer', batch: true }, /--check_retry works online/],
    [{ check_retry: '2', check: 'answer', n: '2' }, /--select majority/],
    [{ check_retry: '2', check: 'answer', turns: 'all' }, /with --turns all, leave it out/],
    [{ check_retry: '2', check: 'answer', dedupe: true }, /remove one of them/],
    [{ annotator: 'anthropic/claude-x', n: '2', batch: true }, /gives one answer to a request/],
    [{ annotator: 'o3-pro', n: '2', batch: true }, /gives one answer to a request/],
  ])('is refused by name: %j', (flags, message) => {
    expect(() => settingsFor({ dataset: 'x.json', ...flags })).toThrow(message);
  });
});
