import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder, type ResultRow } from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 24;
const NEWLINE = Buffer.from('\n');

/** What happens to a journal; places are shares of it. */
type Damage =
  | { kind: 'tear' | 'repeat' | 'move' | 'cut' | 'join' | 'carriage return'; at: number; to: number }
  | { kind: 'flip'; at: number; bit: number }
  | { kind: 'zeros' | 'garbage'; at: number; length: number }
  | { kind: 'renumber' | 'foreign'; at: number; row: number };

const share = fc.nat(9999).map((part) => part / 10_000);
const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('tear', 'repeat', 'move', 'cut', 'join', 'carriage return'),
    at: share,
    to: share,
  }),
  fc.record({ kind: fc.constant('flip'), at: share, bit: fc.nat(7) }),
  fc.record({
    kind: fc.constantFrom('zeros', 'garbage'),
    at: share,
    length: fc.constantFrom(1, 7, 300, 5000),
  }),
  fc.record({ kind: fc.constantFrom('renumber', 'foreign'), at: share, row: fc.nat(ROWS + 3) }),
);

function inflict(journal: Buffer, one: Damage): Buffer {
  const lines = linesOf(journal);
  const number = Math.floor(one.at * lines.length);
  const line = lines[number] ?? Buffer.alloc(0);
  const byte = Math.floor(one.at * journal.length);
  switch (one.kind) {
    case 'tear':
      return journal.subarray(0, Math.max(0, journal.length - Math.floor(one.to * line.length) - 1));
    case 'repeat':
      return joined(lines.toSpliced(Math.floor(one.to * lines.length), 0, line));
    case 'move':
      return joined(lines.toSpliced(number, 1).toSpliced(Math.floor(one.to * lines.length), 0, line));
    case 'cut':
      return joined(lines.with(number, line.subarray(0, Math.floor(one.to * line.length))));
    case 'join':
      return Buffer.concat([
        joined(lines.slice(0, number + 1)).subarray(0, -1),
        joined(lines.slice(number + 1)),
      ]);
    case 'carriage return':
      return joined(lines.with(number, Buffer.concat([line, Buffer.from('\r')])));
    case 'flip': {
      const copy = Buffer.from(journal);
      if (copy.length > 0) copy[byte] = (copy[byte] ?? 0) ^ (1 << one.bit);
      return copy;
    }
    case 'zeros':
      return Buffer.concat([journal.subarray(0, byte), Buffer.alloc(one.length), journal.subarray(byte)]);
    case 'garbage':
      return joined(lines.toSpliced(number, 0, Buffer.alloc(one.length, '[{"a":1},{"request_idx":')));
    case 'renumber':
      return joined(lines.with(number, Buffer.from(renumbered(line, one.row))));
    case 'foreign': {
      const other = JSON.stringify([
        { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'of another run' }] },
        {
          model: 'x',
          choices: [{ index: 0, message: { role: 'assistant', content: 'no' }, finish_reason: 'stop' }],
        },
        { request_idx: one.row },
      ]);
      return joined(lines.toSpliced(number, 0, Buffer.from(other)));
    }
  }
}

function renumbered(line: Buffer, row: number): string {
  return line.toString('latin1').replace(/"request_idx":\d+\}\]$/, `"request_idx":${row}}]`);
}

function linesOf(journal: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < journal.length;) {
    const end = journal.indexOf(NEWLINE, start);
    lines.push(journal.subarray(start, end === -1 ? journal.length : end));
    start = end === -1 ? journal.length : end + 1;
  }
  return lines;
}

function joined(lines: readonly Buffer[]): Buffer {
  return Buffer.concat(lines.flatMap((line) => [line, NEWLINE]));
}

/** True where an answer, as JSON, differs from the right one in a few bits, or not at all: no reader can see that. */
function isNear(answer: string | null, right: string | null): boolean {
  const [a, b] = [Buffer.from(JSON.stringify(answer)), Buffer.from(JSON.stringify(right))];
  if (answer === right) return true;
  const flipped = [...b].filter((byte, at) => byte !== a[at]);
  return a.length === b.length && flipped.length <= 4;
}

it('recovers the intact lines of a damaged journal, and requests only the others again', async () => {
  const tally = new Tally('journal: torn, doubled, moved, foreign, renumbered and flipped lines');
  const rows = alpacaRows(ROWS);
  const whole = temporaryFolder();
  const data = writeJson(whole, 'data.json', rows);
  const rowOfPrompt = new Map(rows.map((row, index) => [alpacaText(row), index]));
  const answer = (prompt: string): string => `answer to ${prompt}`;
  const args = (folder: string): string[] => ['--dataset', data, ...foldersIn(folder)];
  const first = await scriptedApi(({ prompt }) => answer(prompt));
  const run = await runCli(args(whole), { env: pointingAt(first) });
  if (run.code !== 0) throw new Error(run.stderr);
  const right = resultsIn(whole).rows();
  const journal = readFileSync(resultsIn(whole).temp('output.jsonl'));
  const lineOfRow = new Map(
    linesOf(journal).map((line) => [
      Number(/"request_idx":(\d+)\}\]$/.exec(line.toString('latin1'))?.[1]),
      line,
    ]),
  );

  const survive = async (damages: readonly Damage[]): Promise<Outcome> => {
    const folder = join(temporaryFolder(), 'copy');
    cpSync(whole, folder, { recursive: true });
    const damaged = damages.reduce(inflict, journal);
    writeFileSync(resultsIn(folder).temp('output.jsonl'), damaged);
    const api = await scriptedApi(({ prompt }) => answer(prompt));
    const again = await runCli([...args(folder), '--resume'], { env: pointingAt(api) });
    if (again.code !== 0) throw new Error(again.stderr);
    const intact = new Set(linesOf(damaged).map((line) => line.toString('latin1').replace(/\r$/, '')));
    const isThere = (row: number): boolean => intact.has(lineOfRow.get(row)?.toString('latin1') ?? '?');
    const asked = api.requests.map(({ prompt }) => rowOfPrompt.get(prompt) ?? -1);
    const wrong = resultsIn(folder)
      .rows()
      .filter((row: ResultRow, index) => !isNear(row.annotation, right[index]?.annotation ?? null));
    return { lost: wrong.length, paidTwice: asked.filter(isThere).length };
  };

  const plans = fc.sample(fc.array(damage, { minLength: 1, maxLength: 6 }), cases(2, 400));
  await tally.play(plans, (damages) => JSON.stringify(damages), survive);
  tally.expectAll();
});
