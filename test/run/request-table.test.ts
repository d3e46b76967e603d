import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import { RequestTable } from '../../src/run/request-table.js';
import { temporaryFolder } from '../support/cli.js';

const bodyOf = (prompt: string): Buffer =>
  Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: prompt }] }));

/** Null for a row that cannot be sent. */
async function tableOf(path: string, prompts: readonly (string | null)[]): Promise<RequestTable> {
  const lines = prompts.map((prompt, row) =>
    prompt === null ? '' : `${bodyOf(prompt).toString().slice(0, -1)},"metadata":{"request_idx":${row}}}\n`,
  );
  writeFileSync(path, lines.join(''));
  const table = await RequestTable.read(path, prompts.length, () => undefined);
  onTestFinished(() => {
    table.close();
  });
  return table;
}

/** Many rows, of which some cannot be sent, some are alike, and some are longer than what is read at once. */
const prompts = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.constant(null) },
    { weight: 3, arbitrary: fc.nat(20).map((one) => `same ${one}`) },
    { weight: 5, arbitrary: fc.string() },
    { weight: 1, arbitrary: fc.nat(3).map((one) => `${one}${'long '.repeat(20_000)}`) },
  ),
  { maxLength: 150 },
);

it('finds the rows of every request in any order, and no row for another one', async () => {
  const folder = temporaryFolder();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(prompts, fc.array(fc.nat(200), { maxLength: 60 }), async (rows, order) => {
      run += 1;
      const table = await tableOf(join(folder, `${run}.json`), rows);
      const expected = new Map<string, number[]>();
      for (const [row, prompt] of rows.entries())
        if (prompt !== null) expected.set(prompt, [...(expected.get(prompt) ?? []), row]);
      for (const row of [...order, ...rows.keys()]) {
        const prompt = rows[row] ?? null;
        const own = prompt === null ? [] : (expected.get(prompt) ?? []);
        expect(table.firstOf(row)).toBe(own[0] ?? null);
        expect(table.nextOf(row)).toBe(own[own.indexOf(row) + 1] ?? null);
        if (prompt !== null) expect(table.find(bodyOf(prompt))).toBe(own[0]);
        expect(table.find(bodyOf(`not there ${row}`))).toBeNull();
      }
      expect(table.duplicates).toBe(rows.filter((one) => one !== null).length - expected.size);
    }),
    { numRuns: 25 },
  );
});
