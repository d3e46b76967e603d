import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { writeJson } from '../support/data.js';
import { journalLines } from '../support/journal.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

interface Message {
  role: string;
  content: string;
}

/** A chat of three questions with the dataset's answers. */
function chat(name: string): { messages: Message[] } {
  const turns = [1, 2, 3].flatMap((turn) => [
    { role: 'user', content: `${name}${turn}` },
    { role: 'assistant', content: `old ${name}${turn}` },
  ]);
  return { messages: [{ role: 'system', content: 'Be brief.' }, ...turns] };
}

describe('all turns of a chat', () => {
  it('are answered one after the other, paid for once, and resume where a chat ended', async () => {
    const folder = temporaryFolder();
    const dataset = writeJson(folder, 'data.json', [chat('a'), chat('b')]);
    let isShort = true;
    const asked: string[][] = [];
    const api = await scriptedApi(({ body }) => {
      const messages = body['messages'] as Message[];
      asked.push(messages.map(({ content }) => content));
      const last = messages.at(-1)?.content ?? '';
      return { body: completion(`new ${last}`, last === 'b2' && isShort ? { finish: 'length' } : {}) };
    });
    const args = ['--annotator', 'own-model', '--base_url', api.url, '--dataset', dataset, '--turns', 'all'];
    args.push('--output_format', 'messages', ...foldersIn(folder));
    const first = await runCli(args);
    expect(first.code, first.stderr).toBe(3);
    expect(first.stderr).toContain('Sending 6 requests for 2 rows');
    const { rows, saved, summary } = resultsIn(folder);
    expect(rows().map(({ annotation }) => annotation)).toEqual(['new a3', null]);
    expect(readFileSync(saved('failed_rows.jsonl'), 'utf8')).toContain('turn 2 of 3: the answer was cut off');
    expect(summary()).toMatchObject({ rows: { ok: 1, truncated: 1 }, requests: { sent: 5 } });

    isShort = false;
    const second = await runCli([...args, '--resume', '--escalate_truncated', '4']);
    expect(second.code, second.stderr).toBe(0);
    expect(summary()).toMatchObject({ rows: { ok: 2 }, requests: { sent: 7 } });
    const conversation = (name: string): string[] => [
      'Be brief.',
      ...[1, 2].flatMap((turn) => [`${name}${turn}`, `new ${name}${turn}`]),
      `${name}3`,
    ];
    expect(asked).toContainEqual(conversation('a'));
    expect(asked).toContainEqual(conversation('b'));
    expect(asked.flat().filter((text) => text.startsWith('old'))).toEqual([]);
    const lines = readFileSync(saved('messages.jsonl'), 'utf8').trim().split('\n');
    expect(
      lines.map((line) =>
        (JSON.parse(line) as { messages: Message[] }).messages.map(({ content }) => content),
      ),
    ).toEqual([
      [...conversation('a'), 'new a3'],
      [...conversation('b'), 'new b3'],
    ]);
    expect(journalLines(folder)).toHaveLength(7);
  });
});
