/**
 * `--select judge`: of several answers to a prompt the one that another annotator prefers. Answers are compared two by
 * two, blind and in both orders: the first one stays until another is preferred in both. Each comparison is kept, so
 * that a run which is resumed pays for none twice.
 */

import { join } from 'node:path';
import { DEFAULT_JUDGE } from '../judge/defaults.js';
import { judgeCall, judgePolicy } from '../judge/options.js';
import { ORDERS } from '../judge/prepare.js';
import { judgeMessages, readJudgePrompts, type JudgePrompts } from '../judge/prompts.js';
import { promptTextOf } from '../judge/sample.js';
import { preferred, readVerdict, verdictOfPair, type Order, type Preference } from '../judge/verdict.js';
import { cooperativePause, readLines, replaceFile } from '../lib/files.js';
import { makeOwnFolder } from '../lib/own-folder.js';
import { sanitize, plural } from '../lib/text.js';
import { resolveAnnotator } from '../models/annotators.js';
import { findEndpoint } from '../models/endpoint.js';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import type { ModelCall } from '../models/call.js';
import type { Price } from '../models/prices.js';
import type { Stop } from '../requests/processor.js';
import { priceFor } from '../run/budget.js';
import { journalSource, requestFiles, runName, type RequestFiles, type RunFolder } from '../run/folder.js';
import { requestBody } from '../run/jobs.js';
import { JournalIndex } from '../run/journal.js';
import { parseJournalLine } from '../run/journal-line.js';
import { asksWith } from '../run/journal-request.js';
import { LineReader } from '../run/line-reader.js';
import { readJournal } from '../run/read-journal.js';
import { requestShape, type PreparedRun } from '../run/prepare.js';
import { readRowAnswer } from '../run/row-answers.js';
import { parseRow } from '../run/row-line.js';
import { isUnusable } from '../run/rows.js';
import type { Output, RunPolicy } from '../run/settings.js';
import { spendingOf, type Spending } from '../run/summary.js';
import { Totals } from '../run/totals.js';
import type { ChatMessage } from '../types.js';
import { sendOnline } from './online.js';
import type { CommandContext } from './command-context.js';

/** What a judge chose. */
export interface JudgeChoice {
  /** By row, the answer that becomes the annotation. */
  picks: Uint8Array;
  /** Why it did not come to its end; null where it did. */
  stop: Stop | null;
  call: ModelCall;
  /** What choosing cost, over all sessions. */
  figures: Spending & { judge: string };
}

/** A run whose answers are there. */
interface Answered {
  call: ModelCall;
  output: Pick<Output, 'select' | 'judge'>;
  policy: Pick<RunPolicy, 'maxCost'>;
  folder: RunFolder;
  run: Pick<PreparedRun, 'index' | 'rows'>;
  /** US dollars that the run itself has cost; null where that is not known. */
  cost: number | null;
}

/**
 * Chooses among the answers of each row; null where that is not what the run is to do.
 * @throws UserError where the judge cannot be called
 */
export async function chooseByJudge(
  answered: Answered,
  context: CommandContext,
): Promise<JudgeChoice | null> {
  const { output, run } = answered;
  const each = answered.call.generation.n ?? 1;
  if (output.select !== 'judge' || each < 2) return null;
  const choosing = await Choosing.open(answered, each, context);
  try {
    let stop: Stop | null = null;
    for (let challenger = 1; challenger < each && stop === null; challenger++)
      stop = await choosing.compare(challenger);
    const { picks, call, figures } = choosing;
    context.console.record('info', `${plural(run.rows, 'row')} judged by ${call.annotator.name}.`);
    return { picks, stop, call, figures };
  } finally {
    choosing.close();
  }
}

/**
 * How the judge is called: a model of the run's own provider at the run's own address, any other at its provider's.
 * @param judge null for the usual one
 * @throws UsageError where its name is not known
 */
function choosingCall(call: ModelCall, judge: string | null): ModelCall {
  const { providerName } = call.annotator;
  const hasAddress = call.baseUrl !== null && providerName === 'openai';
  const annotator = resolveAnnotator(judge ?? DEFAULT_JUDGE, hasAddress, 'judge');
  const isShared = annotator.providerName === providerName;
  return judgeCall({
    judge: annotator,
    baseUrl: isShared ? call.baseUrl : null,
    apiKeyVariable: isShared ? call.apiKeyVariable : null,
    servers: isShared ? call.servers : null,
    acceptFinishReason: isShared ? call.acceptFinishReason : [],
    maxTokens: undefined,
    limits: isShared ? call.limits : { ...call.limits, requestsPerMinute: null, tokensPerMinute: null },
    environment: call.environment,
  });
}

