/** From parsed flags to a command: each is loaded when it is needed, and given values. */

import { realpathSync } from 'node:fs';
import type { DemoRequest } from '../commands/demo.js';
import type { ReportRequest } from '../commands/report.js';
import { withoutSecrets } from '../http/address.js';
import { shellWord } from '../lib/text.js';
import type { OpenPlan } from '../session/open-plan.js';
import type { CommandContext } from '../session/command-context.js';
import type { PlannedFlags } from '../shards/planned-flags.js';
import type { Interruption } from '../terminal/interruption.js';
import { printResult } from '../terminal/output.js';
import type { Console, ConsoleOptions } from '../terminal/progress.js';
import type { RetriableState } from '../types.js';
import type { CommandName } from './commands.js';
import { gatherFlags, type Sources } from './flags/gather.js';
import type { Parsed, RawFlags } from './flags/parse.js';
import type { Values } from './flags/table.js';
import type { Handlers } from './program.js';
import { plannedSettings, settingsToPlan, type OwnFlags } from './planned-settings.js';
import { fallbackOf, formatsOf, offPeakOf, runSettings, type VariableSource } from './run-settings.js';

/** A command line that is being carried out. */
export interface Invocation {
  /** In their plain spelling, without the program. */
  words: readonly string[];
  interruption: Interruption;
  sources: Sources;
  /** Makes the console that a command's flags ask for; errors are shown on it as well. */
  open: (options: Omit<ConsoleOptions, 'redactor'>) => Console;
}

/** What each command does with its flags; each sets the exit code. */
export function handlersOf(invocation: Invocation): Handlers {
  return {
    ...runHandlers(invocation),
    ...resultHandlers(invocation),
    ...shardHandlers(invocation),
    ...otherHandlers(invocation),
  };
}

/** Runs. */
function runHandlers(invocation: Invocation): Pick<Handlers, 'reannotate' | 'watch-batch'> {
  const { words, sources, interruption } = invocation;
  return {
    reannotate: async (raw) => {
      const { parsed, console } = await begin('reannotate', raw, invocation);
      const settings = runSettings(parsed, sources);
      const { resumeCommandLine } = await import('../session/next-command.js');
      const context = { console, interruption, words, resumeCommand: resumeCommandLine(words) };
      process.exitCode = await runOrEstimate(settings, parsed.values, context, sources);
    },
    'watch-batch': async (raw) => {
      const { watchBatch } = await import('../commands/watch-batch.js');
      const { watchSettings } = await import('./watch-settings.js');
      const { parsed, console } = await begin('watch-batch', raw, invocation);
      const [first] = words;
      const typed = first === 'watch-batch' ? words.slice(1) : words;
      const resumeCommand = shownCommandLine(['npx', 'watch-batch', ...typed]);
      const context = { console, interruption, resumeCommand };
      const settings = watchSettings(parsed, sources);
      const target = { path: parsed.values.events, redactor: sources.redactor };
      process.exitCode = await withEvents(target, 'watch-batch', context, (reporting) =>
        watchBatch(settings, reporting),
      );
    },
  };
}

/** Commands on the results of runs. */
function resultHandlers(invocation: Invocation): Pick<Handlers, 'judge' | 'compare' | 'report' | 'list'> {
  const { words, sources, interruption } = invocation;
  return {
    judge: async (raw) => {
      const { judge } = await import('../commands/judge.js');
      const { judgeSettings } = await import('./judge-settings.js');
      const { parsed, console } = await begin('judge', raw, invocation);
      const resumeCommand = shownCommandLine(['npx', 'reannotate', ...words]);
      const context = { console, interruption, resumeCommand, words };
      process.exitCode = await judge(judgeSettings(parsed, sources), context);
    },
    compare: async (raw, names = '') => {
      const { compare } = await import('../commands/compare.js');
      const { compareSettings } = await import('./compare-settings.js');
      const { parsed, console } = await begin('compare', raw, invocation);
      const settings = compareSettings(names, parsed, sources);
      process.exitCode = await compare(settings, commandContext(console, invocation));
    },
    report: async (raw, _, paths) => {
      const { report } = await import('../commands/report.js');
      const { parsed, console } = await begin('report', raw, invocation);
      const { redactor } = invocation.sources;
      const context = { console, signal: interruption.soft, redactor };
      process.exitCode = await report(reportRequest(paths, parsed), context);
    },
    list: async (raw) => {
      const { list } = await import('../commands/list.js');
      const { parsed, console } = await begin('list', raw, invocation);
      const { values, given } = parsed;
      const request = {
        saveDir: values.save_dir,
        tempDir: given.has('temp_dir') ? values.temp_dir : null,
        json: values.json,
        isNamed: given.has('save_dir'),
      };
      process.exitCode = await list(request, console);
    },
  };
}

