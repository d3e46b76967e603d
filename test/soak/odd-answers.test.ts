import { isDeepStrictEqual } from 'node:util';
import { it, vi } from 'vitest';
import { readResultLine, classifyResult } from '../../src/batches/results.js';
import { CompletionStream } from '../../src/http/stream.js';
import { FinishRules } from '../../src/models/finish-reason.js';
import { classifyResponse, type Verdict } from '../../src/requests/verdict.js';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import {
  bodyOf,
  BREAKAGES,
  oddAnswer,
  streamOf,
  UNREADABLE,
  WRAPPINGS,
  type OddAnswer,
} from '../support/odd-answers.js';
import { ok, play, type Reply } from '../support/processor-run.js';
import { completion, scriptedApi, type ApiAnswer, type ApiRequest } from '../support/scripted-api.js';
import { generator, pick, type Random } from '../support/server-model.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const RULES = new FinishRules();
/** Attempts per row. */
const ATTEMPTS = 3;
/** An unreadable body is paid for a second time, and not again if it is broken in the same way. */
const SAME_FAILURES = 2;

/** What is kept of an answer: a row's state and texts, and the record in the journal. */
function judged(verdict: Verdict): { means: string; kept: unknown } {
  if (verdict.kind !== 'answer') {
    const isAgain = ['partial', 'unreadable', 'transient'].includes(verdict.kind);
    return { means: isAgain ? 'again' : verdict.kind, kept: null };
  }
  const { state, annotations, reasonings, finishReason, usage, model } = verdict.completion;
  const record = (JSON.parse(verdict.json.toString('utf8')) as { choices: unknown }).choices;
  return { means: state, kept: { annotations, reasonings, finishReason, usage, model, record } };
}

const ofBody = (body: Buffer): Verdict => classifyResponse({ status: 200, headers: {}, body }, null, RULES);

function ofStream(text: string, random: Random): Verdict {
  const stream = new CompletionStream();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + Math.floor(random() * 300);
    stream.push(bytes.subarray(at, end));
    at = end;
  }
  return ofBody(stream.finish());
}

function ofLine(answer: OddAnswer, random: Random): Verdict | null {
  const body = bodyOf(answer);
  const line = pick(random, [
    { custom_id: '0', response: { status_code: 200, body }, error: null },
    { custom_id: '0', response: { status_code: '200', body: JSON.stringify(body) } },
    { custom_id: '0', response: { body } },
    { custom_id: 0, response: body },
  ]);
  const read = readResultLine(Buffer.from(`${random() < 0.3 ? '\ufeff' : ''}${JSON.stringify(line)}`));
  return read === null ? null : classifyResult(read, RULES);
}

/** The same answer in every way in which it may come: each has to give the same. */
function compare(seed: number): Outcome {
  const random = generator(seed);
  const answer = oddAnswer(random);
  const wrapping = pick(random, Object.keys(WRAPPINGS));
  const stream = streamOf(answer, random);
  const ways: Record<string, Verdict | null> = {
    plain: ofBody(Buffer.from(JSON.stringify(bodyOf(answer)))),
    [wrapping]: ofBody((WRAPPINGS[wrapping] as (typeof WRAPPINGS)[string])(bodyOf(answer))),
    streamed: ofStream(stream, random),
    'a stream that nobody asked for': ofBody(Buffer.from(stream)),
    'a line of a batch': ofLine(answer, random),
  };
  const plain = judged(ways['plain'] as Verdict);
  if (plain.means !== answer.meaning)
    return { problem: `${plain.means} in place of ${answer.meaning}: ${JSON.stringify(answer)}` };
  for (const [way, verdict] of Object.entries(ways)) {
    if (verdict === null) return { problem: `${way} is not read: ${JSON.stringify(answer)}` };
    const other = judged(verdict);
    if (!isDeepStrictEqual(other, plain))
      return { problem: `${way}: ${JSON.stringify(other)} in place of ${JSON.stringify(plain)}` };
  }
  const breakage = pick(random, Object.keys(BREAKAGES));
  const broken = judged(ofBody((BREAKAGES[breakage] as (typeof BREAKAGES)[string])(answer, random)));
  return {
    problem: broken.means === 'again' ? null : `${broken.means} from ${breakage}: ${JSON.stringify(answer)}`,
  };
}

/** What a server does to one row: some odd or broken answers, and then a good one. */
interface Fate {
  bodies: { body: Buffer; isWhole: boolean; isUnreadable: boolean }[];
}

function fateOf(random: Random): Fate {
  const breakage = pick(random, Object.keys(BREAKAGES));
  const bodies = Array.from({ length: Math.floor(random() * (ATTEMPTS + 2)) }, () => {
    const answer = oddAnswer(random);
    if (random() < 0.5) {
      const wrapping = pick(random, Object.keys(WRAPPINGS));
      const write = WRAPPINGS[wrapping] as (typeof WRAPPINGS)[string];
      return { body: write(bodyOf(answer)), isWhole: answer.meaning !== 'again', isUnreadable: false };
    }
    const broken = BREAKAGES[breakage] as (typeof BREAKAGES)[string];
    return { body: broken(answer, random), isWhole: false, isUnreadable: UNREADABLE.has(breakage) };
  });
  return { bodies };
}