/**
 * Makes sure that the judge can be called, before anything is paid for.
 * @param judge null for the usual one
 * @throws UserError where its key is missing, or `--max_cost` cannot be kept with it
 */
export async function requireJudge(
  call: ModelCall,
  judge: string | null,
  { maxCost }: Pick<RunPolicy, 'maxCost'>,
): Promise<void> {
  const asked = choosingCall(call, judge);
  findEndpoint(asked);
  await priceFor(asked, judgePolicy(maxCost));
}

/** A pair of answers of a row, and the requests about it. */
interface Comparison {
  row: number;
  messages: readonly ChatMessage[][];
}

/** What choosing works with. */
interface ChoosingParts {
  answered: Answered;
  /** Answers of a row. */
  each: number;
  /** How the judge is called. */
  call: ModelCall;
  policy: RunPolicy;
  price: Price | null;
  prompts: JudgePrompts;
  /** Which answers count as whole, of the run and of the judge. */
  rules: { run: AnswerRules; judge: AnswerRules };
  work: RequestFiles;
  /** Of the verdicts. */
  index: JournalIndex;
  totals: Totals;
  context: CommandContext;
}

class Choosing {
  /** By row; 0 until another answer is preferred. */
  readonly picks: Uint8Array;
  readonly #reader: LineReader;
  readonly #verdicts: LineReader;

  private constructor(private readonly parts: ChoosingParts) {
    this.picks = new Uint8Array(parts.answered.run.rows);
    this.#reader = new LineReader(journalSource(parts.answered.folder));
    this.#verdicts = new LineReader(parts.work.journal);
  }

  static async open(answered: Answered, each: number, context: CommandContext): Promise<Choosing> {
    const { output, folder, run } = answered;
    const call = choosingCall(answered.call, output.judge);
    const policy = judgePolicy(answered.policy.maxCost);
    const { name } = call.annotator;
    if (name === answered.call.annotator.name)
      context.console.warning(
        `${sanitize(name, 80)} judges its own answers; choose another model with --judge.`,
      );
    const path = join(folder.judge, runName(name, 'select'));
    makeOwnFolder(path);
    const work = requestFiles(path);
    const price = await priceFor(call, policy);
    const totals = new Totals(work.counters, price, new Date());
    const rules = { run: await answerRules(answered.call), judge: await answerRules(call) };
    const index = new JournalIndex(run.rows * (each - 1) * ORDERS.length);
    await readJournal(work, index, context.console, {
      isThorough: true,
      rules: rules.judge,
      onEntry: (entry) => {
        totals.addEntry(entry);
      },
    });
    await preferLater(work.journal, index, rules.judge);
    const prompts = await readJudgePrompts(null);
    const calling = { call, policy, price, prompts };
    return new Choosing({ answered, each, ...calling, rules, work, index, totals, context });
  }

  get call(): ModelCall {
    return this.parts.call;
  }

  get figures(): JudgeChoice['figures'] {
    return { judge: this.call.annotator.name, ...spendingOf(this.parts.totals) };
  }

