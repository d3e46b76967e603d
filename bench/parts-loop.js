// The online path put together as the program does it, with parts of it left out; prints CPU and time of the asking.
import { createWriteStream } from 'node:fs';
import { readAddress } from '#modules/http/address.js';
import { ChatClient } from '#modules/http/chat-client.js';
import { STANDARD_RULES } from '#modules/models/finish-reason.js';
import { usageOfAnswer } from '#modules/models/usage-estimate.js';
import { LogFile } from '#modules/terminal/log.js';
import { Concurrency, measureBusy } from '#modules/requests/concurrency.js';
import { ParameterFit } from '#modules/requests/parameters.js';
import { Processor } from '#modules/requests/processor.js';
import { RateLimiter } from '#modules/requests/rate-limiter.js';
import { OneServer } from '#modules/requests/servers.js';
import { systemClock } from '#modules/lib/clock.js';
import { TokenEstimate } from '#modules/requests/tokens.js';
import { Transport } from '#modules/requests/transport.js';
import { readJobs } from '#modules/run/jobs.js';
import { JournalIndex, JournalWriter } from '#modules/run/journal.js';
import { Totals } from '#modules/run/totals.js';
import { Redactor } from '#modules/secrets/redactor.js';

const [url, folder, count, inFlight, ...without] = process.argv.slice(2);
const has = (part) => !without.includes(part);
const ignore = () => undefined;

const client = await ChatClient.open({
  address: readAddress(`${url}/v1`),
  apiKey: 'benchmark',
  timeout: 600_000,
  connections: Number(inFlight),
  streamed: false,
  userAgent: 'reannotate/benchmark',
});
const redactor = new Redactor([{ value: 'sk-benchmark-0123456789', source: 'the benchmark' }]);
const log = has('log') ? new LogFile(`${folder}/output.log`, 'info', redactor) : null;
const journal = has('journal') ? new JournalWriter(`${folder}/output.jsonl`, ignore) : null;
const index = new JournalIndex(Number(count));
const totals = new Totals(`${folder}/counters.json`, null, new Date());
const processor = new Processor({
  servers: new OneServer({
    transport: new Transport(client, false),
    limiter: new RateLimiter({ requestsPerMinute: null, tokensPerMinute: null, completionTokens: 2048 }),
    concurrency: new Concurrency(Number(inFlight), true, {
      now: () => systemClock.now(),
      isBusy: measureBusy(),
    }),
  }),
  parameters: new ParameterFit(),
  redactor,
  rules: STANDARD_RULES,
  partialBefore: null,
  maxAttempts: 5,
  budget: null,
  clock: systemClock,
  events: {
    answered: (job, sent, json, completion) => {
      if (journal !== null) {
        const place = journal.appendAnswer(sent, json, { row: job.requestIdx });
        index.record(job.requestIdx, completion.state, place.offset, place.length);
      }
      totals.addAnswer({ usage: usageOfAnswer(completion.usage, sent, json), tier: completion.tier });
      log?.write('debug', `Row ${job.requestIdx}: ${completion.state}`);
    },
    failed: (_job, _sent, errors) => {
      throw new Error(errors.at(-1));
    },
    exchanged: ignore,
    wasted: ignore,
    partial: ignore,
    parameterChanged: ignore,
    shortened: ignore,
    streamed: ignore,
    movedToResponses: ignore,
  },
  reporter: { debug: ignore, info: ignore, warning: ignore, error: ignore },
});

function* jobs() {
  const estimate = new TokenEstimate();
  for (const { requestIdx, body } of readJobs(`${folder}/jobs.json`)) {
    yield { requestIdx, body, tokens: estimate.of(body) };
  }
}

// A line as the terminal gets it, every 80 ms.
const screen = createWriteStream('/dev/null');
const progress = has('progress')
  ? setInterval(() => {
      const { answered } = processor.counts;
      screen.write(
        `${answered} of ${count}, ${processor.inFlight} in flight, ${JSON.stringify(totals.tokens)}\r`,
      );
    }, 80)
  : undefined;
const before = process.cpuUsage();
const started = performance.now();
const stop = await processor.run(jobs());
const wall = (performance.now() - started) / 1000;
const used = process.cpuUsage(before);
clearInterval(progress);
if (stop !== null || processor.counts.answered !== Number(count)) throw new Error(JSON.stringify(stop));
journal?.close();
log?.close();
await client.close();
process.stdout.write(JSON.stringify({ cpu: (used.user + used.system) / 1e6, wall }));
