/** `reannotate slurm`: a planned run as a Slurm job array, with a job after it that merges. */

import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { EXIT, systemErrorCode, UserError } from '../lib/errors.js';
import { makeFolder, replaceFile } from '../lib/files.js';
import { sanitize, plural, shellWord } from '../lib/text.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';
import type { RetriableState } from '../types.js';
import { shardFolder } from '../shards/folders.js';
import { isOpen } from '../shards/order.js';
import { readPlan } from '../shards/plan.js';
import { arrayScript, mergeScript } from '../shards/slurm-script.js';
import { readState } from '../shards/state.js';
import { restart } from '../shards/stopped.js';

const run = promisify(execFile);
/** What Slurm has where nobody changed it: indices from 0 to 1,000. */
const USUAL_ARRAY_SIZE = 1001;
const TIMEOUT_MS = 60_000;

export interface SlurmRequest {
  /** The folder of the run. */
  path: string;
  /** The program: Node and the file that it runs. */
  program: readonly string[];
  submit: boolean;
  /** Tasks that run at the same time at most; null for no limit. */
  nodes: number | null;
  retry: readonly RetriableState[];
  /** More options for sbatch. */
  sbatch: readonly string[];
}

/**
 * Runs `reannotate slurm`: writes both scripts into `slurm/` of the run, shows them, and submits them if asked to.
 * @returns the exit code
 */
export async function slurm(request: SlurmRequest, console: Console): Promise<number> {
  const { program, submit, nodes, retry, sbatch: extra } = request;
  const runDir = resolve(request.path);
  const plan = readPlan(runDir);
  const shards = [...plan.shards.keys()].filter((shard) =>
    isOpen(readState(shardFolder(runDir, shard).temp), { digest: plan.digest, shard }, retry),
  );
  if (shards.length === 0) {
    console.info(`All shards are done. Merge them with: npx reannotate merge ${shellWord(runDir)}`);
    return EXIT.done;
  }
  const options = { runDir, program, shards, atOnce: nodes, arraySize: await maxArraySize(), retry, extra };
  const folder = join(runDir, 'slurm');
  makeFolder(folder);
  const array = { path: join(folder, 'array.sh'), text: arrayScript(options) };
  const merge = { path: join(folder, 'merge.sh'), text: mergeScript(options) };
  for (const { path, text } of [array, merge]) {
    await replaceFile(path, (file) => {
      file.write(text);
    });
    chmodSync(path, 0o700);
  }
  await printResult([array, merge].map(({ path, text }) => `# ${path}\n${text}`).join('\n'));
  if (!submit) {
    console.info(
      `${plural(shards.length, 'shard')} to do. Submit with --submit, or: job=$(sbatch --parsable ${shellWord(array.path)}) && ` +
        `sbatch --dependency=afterany:$job ${shellWord(merge.path)}`,
    );
    return EXIT.done;
  }
  if (restart(runDir)) console.info('The run had been stopped; workers may start again.');
  const job = await submitScript([array.path]);
  const after = await submitScript([`--dependency=afterany:${job}`, merge.path]);
  console.info(`Submitted ${plural(shards.length, 'shard')} as job ${job}, and job ${after} to merge them.`);
  return EXIT.done;
}

async function submitScript(args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run('sbatch', ['--parsable', ...args], { timeout: TIMEOUT_MS });
    const job = /^\d+/.exec(stdout.trim())?.[0];
    if (job !== undefined) return job;
    throw new UserError(`sbatch returned no job number: ${sanitize(stdout, 200)}.`);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (systemErrorCode(error) === 'ENOENT')
      throw new UserError(
        'sbatch was not found. Run this on a machine that submits Slurm jobs, or remove --submit.',
      );
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new UserError(`sbatch refused the job: ${sanitize(said.trim(), 400)}`);
  }
}

/** How many indices an array can have here; what Slurm has by itself where that cannot be asked. */
async function maxArraySize(): Promise<number> {
  try {
    const { stdout } = await run('scontrol', ['show', 'config'], { timeout: TIMEOUT_MS });
    return Number(/^MaxArraySize\s*=\s*(\d+)/m.exec(stdout)?.[1] ?? USUAL_ARRAY_SIZE);
  } catch {
    return USUAL_ARRAY_SIZE;
  }
}
