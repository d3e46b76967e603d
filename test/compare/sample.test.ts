import { describe, expect, it } from 'vitest';
import { sampleDataset } from '../../src/compare/sample.js';
import { chooseFormat } from '../../src/formats/index.js';
import type { OpenDataset, SourceRow } from '../../src/types.js';
import { settingsFor } from '../support/settings.js';

/** A dataset that counts how many of its rows are read. */
function datasetOf(total: number, isCounted: boolean): { dataset: OpenDataset; read: () => number } {
  let read = 0;
  const dataset: OpenDataset = {
    ...{ columns: ['prompt', 'response'], revision: null, subset: null, split: null, warnings: [] },
    totalRows: isCounted ? total : null,
    async *rows({ offset, limit }): AsyncGenerator<SourceRow> {
      const end = limit === null ? total : Math.min(total, offset + limit);
      for (let index = offset; index < end; index++) {
        read += 1;
        yield await Promise.resolve({ index, value: { prompt: `p${index}`, response: '' } });
      }
    },
  };
  return { dataset, read: () => read };
}

async function sampleOf(
  total: number,
  size: number,
  isCounted: boolean,
  part = { offset: 0, limit: null as number | null },
) {
  const { dataset, read } = datasetOf(total, isCounted);
  const format = chooseFormat('x', dataset.columns, settingsFor({ dataset: 'x.json' }).selection);
  const signal = new AbortController().signal;
  const sampled = await sampleDataset({ name: 'x', dataset, format }, part, { size, seed: 3 }, signal);
  const prompts: unknown[] = [];
  for await (const row of sampled.dataset.rows({ columns: [], offset: 0, limit: null })) {
    expect(row.index).toBe(prompts.length);
    if ('value' in row) prompts.push(row.value['prompt']);
  }
  return { prompts, read: read(), total: sampled.total };
}

describe('the rows that annotators are compared on', () => {
  it('are the same whether the dataset is read through, or its rows are looked up', async () => {
    const through = await sampleOf(5000, 10, false);
    const looked = await sampleOf(5000, 10, true);
    expect(looked.prompts).toEqual(through.prompts);
    expect(through).toMatchObject({ read: 5000, total: 5000 });
    expect(looked).toMatchObject({ read: 10, total: 5000 });
  });

  it('of a larger sample hold those of the smaller one', async () => {
    const small = await sampleOf(3000, 20, false);
    const large = await sampleOf(3000, 60, false);
    expect(large.prompts).toEqual(expect.arrayContaining(small.prompts));
    expect(new Set(large.prompts).size).toBe(60);
  });

  it('are all rows of a dataset that has no more, and of the part that is meant alone', async () => {
    expect((await sampleOf(3, 200, true)).prompts).toEqual(['p0', 'p1', 'p2']);
    const part = await sampleOf(100, 200, true, { offset: 10, limit: 5 });
    expect(part.prompts).toEqual(['p10', 'p11', 'p12', 'p13', 'p14']);
  });
});