  /** Compares an answer of each row with the one that is preferred so far. */
  async compare(challenger: number): Promise<Stop | null> {
    const missing = await this.#writeJobs(challenger);
    const stop = missing.size === 0 ? null : await this.#ask(missing);
    if (stop !== null && stop.reason !== 'budget') return stop;
    for await (const comparison of this.#comparisons(challenger)) {
      const [newFirst = null, oldFirst = null] = ORDERS.map((order, place) =>
        this.#opinion(
          this.#numberOf(comparison.row, challenger, place),
          comparison.messages[place] ?? [],
          order,
        ),
      );
      if (verdictOfPair(newFirst, oldFirst) === 'new') this.picks[comparison.row] = challenger;
    }
    return stop;
  }

  #numberOf(row: number, challenger: number, order: number): number {
    return (row * (this.parts.each - 1) + challenger - 1) * ORDERS.length + order;
  }

  /** Writes the requests that were not answered yet. */
  async #writeJobs(challenger: number): Promise<Set<number>> {
    const missing = new Set<number>();
    const shape = requestShape(this.call);
    await replaceFile(this.parts.work.jobs, async (file) => {
      for await (const { row, messages } of this.#comparisons(challenger)) {
        for (const [place, turns] of messages.entries()) {
          const number = this.#numberOf(row, challenger, place);
          if (this.#verdictLine(number, turns) !== null) continue;
          // What was answered was another comparison: the answers of the row have changed.
          this.parts.index.forget(number);
          missing.add(number);
          const body = requestBody({ messages: turns }, shape);
          file.write(`${JSON.stringify({ ...body, metadata: { request_idx: number } })}\n`);
        }
      }
    });
    return missing;
  }

  async #ask(missing: ReadonlySet<number>): Promise<Stop | null> {
    const { answered, call, policy, price, work, index, totals, context, each } = this.parts;
    const nameOf = (number: number): string => {
      const comparison = Math.floor(number / ORDERS.length);
      const answer = (comparison % (each - 1)) + 2;
      return `Row ${Math.floor(comparison / (each - 1))}, comparing answer ${answer}`;
    };
    const run = { index, rows: index.rows, naming: { one: 'verdict', nameOf } };
    const again = {
      origin: null,
      announcement: (verdicts: number) =>
        `Sending ${plural(verdicts, 'request')} to ${sanitize(call.annotator.name, 80)}, which compares the answers.`,
      row: (number: number) => missing.has(number),
      parts: () => [],
      requestFor: (body: Buffer) => body,
    };
    const { stop } = await sendOnline(
      {
        ...{ call, policy, folder: work, run, totals, price, serviceTier: null, again },
        reserved: answered.cost ?? 0,
        onChanges: () => undefined,
      },
      context,
    );
    return stop;
  }

  /** The rows of which two answers are compared, in order. */
  async *#comparisons(challenger: number): AsyncGenerator<Comparison> {
    const { answered, rules, prompts } = this.parts;
    const { run, folder } = answered;
    const { index } = run;
    if (index.parts === null) return;
    const lines = { index, parts: index.parts, reader: this.#reader, rules: rules.run };
    const pause = cooperativePause();
    let row = -1;
    for (const { bytes } of readLines(folder.rows)) {
      await pause();
      row += 1;
      if (isUnusable(bytes) || !index.isAnswered(row)) continue;
      const answer = readRowAnswer(lines, row, bytes);
      if (answer.kind !== 'answer' || answer.completion.annotation === null) continue;
      const texts = answer.completion.annotations;
      const champion = texts[this.picks[row] ?? 0] ?? null;
      const other = texts[challenger] ?? null;
      if (champion === null || other === null || champion === other) continue;
      const prompt = promptTextOf(parseRow(bytes));
      yield {
        row,
        messages: ORDERS.map((order) => {
          const [first, second] = order === 'new_first' ? [other, champion] : [champion, other];
          return judgeMessages(prompts, { prompt, answer_a: first, answer_b: second });
        }),
      };
    }
  }

  /** The line that answers exactly this request; null where there is none. */
  #verdictLine(number: number, messages: readonly ChatMessage[]): Buffer | null {
    const { index } = this.parts;
    const place = index.place(number);
    if (place === null || !index.isAnswered(number)) return null;
    const line = this.#verdicts.read(place);
    return asksWith(line, messages) ? line : null;
  }

  #opinion(number: number, messages: readonly ChatMessage[], order: Order): Preference | null {
    const line = this.#verdictLine(number, messages);
    const entry = line === null ? null : parseJournalLine(line, this.parts.rules.judge);
    if (entry?.kind !== 'answer' || entry.completion.state !== 'ok') return null;
    const placed = entry.completion.annotation === null ? null : readVerdict(entry.completion.annotation);
    return placed === null ? null : preferred(placed, order);
  }

  close(): void {
    this.#reader.close();
    this.#verdicts.close();
  }
}

/** Of two verdicts with one number the later counts: it is about the answers that the row had later. */
async function preferLater(path: string, index: JournalIndex, rules: AnswerRules): Promise<void> {
  if (index.rows === index.count('pending')) return;
  const pause = cooperativePause();
  for (const { bytes, offset } of readLines(path)) {
    await pause();
    const entry = parseJournalLine(bytes, rules);
    if (entry?.kind !== 'answer' || entry.row >= index.rows) continue;
    index.replace(entry.row, entry.completion.state, { offset, length: bytes.length }, false);
  }
}
