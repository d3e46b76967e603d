import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { apiError, scriptedApi } from '../support/scripted-api.js';

/** All that a run wrote, names and contents. */
function everythingIn(folder: string): string {
  return readdirSync(folder)
    .map((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? everythingIn(path) : `${name}\n${readFileSync(path, 'latin1')}`;
    })
    .join('\n');
}

describe('an address', () => {
  it('shows neither its password nor its key, in a new, a finished and a failed run', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    let isGone = false;
    const api = await scriptedApi(({ prompt }) => (isGone ? apiError(404, 'nothing here') : prompt));
    const secret = api.url.replace('//', '//me:hunter2@');
    const args = ['--annotator', 'own-model', '--base_url', `${secret}/v1?key=pa55&api-version=2024-10-21`];
    args.push('--dataset', data);
    const runs = [await runCli([...args, ...foldersIn(folder)])];
    expect(runs[0]?.code).toBe(0);
    expect(api.requests[0]).toMatchObject({
      path: '/v1/chat/completions?key=pa55&api-version=2024-10-21',
      headers: { authorization: `Basic ${btoa('me:hunter2')}` },
    });
    const shown = `${api.url.replace('//', '//…@')}/v1?key=…&api-version=2024-10-21`;
    expect(readFileSync(resultsIn(folder).saved('config.yaml'), 'utf8')).toContain(shown);
    runs.push(await runCli([...args, '--resume', ...foldersIn(folder)]));
    isGone = true;
    const failed = temporaryFolder();
    runs.push(await runCli([...args, ...foldersIn(failed)]));
    runs.push(await runCli([...args, '--resume', ...foldersIn(failed)]));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 1, 1]);
    expect(runs[2]?.stderr).toContain(
      `The request went to ${api.url}/v1/chat/completions?key=…&api-version=2024-10-21.`,
    );
    expect(runs[2]?.stderr).toContain(`--base_url '${shown}'`);
    const written = [
      ...runs.flatMap(({ stdout, stderr }) => [stdout, stderr]),
      everythingIn(folder),
      everythingIn(failed),
    ];
    for (const text of written) expect(text).not.toMatch(/hunter2|pa55|bWU6aHVudGVyMg/);
  });

  it('that was recorded without its password is asked for again', async () => {
    const args = ['--dataset', 'x.json', '--annotator', 'm', '--base_url', 'http://…@127.0.0.1:1/v1'];
    const run = await runCli(args);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('was recorded without its password or key; give the whole address again');
  });
});
