/** Planned runs under a real Slurm, against a server that keeps a ledger. */

import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest';
import type { Overview } from '../../src/shards/overview.js';
import { Cluster, whyNoSlurm } from './cluster.js';
import { RIGHT_KEY, startLedger, type Ledger } from './ledger.js';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const CPUS = 2;
const USUAL_LATENCY_MS = 20;
export const NODES = 3;
/** Workers that run at the same time. */
export const AT_ONCE = CPUS * NODES;
export const SHARDS = 4 * NODES;
/** Requests that a worker has in flight. */
export const IN_FLIGHT = 2;

/**
 * Describes tests that share one Slurm and one ledger, which is reset before each of them. They are skipped, with a message,
 * where Slurm cannot run.
 * @param tests its argument returns the runs; only tests can call it, since Slurm starts with the first of them
 */
export function describeUnderSlurm(title: string, tests: (runs: () => SlurmRuns) => void): void {
  const why = whyNoSlurm();
  if (why !== null) process.stderr.write(`Skipped the tests against Slurm: ${why}.\n`);
  describe.skipIf(why !== null)(title, () => {
    let runs: SlurmRuns;
    beforeAll(async () => {
      runs = await SlurmRuns.start();
    });
    afterAll(() => {
      runs.close();
    });
    beforeEach(() => {
      runs.reset();
    });
    tests(() => runs);
  });
}

/** How a command went. */
interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

class SlurmRuns {
  private constructor(
    readonly cluster: Cluster,
    readonly ledger: Ledger,
  ) {}

  static async start(): Promise<SlurmRuns> {
    return new SlurmRuns(new Cluster(NODES, CPUS), await startLedger());
  }

  /** Forgets all requests so far. */
  reset(): void {
    this.ledger.asked.clear();
    this.ledger.latency = USUAL_LATENCY_MS;
    this.ledger.refused = 0;
  }

  close(): void {
    this.ledger.close();
    this.cluster.close();
  }

  env(key = RIGHT_KEY): NodeJS.ProcessEnv {
    return { ...this.cluster.env, OPENAI_API_KEY: key, OPENAI_BASE_URL: `${this.ledger.url}/v1` };
  }

  async reannotate(args: readonly string[], key?: string): Promise<Ended> {
    try {
      return { code: 0, ...(await run(process.execPath, [CLI, ...args], { env: this.env(key) })) };
    } catch (error) {
      return error as Ended;
    }
  }

  dataset(name: string): string {
    return join(this.cluster.folder, 'runs', `${name}.jsonl`);
  }

  folders(name: string): string[] {
    const parent = join(this.cluster.folder, 'runs', name);
    return ['--save_dir', join(parent, 'saved'), '--temp_dir', join(parent, 'temp'), '--run_name', 'run'];
  }

  saved(name: string): string {
    return join(this.cluster.folder, 'runs', name, 'saved', 'run');
  }

  /** Plans a run, and gives its folder. */
  async plan(name: string, rows: number): Promise<string> {
    const row = (number: number): string => JSON.stringify({ prompt: `${name} ${number}`, response: 'old' });
    const lines = Array.from({ length: rows }, (_, number) => row(number));
    writeFileSync(this.dataset(name), `${lines.join('\n')}\n`);
    const flags = ['--dataset', this.dataset(name), '--annotator', 'gpt-4o-mini', ...this.folders(name)];
    const own = ['--shards', String(SHARDS), '--max_concurrency', String(IN_FLIGHT)];
    const { stdout, code, stderr } = await this.reannotate(['plan', ...flags, ...own]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return stdout.trim();
  }

  async overview(runDir: string): Promise<Overview> {
    return JSON.parse((await this.reannotate(['status', runDir, '--json'])).stdout) as Overview;
  }

  /** Submits, and gives the number of the array's job. */
  async submit(runDir: string, more: readonly string[] = [], key?: string): Promise<string> {
    const { stderr, code } = await this.reannotate(['slurm', runDir, '--submit', ...more], key);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return /as job (\d+)/.exec(stderr)?.[1] ?? '';
  }

  /** The array's script alone. */
  async script(runDir: string): Promise<string> {
    await this.reannotate(['slurm', runDir]);
    return join(runDir, 'slurm', 'array.sh');
  }

  /** Where a task of an array runs; empty where it does not. */
  nodeOf(job: string, task: number): string {
    const tasks = this.cluster.tasks(`${job}_${task}`);
    return tasks.find(({ JobState }) => JobState === 'RUNNING')?.['NodeList'] ?? '';
  }

  logs(runDir: string): string {
    const folder = join(runDir, 'slurm');
    return readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
  }

  /** Answers beyond one for each row. */
  get paidTwice(): number {
    return [...this.ledger.asked.values()].reduce((sum, times) => sum + times - 1, 0);
  }
}
