/** The end of a judgement: the journal's verdicts become `judgements.jsonl` and sums. */

import { closeSync, existsSync } from 'node:fs';
import { cooperativePause, openFile, readAt, replaceFile } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { parseJournalLine } from '../run/journal-line.js';
import type { JournalIndex } from '../run/journal.js';
import { sanitize } from '../lib/text.js';
import type { Decided } from './interval.js';
import { ORDERS } from './prepare.js';
import type { Sample } from './sample.js';
import {
  isFlipped,
  preferred,
  readVerdict,
  verdictOfPair,
  type Order,
  type PairVerdict,
  type Preference,
} from './verdict.js';

/** Characters of a judge's text that `judgements.jsonl` keeps. */
const LONGEST_REASON = 2000;

export interface Tally extends Decided {
  undecided: number;
  identical: number;
  flipped: number;
  /** Requests without an answer: failed, filtered, or not asked. */
  unanswered: number;
  /** Answers in which no verdict was found. */
  unreadable: number;
}

/** A line of `judgements.jsonl`. */
interface Judgement {
  request_idx: number;
  verdict: PairVerdict;
  new_first: Preference | null;
  old_first: Preference | null;
  reason: string;
}

/** What became of one request. */
interface Opinion {
  preference: Preference | null;
  isAnswered: boolean;
  /** What the judge said, or why there is nothing of it. */
  text: string;
}

/** The journal of a judgement. */
export interface Verdicts {
  /** Need not exist. */
  journal: string;
  index: JournalIndex;
  /** Which answers count as whole. */
  rules: AnswerRules;
}

/** Writes one line for each pair of the sample. */
export async function tally(path: string, sample: Sample, verdicts: Verdicts): Promise<Tally> {
  const sums: Tally = {
    wins: 0,
    ties: 0,
    losses: 0,
    undecided: 0,
    identical: 0,
    flipped: 0,
    unanswered: 0,
    unreadable: 0,
  };
  const { journal } = verdicts;
  const descriptor = existsSync(journal) ? openFile(journal, 'read') : null;
  try {
    await replaceFile(path, async (file) => {
      const pause = cooperativePause();
      let request = 0;
      for (const { row, isIdentical } of sample.rows) {
        const opinions = isIdentical
          ? null
          : ORDERS.map((order) => readOpinion(descriptor, verdicts, request++, order));
        const judgement = opinions === null ? identicalPair(row) : judge(row, opinions);
        count(sums, judgement, opinions);
        file.write(`${JSON.stringify(judgement)}\n`);
        await pause();
      }
    });
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
  return sums;
}

function readOpinion(
  descriptor: number | null,
  { index, rules }: Verdicts,
  request: number,
  order: Order,
): Opinion {
  const place = index.place(request);
  if (descriptor === null || place === null)
    return { preference: null, isAnswered: false, text: 'not asked yet' };
  const entry = parseJournalLine(readAt(descriptor, place.offset, place.length), rules);
  noteDiscarded(place.length * 3);
  if (entry?.kind !== 'answer') {
    const why = entry?.kind === 'failure' ? entry.errors.at(-1) : null;
    return {
      preference: null,
      isAnswered: false,
      text: `failed: ${sanitize(why ?? 'its line in the journal can’t be read', 400)}`,
    };
  }
  const { state, annotation, note } = entry.completion;
  // What was cut short may have been about to quote somebody else's verdict.
  const placed = state === 'ok' && annotation !== null ? readVerdict(annotation) : null;
  return {
    preference: placed === null ? null : preferred(placed, order),
    isAnswered: true,
    text: `${state === 'ok' ? '' : `(${state}) `}${annotation ?? note ?? ''}`,
  };
}

function identicalPair(row: number): Judgement {
  return {
    request_idx: row,
    verdict: 'tie',
    new_first: null,
    old_first: null,
    reason: 'The answers are identical; the judge was not asked.',
  };
}

function judge(row: number, opinions: readonly Opinion[]): Judgement {
  const [newFirst, oldFirst] = opinions.map(({ preference }) => preference);
  const reasons = opinions.map(({ text }, place) => {
    const cut = text.length > LONGEST_REASON ? `${text.slice(0, LONGEST_REASON)}…` : text;
    return `${place === 0 ? 'With the new answer as A' : 'With the new answer as B'}: ${cut.toWellFormed()}`;
  });
  return {
    request_idx: row,
    verdict: verdictOfPair(newFirst ?? null, oldFirst ?? null),
    new_first: newFirst ?? null,
    old_first: oldFirst ?? null,
    reason: reasons.join('\n\n'),
  };
}

const SUM_OF = { new: 'wins', tie: 'ties', old: 'losses', undecided: 'undecided' } as const;

function count(sums: Tally, judgement: Judgement, opinions: readonly Opinion[] | null): void {
  sums[SUM_OF[judgement.verdict]] += 1;
  if (opinions === null) sums.identical += 1;
  if (isFlipped(judgement.new_first, judgement.old_first)) sums.flipped += 1;
  for (const { preference, isAnswered } of opinions ?? []) {
    if (!isAnswered) sums.unanswered += 1;
    else if (preference === null) sums.unreadable += 1;
  }
}