/** A run of rows with a script for each, through the processor on a fake clock. */
async function process(seed: number): Promise<Outcome> {
  const random = generator(seed);
  const rows = 20;
  const fates = Array.from({ length: rows }, () => fateOf(random));
  const last = new Map<number, { isWhole: boolean; sent: number; same: number; before: string }>();
  const played = await play(rows, ({ row }, times): Reply => {
    const next = fates[row]?.bodies[times];
    const text = next?.body.toString('latin1') ?? '';
    const before = last.get(row);
    const isSame = before !== undefined && next !== undefined && next.isUnreadable && before.before === text;
    last.set(row, {
      isWhole: next?.isWhole ?? true,
      sent: times + 1,
      same: isSame ? before.same + 1 : 1,
      before: text,
    });
    return next === undefined ? ok : { body: next.body };
  });
  const problems = [...last].flatMap(([row, { isWhole, sent, same }]) => [
    ...(played.rows[row] === 'answered' && !isWhole ? [`row ${row} has an answer that is not whole`] : []),
    ...(played.rows[row] === 'failed' && isWhole ? [`row ${row} failed with a whole answer`] : []),
    ...(sent > ATTEMPTS ? [`row ${row} was sent ${sent} times`] : []),
    ...(same > SAME_FAILURES ? [`row ${row} was paid for ${same} times in the same way`] : []),
  ]);
  const unended = rows - played.ended;
  if (played.stop === null && unended > 0) problems.push(`${unended} rows came to no end`);
  return { problem: problems.length === 0 ? null : problems.join('; ') };
}

/** The built program, streamed and not, against the same fates: the same rows come of it. */
async function through(seed: number): Promise<Outcome> {
  const rows = 12;
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(rows));
  const results = [];
  for (const annotator of ['gpt-4o-mini', 'llama3-405b']) {
    const times = new Map<string, number>();
    const api = await scriptedApi((request) => answerOf(request, seed, times));
    const folder = temporaryFolder();
    const args = [
      '--annotator',
      annotator,
      '--dataset',
      data,
      '--base_url',
      `${api.url}/v1`,
      ...foldersIn(folder),
    ];
    args.push('--max_attempts', String(ATTEMPTS), '--max_concurrency', '4', '--include_metadata');
    const run = await runCli(args, { env: { ...pointingAt(api), SAMBANOVA_API_KEY: 'sn-1234567890' } });
    if (![0, 3].includes(run.code ?? -1)) throw new Error(run.stderr);
    const most = Math.max(...times.values());
    if (most > ATTEMPTS) return { problem: `a row was sent ${most} times (${annotator})` };
    results.push(
      resultsIn(folder)
        .rows()
        .map(({ annotation }) => annotation),
    );
  }
  const [plain, streamed] = results;
  const isSame = isDeepStrictEqual(plain, streamed);
  return { problem: isSame ? null : `${JSON.stringify(streamed)} in place of ${JSON.stringify(plain)}` };
}

/** The first row is well, so that no run is stopped for being hopeless; others meet trouble in three of four cases. */
function answerOf({ prompt, body }: ApiRequest, seed: number, times: Map<string, number>): ApiAnswer {
  const number = times.get(prompt) ?? 0;
  times.set(prompt, number + 1);
  const isStreamed = body['stream'] === true;
  const random = generator(seed + 7 * prompt.length + 101 * number + hash(prompt));
  const isWell = times.size === 1 || random() < 0.25;
  const answer: OddAnswer = isWell
    ? {
        choices: completion(`to ${prompt}`)['choices'] as Record<string, unknown>[],
        usage: {},
        meaning: 'ok',
      }
    : oddAnswer(random);
  if (isStreamed) return { headers: { 'content-type': 'text/event-stream' }, body: streamOf(answer, random) };
  return { body: bodyOf(answer) };
}

function hash(text: string): number {
  return Array.from(text).reduce(
    (sum, character) => (sum * 31 + (character.codePointAt(0) ?? 0)) % 100_003,
    7,
  );
}

it('gives the same record of an odd answer however it comes, and takes only whole ones', async () => {
  const tally = new Tally(
    'odd answers: composed at random, streamed, not, wrapped, and as a line of a batch',
  );
  const seeds = Array.from({ length: cases(300, 40_000) }, (_, number) => number + 1);
  await tally.play(
    seeds,
    (seed) => `seed ${seed}`,
    (seed) => Promise.resolve(compare(seed)),
    1,
  );
  tally.expectAll();
});

it('pays for no row more often than it has attempts, and takes only whole answers', async () => {
  const tally = new Tally('odd answers: runs of rows, each with a series of odd and broken bodies');
  const seeds = Array.from({ length: cases(10, 2000) }, (_, number) => number + 1);
  await tally.play(seeds, (seed) => `seed ${seed}`, process);
  tally.expectAll();
});

it('writes the same results of a streamed run', async () => {
  const tally = new Tally('odd answers: the same rows through the program, streamed and not');
  const seeds = Array.from({ length: cases(1, 100) }, (_, number) => number + 1);
  await tally.play(seeds, (seed) => `seed ${seed}`, through);
  tally.expectAll();
});
