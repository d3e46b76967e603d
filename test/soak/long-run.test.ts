import { spawn } from 'node:child_process';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { it, onTestFinished, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, startCli, temporaryFolder } from '../support/cli.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const SERVER = fileURLToPath(new URL('../../bench/server.js', import.meta.url));
const SAMPLE_INTERVAL_MS = 500;
/** Memory at the end against memory when a tenth was done. */
const MOST_GROWTH = 1.1;
/** Growth below this is noise, in MB. */
const SLACK = cases(40, 8);

interface Sample {
  seconds: number;
  journalBytes: number;
  megabytes: number;
  descriptors: number;
}

/** A server in its own process, which answers every request immediately with the same kilobyte. */
async function fastServer(): Promise<string> {
  const child = spawn(process.execPath, [SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill();
  });
  const [url] = (await once(createInterface(child.stdout))) as [string];
  return url;
}

async function once(lines: AsyncIterable<string>): Promise<string[]> {
  for await (const line of lines) return [line];
  throw new Error('the server said nothing');
}

async function writeRows(path: string, rows: number): Promise<void> {
  const file = await open(path, 'w');
  for (let row = 0; row < rows; row += 10_000) {
    const lines = Array.from({ length: Math.min(10_000, rows - row) }, (_, index) =>
      JSON.stringify({
        instruction: `Say ${row + index}. ${'word '.repeat(40)}`,
        input: '',
        output: 'Old answer.',
      }),
    );
    await file.write(`${lines.join('\n')}\n`);
  }
  await file.close();
}

/** What the system reports about a process; null if it has ended. */
function look(pid: number, journal: string, started: number): Sample | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      seconds: (performance.now() - started) / 1000,
      journalBytes: existsSync(journal) ? statSync(journal).size : 0,
      megabytes: Number(/VmRSS:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
    };
  } catch {
    return null;
  }
}

it.runIf(process.platform === 'linux')('needs at the end what it needed at the start', async () => {
  const rows = cases(20_000, 2_000_000);
  const tally = new Tally(`long run: ${rows.toLocaleString('en')} requests`);
  await tally.count(`${rows} requests`, async (): Promise<Outcome> => {
    const folder = temporaryFolder();
    const data = join(folder, 'data.jsonl');
    await writeRows(data, rows);
    const url = await fastServer();
    const args = ['--dataset', data, '--max_concurrency', '64', ...foldersIn(folder)];
    const started = performance.now();
    const { child, finished } = startCli(args, { env: pointingAt({ url }) });
    const samples: Sample[] = [];
    const timer = setInterval(() => {
      const runs = existsSync(join(folder, 'temp')) ? readdirSync(join(folder, 'temp')) : [];
      const sample = look(child.pid ?? 0, join(folder, 'temp', runs[0] ?? '', 'output.jsonl'), started);
      if (sample !== null) samples.push(sample);
    }, SAMPLE_INTERVAL_MS);
    const run = await finished;
    clearInterval(timer);
    if (run.code !== 0) throw new Error(run.stderr);
    const whole = statSync(resultsIn(folder).temp('output.jsonl')).size;
    const asking = samples.filter(({ journalBytes }) => journalBytes > whole * 0.08 && journalBytes < whole);
    const { ok } = resultsIn(folder).summary().rows;
    return { lost: rows - (ok ?? 0), problem: growthOf(asking) ?? (await logOf(folder, asking)) };
  });
  tally.expectAll();
});

/** Which of memory and descriptors grew; null where none did. */
function growthOf(asking: readonly Sample[]): string | null {
  const tenth = asking.slice(0, Math.max(1, Math.floor(asking.length / 20)));
  const end = asking.slice(-tenth.length);
  const median = (samples: readonly Sample[], name: 'megabytes' | 'descriptors'): number =>
    samples.map((sample) => sample[name]).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0;
  const [before, after] = [median(tenth, 'megabytes'), median(end, 'megabytes')];
  const [opened, open] = [median(tenth, 'descriptors'), median(end, 'descriptors')];
  process.stdout.write(
    `long run: ${Math.round(before)} MB and ${opened} descriptors at a tenth, ${Math.round(after)} MB and ${open} at the end\n`,
  );
  if (asking.length === 0) return 'no sample was taken';
  if (after > before * MOST_GROWTH + SLACK) return `memory grew from ${before} to ${after} MB`;
  return open > opened + 2 ? `descriptors grew from ${opened} to ${open}` : null;
}

/** Whether the log grew by more than a line a second. */
async function logOf(folder: string, asking: readonly Sample[]): Promise<string | null> {
  const log = createInterface(createReadStream(resultsIn(folder).temp('output.log')));
  let lines = 0;
  log.on('line', () => (lines += 1));
  await new Promise((resolve) => log.once('close', resolve));
  const seconds = asking.at(-1)?.seconds ?? 0;
  return lines > seconds + 30 ? `${lines} lines of log in ${Math.round(seconds)} s` : null;
}
