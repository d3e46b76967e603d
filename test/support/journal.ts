import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The whole lines of the journal of the only run below a folder; none where it has no journal yet. */
export function journalLines(folder: string): string[] {
  const runs = existsSync(join(folder, 'temp')) ? readdirSync(join(folder, 'temp')) : [];
  const path = join(folder, 'temp', runs[0] ?? '', 'output.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
}

/** The row that a whole line of the journal is about. */
export function rowOf(line: string): number {
  return (JSON.parse(line) as [unknown, unknown, { request_idx: number }])[2].request_idx;
}

/** Files that a killed program may leave behind and a finished one must not. */
export function leftovers(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => /reannotate-tmp|lock/.test(name));
}
