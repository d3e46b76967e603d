import { expect, it } from 'vitest';
import { openDataset } from '../../src/datasets/index.js';
import { simulator, temporaryFolder } from '../support/cli.js';
import { sameRows } from '../support/same-rows.js';

const ignore = (): void => undefined;
const silent = { debug: ignore, info: ignore, warning: ignore, error: ignore };
const ROWS = 3200;

it('the same rows come from pages, from Parquet and from every kind of local file', async () => {
  const { parquet, files } = sameRows(temporaryFolder(), ROWS);
  const { url } = await simulator({
    datasets: { 'me/pages': files[0], 'me/parquet': files[0] },
    parquet: { 'me/parquet': parquet },
  });
  const hub = { endpoint: url, datasetsServerUrl: url, token: null };
  const read = async (dataset: string): Promise<string> => {
    const opened = await openDataset({ dataset, subset: null, split: null }, hub, silent);
    const rows: unknown[] = [];
    const columns = ['instruction', 'input', 'output'];
    for await (const row of opened.rows({ columns, offset: 0, limit: null })) rows.push(row);
    expect(rows, dataset).toHaveLength(ROWS);
    return JSON.stringify(rows);
  };
  const [first, ...others] = await Promise.all(['me/pages', 'me/parquet', ...files].map(read));
  for (const other of others) expect(other === first).toBe(true);
});
