import { describe, expect, it } from 'vitest';
import { unfolded } from '../../src/datasets/unfolded.js';
import type { SourceRow } from '../../src/types.js';
import { datasetOf, SILENT } from '../support/rows-in-memory.js';

type Row = Record<string, unknown>;

async function read(rows: readonly Row[], offset = 0, limit: number | null = null): Promise<SourceRow[]> {
  const dataset = await unfolded(datasetOf(rows), SILENT);
  const found: SourceRow[] = [];
  for await (const row of dataset.rows({ columns: dataset.columns, offset, limit })) found.push(row);
  return found;
}

/** The turns of each row in short: `a > b > c`. */
async function threads(rows: readonly Row[]): Promise<string[]> {
  return (await read(rows)).map((row) =>
    'problem' in row
      ? row.problem
      : (row.value['messages'] as { content: string }[]).map(({ content }) => content).join(' > '),
  );
}

const message = (id: string, parent: string | null, more: Row = {}): Row => ({
  message_id: id,
  parent_id: parent,
  message_tree_id: 't1',
  role: id.startsWith('p') ? 'prompter' : 'assistant',
  text: id,
  ...more,
});

/** p1 has two answers, of which the better one, a2, was answered twice. */
const TABLE = [
  message('p1', null),
  message('a1', 'p1', { rank: 1 }),
  message('a2', 'p1', { rank: 0 }),
  message('p2', 'a2'),
  message('a3', 'p2'),
  message('p3', 'a2', { lang: 'de' }),
];

function treeOf(rows: readonly Row[], id: unknown = null): Row[] {
  return rows
    .filter((row) => row['parent_id'] === id)
    .map((row) => ({ ...row, replies: treeOf(rows, row['message_id']) }));
}

const asTree = (rows: readonly Row[]): Row => ({
  message_tree_id: 't1',
  tree_state: 'ready_for_export',
  prompt: treeOf(rows)[0],
});

describe('trees of messages', () => {
  const cases: [string, Row[], string[]][] = [
    ['end with each path’s last prompt', TABLE, ['p1 > a2', 'p1 > a2 > p2 > a3', 'p1 > a2 > p3']],
    ['give one row for several answers', [TABLE[0], TABLE[1], TABLE[2]] as Row[], ['p1 > a2']],
    ['of a prompt alone are one row', [message('p1', null)], ['p1']],
    [
      'leave deleted messages out',
      [message('p1', null), message('a1', 'p1', { deleted: true }), message('p2', 'a1'), message('a2', 'p1')],
      ['p1 > a2'],
    ],
    [
      'take unranked answers in their order',
      [message('p1', null), message('a1', 'p1'), message('a2', 'p1')],
      ['p1 > a1'],
    ],
  ];
  it.each(cases)('%s, nested or as a table', async (_, rows, expected) => {
    expect(await threads([asTree(rows)])).toEqual(expected);
    expect(await threads(rows)).toEqual(expected);
  });

  it('are read from tables of text, too, where nothing is null', async () => {
    const text = TABLE.map((row) => ({
      ...row,
      parent_id: row['parent_id'] ?? '',
      rank: typeof row['rank'] === 'number' ? row['rank'].toFixed(1) : '',
      deleted: row['message_id'] === 'p3' ? 'True' : 'False',
    }));
    expect(await threads(text)).toEqual(['p1 > a2', 'p1 > a2 > p2 > a3']);
  });

  it('keep other columns: the tree’s, or those of the prompt’s message', async () => {
    const [, , tree] = await read([asTree(TABLE)]);
    expect(tree).toMatchObject({ value: { message_tree_id: 't1', tree_state: 'ready_for_export' } });
    const [, , row] = await read(TABLE);
    expect(row).toMatchObject({ value: { message_id: 'p3', lang: 'de' } });
  });

  it('are numbered through, and read in parts', async () => {
    const two = [
      ...TABLE,
      ...TABLE.map((row) => ({ ...row, message_tree_id: 't2', text: `${String(row['text'])}!` })),
    ];
    expect(await threads(two)).toHaveLength(6);
    const rows = await read(two, 2, 2);
    expect(rows.map(({ index }) => index)).toEqual([2, 3]);
    expect(JSON.stringify(rows[1])).toContain('"content":"a2!"');
  });

  it('report what cannot be read, and continue', async () => {
    expect(await threads([message('a9', 'elsewhere'), message('p1', null)])).toEqual([
      'p1',
      'row 1: row 0 replies to a message that is not among those of its tree before it',
    ]);
    expect(await threads([{ message_tree_id: 'x', prompt: 'text' }, asTree(TABLE)])).toEqual([
      'row 0: "prompt" is not a message',
      'p1 > a2',
      'p1 > a2 > p2 > a3',
      'p1 > a2 > p3',
    ]);
  });

  it('are bounded, however deep or wide they are', async () => {
    const chain = Array.from({ length: 1500 }, (_, place) =>
      message(
        `${place % 2 === 0 ? 'p' : 'a'}${place}`,
        place === 0 ? null : `${place % 2 === 0 ? 'a' : 'p'}${place - 1}`,
      ),
    );
    expect(await threads(chain)).toEqual([expect.stringContaining('more than 1,000 turns')]);
    // Every prompt of a long chain has an answer that ends there.
    const comb = chain
      .slice(0, 1000)
      .flatMap((row) => [row, message(`a${String(row['text'])}x`, row['text'] as string)]);
    const found = await threads(comb);
    expect(found.at(-1)).toContain('more than 200,000 turns');
    expect(found.length).toBeLessThan(600);
  });
});

it('instructions with instances are a row for each', async () => {
  const rows = [
    {
      id: 1,
      instruction: 'Add.',
      instances: [
        { input: '4 and 5', output: '9' },
        { input: '1 and 1', output: '2' },
      ],
    },
    { id: 2, instruction: 'Name a tree.', instances: [] },
  ];
  const dataset = await unfolded(datasetOf(rows), SILENT);
  expect(dataset.columns).toEqual(['id', 'instruction', 'input', 'output']);
  expect(dataset.totalRows).toBeNull();
  expect(dataset.lineFile).toBeUndefined();
  expect(await read(rows)).toEqual([
    { index: 0, value: { id: 1, instruction: 'Add.', input: '4 and 5', output: '9' } },
    { index: 1, value: { id: 1, instruction: 'Add.', input: '1 and 1', output: '2' } },
    { index: 2, value: { id: 2, instruction: 'Name a tree.' } },
  ]);
});

it('other datasets stay as they are', async () => {
  const dataset = datasetOf([{ instruction: 'a', output: 'b', instances: [] }]);
  expect(await unfolded(dataset, SILENT)).toBe(dataset);
});
