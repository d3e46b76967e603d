/** The runs that `--reuse` names, by the folders of their working files or of their results. */

import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { AnswerSource } from '../run/answer-source.js';
import { readConfig } from '../run/config.js';
import { segmentsIn, shardsDir } from '../shards/folders.js';

/**
 * Finds the answers of a run: those of one machine are in one place, those of a planned run in one for each shard that was
 * begun.
 * @param tempDir where the working files of a run are whose results do not say it
 * @throws UserError where no answers are there
 */
export async function findAnswerSources(path: string, tempDir: string): Promise<AnswerSource[]> {
  const given = resolve(path);
  const name = basename(given);
  const { params } = await readConfig(join(given, 'config.yaml'), new Date());
  const recorded = params?.['temp_dir'];
  const folders = [
    given,
    ...(typeof recorded === 'string' ? [join(recorded, name)] : []),
    join(tempDir, name),
  ];
  for (const folder of folders) {
    const sources = sourcesIn(folder, name);
    if (sources.length > 0) return sources;
  }
  throw new UserError(
    `--reuse ${sanitize(path, 200)} has no answers of a run (jobs.json and output.jsonl). Name the folder of a run’s ` +
      'working files, such as datasets/temp/NAME, or that of its results.',
  );
}

function sourcesIn(folder: string, name: string): AnswerSource[] {
  const source = { name, jobs: join(folder, 'jobs.json'), journal: join(folder, 'output.jsonl') };
  if (existsSync(source.jobs) && existsSync(source.journal)) return [source];
  return shardsIn(folder).flatMap((shard) => {
    const journal = segmentsIn(shard);
    const jobs = join(shard, 'jobs.json');
    return journal.length > 0 && existsSync(jobs) ? [{ name, jobs, journal }] : [];
  });
}

/** The folders of a planned run's shards, in their order. */
function shardsIn(folder: string): string[] {
  const parent = shardsDir(folder);
  if (!existsSync(parent)) return [];
  const numbers = readdirSync(parent)
    .filter((one) => /^(?:0|[1-9]\d{0,8})$/.test(one))
    .map(Number);
  return numbers.toSorted((a, b) => a - b).map((shard) => join(parent, String(shard)));
}