/** A run on several machines. */
function shardHandlers(
  invocation: Invocation,
): Pick<Handlers, 'plan' | 'work' | 'status' | 'merge' | 'slurm' | 'k8s'> {
  const { sources, interruption } = invocation;
  return {
    plan: async (raw) => {
      const { plan } = await import('../commands/plan.js');
      const { parsed, console } = await begin('plan', raw, invocation);
      const { settings, given } = settingsToPlan(parsed, sources);
      const request = {
        settings,
        given,
        shards: parsed.values.shards,
        workers: parsed.values.workers,
        settingsOf: (flags: PlannedFlags) => plannedSettings(flags, null, sources),
      };
      process.exitCode = await plan(request, commandContext(console, invocation));
    },
    work: async (raw, path = '') => {
      const { work } = await import('../commands/work.js');
      const { parsed, console } = await begin('work', raw, invocation);
      const { shard, any_shard: any, requeue, retry } = parsed.values;
      const planned = await openPlanned(path, parsed, retry ?? [], sources);
      const { check_interval: seconds, give_up: giveUp } = parsed.values;
      const { checkInterval } = await import('../session/watch-options.js');
      const watching = { checkInterval: checkInterval(seconds), giveUp };
      const request = { shard, any, requeue, variables: sources.variables, watching };
      process.exitCode = await work(planned, request, commandContext(console, invocation));
    },
    status: async (raw, path = '') => {
      const { status } = await import('../commands/status.js');
      const { parsed, console } = await begin('status', raw, invocation);
      process.exitCode = await status(path, parsed.values.json, { console, signal: interruption.soft });
    },
    merge: async (raw, path = '') => {
      const { merge } = await import('../commands/merge.js');
      const { parsed, console } = await begin('merge', raw, invocation);
      // The machine that merges need not see the servers.
      const planned = await openPlanned(path, parsed, [], { ...sources, isSending: false });
      process.exitCode = await merge(planned, parsed.values.part_rows, commandContext(console, invocation));
    },
    slurm: async (raw, path = '') => {
      const { slurm } = await import('../commands/slurm.js');
      const { parsed, console } = await begin('slurm', raw, invocation);
      const { submit, nodes, retry, sbatch } = parsed.values;
      const program = [process.execPath, realpathSync(process.argv[1] ?? '')];
      process.exitCode = await slurm({ path, program, submit, nodes, retry: retry ?? [], sbatch }, console);
    },
    k8s: async (raw, path = '') => {
      const { k8s } = await import('../commands/k8s.js');
      const { parsed } = await begin('k8s', raw, invocation);
      const { values } = parsed;
      const planned = await openPlanned(path, null, [], sources);
      process.exitCode = await k8s(planned, { ...values, mountPath: values.mount_path });
    },
  };
}

