import { it, vi } from 'vitest';
import { classifyResponse } from '../../src/requests/verdict.js';
import { ok, play, type Body, type Played, type Reply } from '../support/processor-run.js';
import { SENT, WORDINGS } from '../support/parameter-wordings.js';
import { BODIES, type Expected } from '../support/refusal-bodies.js';
import { generator, pick } from '../support/server-model.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 100;
const IN_FLIGHT = 4;
const TROUBLED_SHARE = 0.25;
/** Passing trouble comes at most so often to one row, which has three attempts. */
const TIMES_AT_MOST = 2;
const AN_HOUR_MS = 3_600_000;

type Refusal = (typeof BODIES)[number];
const meaning = (...meanings: Expected[]): Refusal[] =>
  BODIES.filter(([, , , expected]) => meanings.includes(expected));
const OF_THE_ROW = meaning('filtered', 'too long', 'row');
/** A limit that lifts tomorrow ends the run, so it is none of these. */
const PASSING = meaning('later', 'throttle').filter(([, status, body]) => {
  const verdict = classifyResponse({ status, headers: {}, body: Buffer.from(JSON.stringify(body)) });
  return status !== 200 && 'wait' in verdict && (verdict.wait ?? 0) < AN_HOUR_MS;
});
const OF_THE_RUN = meaning('quota', 'key', 'model', 'account');
/** Those that say which parameters to leave out, and nothing else. */
const PARAMETERS = WORDINGS.filter(([, , changed]) => changed.length > 0 && !changed.join().includes('→'));

/** What a gateway or a new version does to a message. The last four may take its meaning away. */
const REWORDINGS: readonly [name: string, reword: (text: string, random: () => number) => string][] = [
  ['as it is', (text) => text],
  ['with a request id', (text, random) => `${text} (request id: ${Math.floor(random() * 1e9)})`],
  ['in white space', (text) => ` ${text}\n`],
  ['cut', (text, random) => text.slice(0, Math.ceil(text.length * random()))],
  [
    'without a word',
    (text, random) =>
      text
        .split(' ')
        .toSpliced(Math.floor(random() * 20), 1)
        .join(' '),
  ],
  ['in capitals', (text) => text.toUpperCase()],
  ['in other words', () => 'We are unable to process this.'],
];
const MEANING_KEPT = 3;
/** Without words that say otherwise, these concern the whole run, or are to be waited for. */
const STATUS_DECIDES = new Set([401, 402, 403, 404, 412, 429]);

/** What `play` does not send by itself. */
const PARAMETERS_SENT = Object.fromEntries(
  Object.entries(SENT).filter(([name]) => !['model', 'messages', 'max_tokens'].includes(name)),
);

interface Trouble {
  refusal: Refusal;
  rewording: number;
  body: unknown;
  /** How many of the row's requests meet it. */
  times: number;
}

interface Plan {
  seed: number;
  /** Wordings of parameters that the server refuses. */
  parameters: (typeof WORDINGS)[number][];
  troubles: Map<number, Trouble>;
  /** What everybody meets from a row on; null for nothing. */
  end: { row: number; trouble: Trouble } | null;
}

function planOf(seed: number): Plan {
  const random = generator(seed);
  const trouble = (list: readonly Refusal[], times: number): Trouble => {
    const refusal = pick(random, list);
    const rewording = Math.floor(
      random() * (STATUS_DECIDES.has(refusal[1]) ? MEANING_KEPT : REWORDINGS.length),
    );
    return { refusal, rewording, times, body: reworded(refusal[2], rewording, random) };
  };
  const troubles = new Map<number, Trouble>();
  for (let row = 0; row < ROWS; row++) {
    if (random() > TROUBLED_SHARE) continue;
    const isPassing = random() < 0.5;
    const times = isPassing ? 1 + Math.floor(random() * TIMES_AT_MOST) : Infinity;
    troubles.set(row, trouble(isPassing ? PASSING : OF_THE_ROW, times));
  }
  return {
    seed,
    parameters: random() < 0.5 ? [pick(random, PARAMETERS), pick(random, PARAMETERS)] : [],
    troubles,
    end: random() < 0.4 ? { row: Math.floor(random() * 30), trouble: trouble(OF_THE_RUN, Infinity) } : null,
  };
}

