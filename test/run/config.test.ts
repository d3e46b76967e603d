import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readConfig, writeConfig, type ConfigFile } from '../../src/run/config.js';
import { temporaryFolder } from '../support/cli.js';

it('a config with the paths of many files is what it was written from', async () => {
  const odd = ['a b', '- "x"', "it's", 'é 🙂', '\u2028', '#', '@x', 'C:\\data', '"'];
  for (const count of [3, 5000]) {
    const paths = Array.from(
      { length: count },
      (_, place) => `/data/${odd[place % odd.length] ?? ''}/${place}.jsonl`,
    );
    const config = {
      uuid: 'u',
      creation_date: '2026_01_31-12_00_00',
      params: { system_prompt: 'paths:\n    - "x"\n', limit: null },
      dataset: { rows: 7, paths, columns: ['a'] },
      finished_at: 'later',
    } as unknown as ConfigFile;
    const path = join(temporaryFolder(), 'config.yaml');
    await writeConfig(path, config);
    expect(await readConfig(path, new Date())).toEqual(config);
  }
});