/** What needs no run, and no account. */
function otherHandlers(invocation: Invocation): Pick<Handlers, 'demo' | 'simulate' | 'completion'> {
  const { sources, interruption } = invocation;
  return {
    demo: async (raw) => {
      const { demo } = await import('../commands/demo.js');
      const { parsed, console } = await begin('demo', raw, invocation);
      const target = { path: parsed.values.events, redactor: sources.redactor };
      const context = { console, interruption, resumeCommand: 'npx reannotate demo' };
      process.exitCode = await withEvents(target, 'demo', context, (reporting) =>
        demo(demoRequest(parsed), reporting),
      );
    },
    simulate: async (raw) => {
      const { simulate } = await import('../commands/simulate.js');
      const { simulatorOptions } = await import('./simulator-options.js');
      const { parsed } = await begin('simulate', raw, invocation);
      await simulate(simulatorOptions(parsed), interruption.soft);
    },
    completion: async (_, shell) => {
      const { completionScript } = await import('./completion.js');
      await printResult(completionScript(shell ?? ''));
    },
  };
}

function reportRequest(paths: readonly string[], { values, given }: Parsed<'report'>): ReportRequest {
  return {
    paths,
    dataset: values.dataset,
    annotator: values.annotator,
    saveDir: values.save_dir,
    tempDir: given.has('temp_dir') ? values.temp_dir : null,
    runName: values.run_name,
    output: values.output,
    sample: values.sample,
    rows: values.rows,
    isPublic: values.public,
    isWatching: values.watch,
  };
}

function demoRequest({ values, given }: Parsed<'demo'>): DemoRequest {
  return {
    annotator: given.has('annotator') ? values.annotator : null,
    batch: values.batch,
    judge: values.judge,
    compare: values.compare,
    reasoning: values.reasoning,
    saveDir: values.save_dir,
    tempDir: values.temp_dir,
    formats: formatsOf(values),
    drop: values.drop,
    decontaminate: values.decontaminate,
    policy: {
      reuse: values.reuse,
      dedupe: values.dedupe,
      escalateTruncated: values.escalate_truncated,
      fallback: fallbackOf({ ...values, fallback_base_url: null, fallback_api_key_env: null }),
      offPeak: offPeakOf({ ...values, batch_file_only: false }),
    },
    repository: values.push_to_hub,
  };
}

function commandContext(console: Console, { words, interruption }: Invocation): CommandContext {
  return { console, interruption, resumeCommand: shownCommandLine(['npx', 'reannotate', ...words]) };
}

async function openPlanned(
  path: string,
  own: OwnFlags | null,
  retry: readonly RetriableState[],
  sources: VariableSource,
): Promise<OpenPlan> {
  const { openPlan } = await import('../session/open-plan.js');
  return openPlan(path, (flags) => plannedSettings(flags, own, sources), retry);
}

async function runOrEstimate(
  settings: ReturnType<typeof runSettings>,
  values: Values<'reannotate'>,
  context: CommandContext,
  { redactor }: Sources,
): Promise<number> {
  if (values.dry_run) {
    const { dryRun } = await import('../commands/dry-run.js');
    return dryRun(settings, values, context);
  }
  const { reannotate } = await import('../commands/reannotate.js');
  const target = { path: values.events, redactor };
  return withEvents(target, 'reannotate', context, (reporting) => reannotate(settings, reporting));
}

/** Runs a command that reports where `--events` says, if it is given; what writes events is loaded only then. */
async function withEvents(
  { path, redactor }: { path: string | null; redactor: Sources['redactor'] },
  command: CommandName,
  context: CommandContext,
  work: (context: CommandContext) => Promise<number>,
): Promise<number> {
  if (path === null) return work(context);
  const { reportingEvents } = await import('../session/events.js');
  return reportingEvents({ path, redactor }, command, context, work);
}

/** A command's values, and the console that its flags ask for. */
async function begin<Name extends CommandName>(
  name: Name,
  raw: RawFlags,
  { sources, open }: Invocation,
): Promise<{ parsed: Parsed<Name>; console: Console }> {
  const parsed = await gatherFlags(name, raw, sources);
  const { logging_level: level = 'info', quiet = false } = parsed.values as Partial<Values<'reannotate'>>;
  const console = open({ level, quiet });
  for (const warning of parsed.warnings) console.warning(warning);
  return { parsed, console };
}

/** A command line to paste; passwords and keys in addresses are left out. */
function shownCommandLine(words: readonly string[]): string {
  return words.map((word) => shellWord(withoutSecrets(word))).join(' ');
}
