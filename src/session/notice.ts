/** `--notify`: a command of the user's own, run when a run is over or needs attention. */

import { EXIT, messageOf, UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { findRunFolder } from '../run/folder.js';
import { placeOf, type RunSettings } from '../run/settings.js';
import type { CommandContext } from './command-context.js';

/** A command that hangs does not keep the program. */
const LONGEST_MS = 60_000;
/** Characters of a message; the environment of a process is bounded. */
const LONGEST_TEXT = 2000;

/**
 * - `finished`: every row has an answer;
 * - `incomplete`: the run is over, and some rows have none;
 * - `attention`: the run could not continue.
 */
export type NoticeEvent = 'finished' | 'incomplete' | 'attention';

/** Which run a notice is about. */
export interface NoticeSubject {
  /** The user's command; null for none. */
  command: string | null;
  /** `reannotate` or `watch-batch`. */
  program: string;
  dataset: string;
  annotator: string;
  /** The folder of the results. */
  folder: string;
  /** False for a command that only submits, so that its success is not the end. */
  endsRun: boolean;
  /** Takes secrets out of texts that leave the program. */
  redact: (text: string) => string;
}

/**
 * Does the work of a command, and says how it ended. A run that the user stopped is not worth a notice.
 * @returns the exit code of the work, whatever became of the notice
 */
export async function withNotice(
  subject: NoticeSubject,
  { console: reporter, interruption }: CommandContext,
  work: () => Promise<number>,
): Promise<number> {
  if (subject.command === null) return work();
  const signal = interruption.soft;
  try {
    const exitCode = await work();
    const event = eventOf(exitCode);
    const isNews = event === 'attention' || subject.endsRun;
    if (event !== null && isNews && !signal.aborted)
      await notify(subject, { event, exitCode, message: '' }, reporter);
    return exitCode;
  } catch (error) {
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.cannotGoOn;
    const isWorthIt = !signal.aborted && exitCode !== EXIT.commandLine;
    if (isWorthIt)
      await notify(subject, { event: 'attention', exitCode, message: messageOf(error) }, reporter);
    throw error;
  }
}

/** What a run's notices are about. */
export function subjectOf(settings: RunSettings, program: string): NoticeSubject {
  const { selection, call, notify: command, environment } = settings;
  return {
    command,
    program,
    endsRun: true,
    dataset: selection.dataset,
    annotator: call.annotator.name,
    folder: findRunFolder(placeOf(settings)).save,
    redact: (text) => environment.redactor.text(text),
  };
}

function eventOf(exitCode: number): NoticeEvent | null {
  if (exitCode === EXIT.done) return 'finished';
  if (exitCode === EXIT.incomplete) return 'incomplete';
  return exitCode === EXIT.cannotGoOn || exitCode === EXIT.tryLater ? 'attention' : null;
}

/**
 * Runs the command in a shell. Everything untrusted is in environment variables and never in the command,
 * so that no text can become a part of it.
 */
async function notify(
  { command, program, dataset, annotator, folder, redact }: NoticeSubject,
  { event, exitCode, message }: { event: NoticeEvent; exitCode: number; message: string },
  reporter: Reporter,
): Promise<void> {
  if (command === null) return;
  const facts = {
    REANNOTATE_EVENT: event,
    REANNOTATE_EXIT_CODE: String(exitCode),
    REANNOTATE_COMMAND: program,
    REANNOTATE_DATASET: sanitize(redact(dataset), LONGEST_TEXT),
    REANNOTATE_ANNOTATOR: sanitize(redact(annotator), LONGEST_TEXT),
    REANNOTATE_FOLDER: folder,
    REANNOTATE_MESSAGE: sanitize(redact(message), LONGEST_TEXT),
  };
  const problem = await runCommand(command, facts);
  if (problem !== null) reporter.warning(`--notify: the command ${problem}. The run is not affected.`);
}

/** @returns what went wrong; null where nothing did */
async function runCommand(command: string, facts: Readonly<Record<string, string>>): Promise<string | null> {
  const { spawn } = await import('node:child_process');
  return new Promise((resolve) => {
    // Standard output belongs to the results: what the command writes goes where messages go.
    const child = spawn(command, {
      shell: true,
      env: { ...process.env, ...facts },
      stdio: ['ignore', process.stderr, process.stderr],
      timeout: LONGEST_MS,
    });
    child.once('error', (error) => {
      resolve(`could not be started (${sanitize(messageOf(error), 200)})`);
    });
    child.once('close', (code, signal) => {
      if (code === 0) resolve(null);
      else if (signal !== null) resolve(`was stopped after ${LONGEST_MS / 1000} seconds or by ${signal}`);
      else resolve(`ended with exit code ${code ?? 0}`);
    });
  });
}
