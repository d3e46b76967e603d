import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
} from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';

const PRELOAD = fileURLToPath(new URL('../support/clock-preload.js', import.meta.url));

/** A wall clock that shows a time when a program starts. */
function startingAt(time: string): Record<string, string> {
  return { NODE_OPTIONS: `--import ${PRELOAD}`, CLOCK_AT: `${time}Z` };
}

it('--off_peak waits for the hours that cost less, and --max_cost and the summary count them', async () => {
  const api = await simulator();
  const env = { ...pointingAt(api), DEEPSEEK_API_KEY: 'sk-test-key-0001' };
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(6));
  const args = ['--annotator', 'deepseek/deepseek-v4-pro', '--dataset', data, '--base_url', `${api.url}/v1`];
  const [waiting, peak, stopped] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
  const events = join(waiting, 'events.jsonl');

  const interrupted = startCli([...args, ...foldersIn(stopped), '--off_peak', '12:00-13:00'], {
    env: { ...env, ...startingAt('2026-11-30T06:00:00') },
  });
  interrupted.child.stderr.on('data', (text: Buffer) => {
    if (text.includes('Waiting for off-peak hours')) interrupted.child.kill('SIGINT');
  });
  const [waited, atPeak, dry, unknown, ended] = await Promise.all([
    // A Monday, five seconds before the peak hours end.
    runCli([...args, ...foldersIn(waiting), '--off_peak', '--events', events], {
      env: { ...env, ...startingAt('2026-11-30T09:59:55') },
    }),
    runCli([...args, ...foldersIn(peak)], { env: { ...env, ...startingAt('2026-11-30T06:30:00') } }),
    runCli([...args, '--dry_run', '--json'], { env: { ...env, ...startingAt('2026-11-30T06:30:00') } }),
    runCli(['--annotator', 'gpt-4o-mini', '--dataset', data, '--off_peak'], { env }),
    interrupted.finished,
  ]);

  expect(waited).toMatchObject({ code: 0 });
  expect(waited.stderr).toMatch(
    /Waiting for off-peak hours until 2026-11-30 10:00 UTC \([\d.]+ s\); sending starts by itself\./,
  );
  const full = resultsIn(peak).summary().cost_usd ?? 0;
  expect(atPeak.code).toBe(0);
  expect(full).toBeGreaterThan(0);
  expect(resultsIn(waiting).summary().cost_usd).toBeCloseTo(full / 2, 6);
  const lines = readFileSync(events, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { event: string });
  expect(lines.map(({ event }) => event).filter((event) => event !== 'progress')).toEqual([
    'started',
    'paused',
    'resumed',
    'ended',
  ]);
  expect(lines.find(({ event }) => event === 'paused')).toMatchObject({ until: '2026-11-30T10:00:00.000Z' });

  const { price_usd: price, off_peak: hours } = JSON.parse(dry.stdout) as Record<
    string,
    Record<string, unknown>
  >;
  expect(hours).toEqual({
    hours: 'outside 01:00-04:00 and 06:00-10:00 UTC, Monday to Friday',
    now: false,
    kept: false,
  });
  const [online, offPeak] = [price?.['online'], price?.['off_peak']] as { expected: number }[];
  expect(offPeak?.expected).toBeCloseTo((online?.expected ?? 0) / 2, 9);

  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('--off_peak: the price table lists no off-peak hours for gpt-4o-mini.');
  expect(ended).toMatchObject({ code: 130 });
  expect(ended.stderr).toContain('--resume');
});
