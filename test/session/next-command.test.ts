import { describe, expect, it } from 'vitest';
import {
  commandLine,
  correctedUrl,
  costToSuggest,
  nextStep,
  resumeCommandLine,
  retryCommandLine,
  roundedUp,
} from '../../src/session/next-command.js';
import { settingsFor } from '../support/settings.js';
import type { ErrorStop } from '../../src/session/stops.js';

describe('the command to run next', () => {
  it.each([
    ['--dataset a --overwrite', '--dataset a --resume'],
    ['--dataset a --resume', '--dataset a --resume'],
    ['--dataset a --resume_no_retry', '--dataset a --resume_no_retry'],
    ['--dataset a --resume-no-retry', '--dataset a --resume_no_retry'],
    ['--dataset a --resume --retry refused', '--dataset a --retry refused --resume'],
  ])('%s resumes with %s', (typed, resumed) => {
    expect(resumeCommandLine(typed.split(' '))).toBe(`npx reannotate ${resumed}`);
  });

  it.each([
    ['--dataset a', ['failed'], '--dataset a --resume'],
    ['--dataset a --resume_no_retry', ['failed'], '--dataset a --resume'],
    ['--dataset a --resume --retry filtered', ['failed'], '--dataset a --resume'],
    ['--dataset a', ['refused', 'filtered'], '--dataset a --resume --retry refused,filtered'],
  ])('%s retries %j with %s', (typed, states, command) => {
    expect(retryCommandLine(typed.split(' '), states)).toBe(`npx reannotate ${command}`);
  });

  it('replaces flags in every spelling, and quotes what a shell would take apart', () => {
    const words = [
      '--max-cost',
      '1',
      '--max_cost=2',
      '--system_prompt',
      'two words',
      '--max_cost',
      '3',
      '--n',
      '1',
    ];
    expect(commandLine(words, { max_cost: '4' })).toBe(
      "npx reannotate --system_prompt 'two words' --n 1 --max_cost 4",
    );
  });
});

describe('what to do after a stop', () => {
  const key = { OPENAI_API_KEY: 'sk-something', OPENROUTER_API_KEY: 'sk-something' };
  const step = (
    flags: Record<string, string>,
    stop: Pick<ErrorStop, 'cause' | 'message'>,
    hasAnswers = false,
  ): string => {
    const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const { call, output } = settingsFor(flags, key);
    const baseUrl = call.baseUrl ?? 'http://env:1';
    return nextStep(
      { reason: 'error', ...stop },
      {
        call,
        words,
        isNamed: output.runName !== null,
        hasAnswers,
        nearest: ['gpt-4o-mini'],
        baseUrl,
      },
    );
  };
  const flags = { dataset: 'a.jsonl', annotator: 'gpt-4o-minni' };

  it.each([
    [
      'a mistyped model',
      flags,
      { cause: 'model', message: '404 model_not_found: no' },
      false,
      /--annotator gpt-4o-mini$/,
    ],
    [
      'a mistyped model in a run of its own name, which exists by now',
      { ...flags, run_name: 'trial' },
      { cause: 'model', message: '404 model_not_found: no' },
      false,
      /--run_name trial --overwrite --annotator gpt-4o-mini$/,
    ],
    [
      'one of a provider',
      { dataset: 'a.jsonl', annotator: 'openrouter/gpt-4o-minni' },
      { cause: 'model', message: '404 model_not_found: no' },
      false,
      /--annotator openrouter\/gpt-4o-mini$/,
    ],
    [
      'a model that had answered',
      flags,
      { cause: 'model', message: '404: no' },
      true,
      /gpt-4o-minni --resume$/,
    ],
    [
      'an address without /v1',
      { ...flags, base_url: 'http://localhost:8000' },
      { cause: 'other', message: '404: Not Found' },
      false,
      /probably http:\/\/localhost:8000\/v1.*--resume --base_url http:\/\/localhost:8000\/v1$/,
    ],
    [
      'the same from the environment',
      flags,
      { cause: 'other', message: '404: Not Found' },
      false,
      /export OPENAI_BASE_URL=http:\/\/env:1\/v1 and resume with: .*--resume$/,
    ],
    [
      'refused parameters',
      flags,
      { cause: 'refused', message: '400: no' },
      false,
      /start over with: .*--overwrite$/,
    ],
    [
      'a parameter by name',
      flags,
      { cause: 'other', message: '400: x (see --top_p)' },
      false,
      /--overwrite$/,
    ],
    ['no credit', flags, { cause: 'quota', message: '402: no' }, false, /Then resume with: .*--resume$/],
    ['a wrong key', flags, { cause: 'key', message: '401: no' }, false, /Then resume with: .*--resume$/],
  ] as const)('%s', (_, given, stop, hasAnswers, expected) => {
    expect(step(given, stop, hasAnswers)).toMatch(expected);
  });

  it.each([
    ['http://h:8000', '404: Not Found', 'http://h:8000/v1'],
    ['http://h:8000/', '405: Method Not Allowed', 'http://h:8000/v1'],
    ['http://h/proxy', '404: Not Found', 'http://h/proxy/v1'],
    ['http://h/v1/chat/completions', '404: Not Found', 'http://h/v1'],
    ['http://h/v1/models', '404: Not Found', 'http://h/v1'],
    ['http://h', 'the answer is not complete JSON', 'http://h/v1'],
    ['https://h:8000/v1', 'no trusted connection (ERR_SSL_WRONG_VERSION_NUMBER: x)', 'http://h:8000/v1'],
    ['http://h/v1', '308: the server redirects to https://h/v1/chat/completions; redirects', 'https://h/v1'],
    ['http://h/v1', '404: Not Found', null],
    ['http://h/api/v3', '404: Not Found', null],
    ['http://h/v1beta/openai', '404: Not Found', null],
    ['http://h/x?api-version=1', '404: Not Found', null],
    ['http://h', '500: broken', null],
    ['http://h', 'no answer (ECONNREFUSED: x)', null],
  ])('%s answers %s: %s', (url, message, corrected) => {
    expect(correctedUrl(url, message)).toBe(corrected);
  });

  it.each([
    [1, { spent: 0.9, done: 90, left: 10, needed: 1.05 }],
    [0.001, { spent: 0, done: 0, left: 100, needed: 0.0013 }],
    [0.01, { spent: 0.0099, done: 3, left: 1000, needed: 0.0115 }],
    [5, { spent: 4.99, done: 1000, left: 1, needed: null }],
  ])('a --max_cost of %s is followed by one that lets the next request through: %j', (maximum, figures) => {
    const cost = costToSuggest(maximum, figures);
    expect(cost).toBeGreaterThan(maximum);
    expect(cost).toBeGreaterThanOrEqual(figures.needed ?? 0);
    expect(String(cost).replace(/^0\.0*|\./g, '').length).toBeLessThanOrEqual(3);
  });
});

it.each([
  [0.87, 0.87],
  [0.4301, 0.44],
  [12.31, 13],
  [1999, 2000],
])('%d rounded up has two digits that are not 0: %d', (amount, expected) => {
  expect(roundedUp(amount)).toBe(expected);
});
