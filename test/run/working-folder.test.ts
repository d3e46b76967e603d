import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findTempDir } from '../../src/run/working-folder.js';
import { temporaryFolder } from '../support/cli.js';

function madeRun(folder: string, temp: string, uuid: string): void {
  mkdirSync(join(folder, temp, 'a_b'), { recursive: true });
  writeFileSync(join(folder, temp, 'a_b/run.json'), JSON.stringify({ uuid }));
}

it.each([
  ['relative to where the run was started', 'datasets/temp', 'datasets/reannotated', 'datasets/reannotated'],
  ['in a folder of its own', 'work', 'out', 'out'],
  ['with a dot', './work', './out', 'out'],
  ['moved together with the results', 'old/temp', 'old/saved', 'new/saved', 'new/temp'],
])(
  'the working files of a run that is looked at from elsewhere: %s',
  (_, temp, saved, isAt, tempAt = temp) => {
    const folder = temporaryFolder();
    madeRun(folder, tempAt, 'one');
    const config = { uuid: 'one', params: { temp_dir: temp, save_dir: saved } };
    expect(findTempDir(join(folder, isAt, 'a_b'), config, null)).toBe(join(folder, tempAt));
    expect(findTempDir(join(folder, isAt, 'a_b'), config, '/given')).toBe('/given');
  },
);

it('those of another run with the same name are not taken for them', () => {
  const folder = temporaryFolder();
  madeRun(folder, 'datasets/temp', 'another');
  const absolute = join(folder, 'elsewhere');
  madeRun(folder, 'elsewhere', 'one');
  const config = { uuid: 'one', params: { temp_dir: absolute, save_dir: 'datasets/reannotated' } };
  expect(findTempDir(join(folder, 'datasets/reannotated/a_b'), config, null)).toBe(absolute);
});