/** The body with the texts of its messages reworded; codes and types are left, as gateways leave them. */
function reworded(body: unknown, rewording: number, random: () => number): unknown {
  const [, reword = String] = REWORDINGS[rewording] ?? [];
  if (typeof body === 'string' || body === null) return body;
  return JSON.parse(
    JSON.stringify(body, (key, value: unknown) =>
      ['message', 'error', 'detail'].includes(key) && typeof value === 'string'
        ? reword(value, random)
        : value,
    ),
  ) as unknown;
}

/** A server that keeps to a plan and a ledger of what it gave. */
class PlannedServer {
  /** Answers that were given, by row: each is paid for. */
  readonly given = new Map<number, number>();
  /** Requests that arrived after the server had stopped answering. */
  requestsAfterEnd = 0;
  /** How often a row came that no parameter was in the way of. */
  readonly #met = new Map<number, number>();
  #isOver = false;

  constructor(private readonly plan: Plan) {}

  answer(body: Body): Reply {
    const { end, parameters, troubles } = this.plan;
    if (this.#isOver) this.requestsAfterEnd += 1;
    const refusedParameter = parameters.find(([, , changed]) => changed.some((name) => name in body));
    if (refusedParameter !== undefined) return { status: 400, body: refusedParameter[1] };
    if (end !== null && (this.#isOver || body.row >= end.row)) {
      this.#isOver = true;
      return replyOf(end.trouble);
    }
    const trouble = troubles.get(body.row);
    const met = this.#met.get(body.row) ?? 0;
    this.#met.set(body.row, met + 1);
    if (trouble !== undefined && met < trouble.times) return replyOf(trouble);
    this.given.set(body.row, (this.given.get(body.row) ?? 0) + 1);
    return ok;
  }
}

function replyOf({ refusal: [, status], body }: Trouble): Reply {
  return { status, body };
}

/** What is wrong with what came of a plan; null where nothing is. */
function problemOf(plan: Plan, server: PlannedServer, played: Played): string | null {
  const { rows, stop, ended } = played;
  if (ended !== Object.keys(rows).length) return 'a row ended twice';
  const stopped = stop === null ? 'no stop' : `stop: ${JSON.stringify(stop)}`;
  if (plan.end === null) {
    if (stop !== null) return stopped;
    if (Object.keys(rows).length !== ROWS) return `${Object.keys(rows).length} rows ended`;
    return wrongRow(plan, rows);
  }
  if (stop?.reason !== 'error') return `${stopped} although nobody is answered any more`;
  const [, , , expected] = plan.end.trouble.refusal;
  if (plan.end.trouble.rewording >= MEANING_KEPT) return null;
  if (stop.cause !== expected) return `${stopped}, not for ${expected}`;
  return server.requestsAfterEnd > IN_FLIGHT ? `${server.requestsAfterEnd} more requests` : null;
}

/** A row that ended in another state than its trouble says; null where there is none. */
function wrongRow(plan: Plan, rows: Played['rows']): string | null {
  for (let row = 0; row < ROWS; row++) {
    const trouble = plan.troubles.get(row);
    const [name, , , expected] = trouble?.refusal ?? ['', 0, null, 'later'];
    const isKept = (trouble?.rewording ?? 0) < MEANING_KEPT;
    const should = expected === 'later' || expected === 'throttle' ? 'answered' : expected;
    const state = rows[row];
    const isRight =
      state === should || (state === 'failed' && should !== 'answered' && should !== 'filtered') || !isKept;
    if (!isRight) return `row ${row} is ${state ?? 'pending'} after ${name}`;
  }
  return null;
}

it('ends every row in one state for every refusal, in any wording', async () => {
  const tally = new Tally('refusals: members of the tables, many reworded, at random rows');
  const plans = Array.from({ length: cases(8, 5000) }, (_, number) => planOf(number + 1));
  await tally.play(
    plans,
    ({ seed, end, parameters }) =>
      `seed ${seed}; ${parameters.map(([name]) => name).join(', ')}; ${end?.trouble.refusal[0] ?? 'no end'}`,
    async (plan): Promise<Outcome> => {
      const server = new PlannedServer(plan);
      const played = await play(ROWS, (body) => server.answer(body), {
        parameters: PARAMETERS_SENT,
        concurrency: IN_FLIGHT,
      });
      const given = [...server.given.values()].reduce((sum, times) => sum + times, 0);
      const answered = Object.values(played.rows).filter((state) => state === 'answered').length;
      return {
        lost: Math.max(0, server.given.size - answered),
        paidTwice: given - server.given.size,
        problem: problemOf(plan, server, played),
      };
    },
    1,
  );
  tally.expectAll();
});
