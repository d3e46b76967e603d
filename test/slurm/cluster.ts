import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'unshare', 'setsid'];
/** Of a range for each process, so that what an earlier one left does not matter. */
const FIRST_PORT = 27_000 + (process.pid % 300) * 10;

/** Why there can be no Slurm here; null where there can. */
export function whyNoSlurm(): string | null {
  if (process.geteuid?.() !== 0) return 'it needs root, for namespaces';
  const missing = PROGRAMS.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0);
  return missing.length === 0
    ? null
    : `${missing.join(', ')} not found (apt-get install --no-install-recommends slurmctld slurmd slurm-client munge)`;
}

/** A Slurm of several nodes on this machine. */
export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'reannotate-slurm-'));

  constructor(nodes: number, cpus: number) {
    mkdirSync(join(this.folder, 'runs'));
    this.#script('up.sh', [String(nodes), String(cpus), String(FIRST_PORT)]);
  }

  get env(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], HOME: this.folder, SLURM_CONF: join(this.folder, 'slurm.conf') };
  }

  /** Runs one of Slurm's commands and gives what it prints. */
  run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
    return execFileSync(program, args, { env: { ...this.env, ...env }, encoding: 'utf8', stdio: 'pipe' });
  }

  /** Waits until nothing waits or runs. */
  async idle(milliseconds: number): Promise<void> {
    await until(
      () => this.run('squeue', ['-h']) === '',
      milliseconds,
      () => this.run('squeue', []),
    );
  }

  /** What `scontrol` says of a job's tasks, as its fields. */
  tasks(job: string): Record<string, string>[] {
    return this.run('scontrol', ['-o', 'show', 'job', job])
      .trim()
      .split('\n')
      .map((line) =>
        Object.fromEntries(
          [...line.matchAll(/(\S+?)=(\S*)/g)].map(([, name = '', value = '']) => [name, value] as const),
        ),
      );
  }

  /** Takes the power from a node. */
  killNode(name: string): void {
    process.kill(this.#initOf(name), 'SIGKILL');
  }

  startNode(name: string): void {
    this.#script('node.sh', [name]);
  }

  /** Sends a signal to every process of a node. */
  signalNode(name: string, signal: NodeJS.Signals): void {
    const namespace = readlinkSync(`/proc/${this.#initOf(name)}/ns/pid`);
    for (const pid of processes()) if (namespaceOf(pid) === namespace) process.kill(pid, signal);
  }

  /** Processes of a run's workers by the index of their task. */
  workers(runDir: string): Map<number, number> {
    const found = new Map<number, number>();
    for (const pid of processes()) {
      const words = fileOf(pid, 'cmdline').split('\0');
      if (!words.includes('work') || !words.includes(runDir)) continue;
      const task = /(?:^|\0)SLURM_ARRAY_TASK_ID=(\d+)/.exec(fileOf(pid, 'environ'))?.[1];
      if (task !== undefined) found.set(Number(task), pid);
    }
    return found;
  }

  close(): void {
    try {
      this.run('scancel', ['--user=root']);
    } finally {
      this.#script('down.sh', []);
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  #initOf(name: string): number {
    return Number(readFileSync(join(this.folder, 'run', `node.${name}.pid`), 'utf8'));
  }

  #script(name: string, args: readonly string[]): void {
    const path = fileURLToPath(new URL(name, import.meta.url));
    execFileSync(path, [this.folder, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
}

/** Looks every half second until something is so. */
export async function until(
  isSo: () => boolean,
  milliseconds: number,
  describe: () => string,
): Promise<void> {
  for (const end = Date.now() + milliseconds; Date.now() < end;) {
    if (isSo()) return;
    await sleep(500);
  }
  throw new Error(`not so within ${milliseconds / 1000} s: ${describe()}`);
}

function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isSafeInteger);
}

function namespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}

function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
