import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
  wordsOf,
} from '../support/cli.js';
import { submit, watch } from '../support/batch-cli.js';
import { alpacaRows, writeJson, writeJsonl } from '../support/data.js';
import { apiError, completion, scriptedApi } from '../support/scripted-api.js';
import { isThere, openPage as open } from './browser.js';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** Answers of which only three are given until `release` is called. */
function heldAnswers(): { answer: () => Promise<string>; release: () => void } {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let given = 0;
  const answer = async (): Promise<string> => {
    given += 1;
    if (given > 3) await released;
    return `The answer ${given}, with other words.`;
  };
  return { answer, release };
}

/** A finished run of rows whose answers are remarkable in every way. */
async function remarkableRun(folder: string): Promise<string> {
  const long =
    'A sentence of the kind that answers are made of, and the next one is of the same kind. '.repeat(8);
  const german =
    'Das ist nicht der Text, und er ist auch nicht für mich. Sie ist mit der Zeit auf das Land. '.repeat(4);
  const answers: Record<string, unknown> = {
    'same as before': 'Old answer, word for word.',
    refused: completion(null, { refusal: 'I can’t help with that.' }),
    'refused in words': 'I’m sorry, but I can’t help with that request.',
    truncated: completion('It goes on and', { finish: 'length' }),
    withheld: completion('', { finish: 'content_filter' }),
    'lost code': 'No code at all here.',
    'other script': 'Это ответ на русском языке, и в нём достаточно букв.',
    'other language': german,
    markdown:
      '# Title\n\n- **bold** and `code`\n\n```js\nlet a = 1;\n```\n\n[a link](https://example.com) ![x](http://127.0.0.1:9/x.png)',
    longer: long,
  };
  const old: Record<string, string> = {
    'same as before': 'Old answer, word for word.',
    'lost code': 'Look:\n```py\nprint(1)\n```\n',
    'other script': 'This is an answer in English with letters enough.',
    'other language':
      'This is the text, and it is not for you. It is with that of the others, and are you to know.',
  };
  const names = [
    ...Object.keys(answers),
    ...Array.from({ length: 30 }, (_, row) => `ordinary ${row}`),
    'fails',
  ];
  const data = writeJsonl(
    folder,
    'data.jsonl',
    names.map((name) => ({
      prompt: `Please: ${name}`,
      response: old[name] ?? `The old answer to ${name}, of some length.`,
    })),
  );
  const api = await scriptedApi(({ prompt }) => {
    const name = prompt.slice('Please: '.length);
    if (name === 'fails') return apiError(400, 'this prompt is refused <b>here</b>');
    const answer = answers[name] ?? `The new answer to ${name}, of another length and with other words.`;
    return typeof answer === 'string' ? answer : { body: answer };
  });
  const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)];
  const run = await runCli(args, { env: pointingAt(api) });
  expect(run.code, run.stderr).toBe(3);
  const line = run.stderr.split('\n').find((one) => one.startsWith('Report:')) ?? '';
  const [npx, program, ...words] = wordsOf(line.slice('Report:'.length).trim());
  expect([npx, program]).toEqual(['npx', 'reannotate']);
  const made = await runCli(words);
  expect(made.code, made.stderr).toBe(0);
  expect(made.stdout).toBe(`${resultsIn(folder).saved('report.html')}\n`);
  return resultsIn(folder).saved('report.html');
}

describe.runIf(isThere)('the report', () => {
  let path = '';
  let folder = '';
  beforeAll(async () => {
    // Made once: every test of this block only reads it.
    const { mkdtempSync } = await import('node:fs');
    const { tmpdir } = await import('node:os');
    folder = mkdtempSync(join(tmpdir(), 'reannotate-report-'));
  });

  async function made(): Promise<string> {
    if (path === '') path = await remarkableRun(folder);
    return path;
  }
  afterAll(async () => {
    const { rmSync } = await import('node:fs');
    rmSync(folder, { recursive: true, force: true });
  });

  it('is one file of its owner, with a policy that blocks everything external', async () => {
    const html = readFileSync(await made(), 'utf8');
    expect(statSync(await made()).mode & 0o777).toBe(0o600);
    expect(html).toContain("default-src 'none'; script-src 'sha256-");
    expect(html).not.toMatch(
      /unsafe-inline|unsafe-eval|https?:\/\/(?!127|www\.w3\.org|example\.com)[^"'\s]*\.(?:js|css)/,
    );
    expect(html).not.toContain(folder);
  });

  it('reports the ledger, the figures and what changed', async () => {
    const page = await open(await made());
    const text = await page.innerText('main');
    for (const told of [
      'data.jsonl',
      'gpt-4o-mini',
      '37 ok',
      '1 truncated',
      '1 refused',
      '1 filtered',
      '1 failed',
    ])
      expect(text).toContain(told);
    const flags = await page.locator('.flags tbody tr').allInnerTexts();
    const rowsOf = Object.fromEntries(
      flags.map((row) => [row.split('\n')[0] ?? '', row.split('\t')[1] ?? '']),
    );
    expect(rowsOf).toEqual({
      // One by its state and one by its words.
      Refusal: '2',
      Truncated: '1',
      'Nearly identical': '1',
      'Lost code block': '1',
      'Other script': '1',
      'Other language': '1',
    });
    expect(text).toContain('Checked and not found: empty.');
    expect(await page.title()).toBe('data.jsonl → gpt-4o-mini · reannotate report');
  });

  it('draws every chart with data, each with a table', async () => {
    const page = await open(await made());
    const painted = await page.locator('.plot canvas').evaluateAll((canvases) =>
      canvases.map((canvas) => {
        const { width, height } = canvas as HTMLCanvasElement;
        const pixels = (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data;
        return new Set(pixels === undefined ? [] : new Uint32Array(pixels.buffer)).size;
      }),
    );
    // Those over time are there where the run took more than a second.
    expect(painted.length).toBeGreaterThanOrEqual(2);
    for (const colors of painted) expect(colors).toBeGreaterThan(10);
    expect(await page.locator('.plot[role=img][aria-label]').count()).toBe(painted.length);
    for (const table of await page.locator('.chart details.table').all()) {
      await table.locator('summary').click();
      expect(await table.locator('tbody td').count()).toBeGreaterThan(0);
      expect(await table.locator('tbody').innerText()).toMatch(/[1-9]/);
    }
    expect(await page.locator('.bars li').allInnerTexts()).toContain('stop\n37');
  });

  it('searches, filters, sorts and has an address for every row', async () => {
    const page = await open(await made());
    await page.getByRole('searchbox').fill('ORDINARY 17');
    expect(await page.locator('.rows button').count()).toBe(1);
    expect(await page.locator('article').innerText()).toContain('Please: ordinary 17');
    expect(page.url()).toMatch(/row=27&q=ORDINARY\+17$/);
    await page.getByRole('searchbox').fill('');
    await page.getByLabel('State', { exact: true }).selectOption('failed');
    expect(await page.locator('article').innerText()).toContain('this prompt is refused <b>here</b>');
    await page.getByLabel('State', { exact: true }).selectOption('');
    await page.getByLabel('Order').selectOption('same');
    expect(await page.locator('.rows button').first().innerText()).toContain('same as before');
    await page.getByLabel('Flag').selectOption('lost code');
    expect(await page.locator('.rows button').count()).toBe(1);
    const sent = await open(await made(), { hash: '#row=8&view=text' });
    expect(await sent.locator('article h3').innerText()).toBe('Row 8');
    const unknown = await open(await made(), { hash: '#row=4000' });
    expect(await unknown.locator('article').innerText()).toMatch(
      /^There is no row 4,000: rows are counted from 0, and this run has \d+\. Clear filters$/,
    );
  });

  it('goes back and forward through the rows and filters that were clicked', async () => {
    const page = await open(await made());
    const title = (): Promise<string> => page.locator('article h3').innerText();
    const first = await title();
    await page.locator('.rows button').nth(3).click();
    const third = await title();
    await page.locator('.rows button').nth(5).click();
    await page.getByRole('button', { name: / failed$/ }).click();
    expect(await page.locator('.rows button').count()).toBe(1);
    expect(await title()).not.toBe(third);
    const back = async (): Promise<string> => {
      const before = await title();
      await page.goBack();
      await page.waitForFunction(
        (shown) => document.querySelector('article h3')?.textContent !== shown,
        before,
      );
      return title();
    };
    await back();
    expect(await back()).toBe(third);
    expect(await back()).toBe(first);
  });

  it('shows what differs word by word, Markdown as such without images, and the bare text', async () => {
    const page = await open(await made(), { hash: '#row=20' });
    expect(await page.locator('article del').first().innerText()).toBe('old');
    expect(await page.locator('article ins').first().innerText()).toBe('new');
    const formatted = await open(await made(), { hash: '#row=8&view=rendered' });
    const answer = formatted.locator('.pair section').nth(1);
    expect(await answer.locator('strong').innerText()).toBe('bold');
    expect(await answer.locator('pre code').innerText()).toContain('let a = 1;');
    expect(await answer.locator('a').getAttribute('rel')).toContain('noopener');
    expect(await answer.locator('img').count()).toBe(0);
  });

  it('can be used with the keyboard alone', async () => {
    const page = await open(await made());
    const row = (): Promise<string> => page.locator('article h3').innerText();
    const first = await row();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    expect(await row()).not.toBe(first);
    await page.keyboard.press('k');
    await page.keyboard.press('k');
    expect(await row()).toBe(first);
    await page.keyboard.press('v');
    expect(await page.locator('.views [aria-pressed=true]').innerText()).toBe('Markdown');
    await page.keyboard.press('/');
    await page.keyboard.type('jk');
    expect(await page.getByRole('searchbox').inputValue()).toBe('jk');
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    expect(await page.locator('dialog').isVisible()).toBe(true);
    await page.keyboard.press('Escape');
    expect(await page.locator('dialog').isVisible()).toBe(false);
    const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.keyboard.press('t');
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).not.toBe(before);
  });
});

describe.runIf(isThere)('a report of hostile rows', () => {
  it('executes nothing from them, and shows invisible characters', async () => {
    const folder = temporaryFolder();
    const attacks = [
      '</script><script>alert(1)</script>',
      '<img src=x onerror=alert(2)><svg onload=alert(3)>',
      '[click](javascript:alert(4)) <a href="javascript:alert(5)">x</a> <iframe src="http://127.0.0.1:9/"></iframe>',
      '<!--<script>',
      '\u202egnp.exe\u202c and \u2066isolated\u2069 \u0000\u0007\u200b',
      '<style>body{display:none}</style><base href="http://127.0.0.1:9/">',
      '[a]('.repeat(2000),
      `1 MB: ${'y'.repeat(1_000_000)}`,
      '__proto__',
      '>'.repeat(12_000),
      '*a_'.repeat(4000),
    ];
    const data = writeJsonl(
      folder,
      'data.jsonl',
      attacks.map((text) => ({ prompt: text, response: text })),
    );
    const api = await scriptedApi(({ prompt }) => `${prompt} and more`);
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)];
    expect((await runCli(args, { env: pointingAt(api) })).code).toBe(0);
    const made = await runCli([
      'report',
      '--annotator',
      'gpt-4o-mini',
      '--dataset',
      data,
      ...foldersIn(folder),
    ]);
    expect(made.code, made.stderr).toBe(0);
    const path = made.stdout.trim();
    expect(statSync(path).size).toBeLessThan(2e6);
    const page = await open(path);
    for (const view of ['differences', 'rendered', 'text']) {
      for (const row of attacks.keys()) {
        await page.evaluate((hash) => {
          location.hash = hash;
        }, `#row=${row}&view=${view}`);
        await page.waitForFunction(
          (title) => document.querySelector('article h3')?.textContent === title,
          `Row ${row}`,
        );
        const text = await page.locator('article').innerText();
        expect(await page.locator('.reader :is(img, svg, iframe, style, base, script)').count()).toBe(0);
        expect(await page.locator('a[href^="javascript:"]').count()).toBe(0);
        expect(text).not.toMatch(/[\u200b\u202a-\u202e\u2066-\u2069]/);
        if (row === 4) expect(text).toContain('U+202E');
        if (row >= 9 && view === 'rendered') expect(text).toContain('not shown as Markdown');
        if (row === 5) expect(text).toContain('<style>');
      }
    }
  });
});

describe.runIf(isThere)('reports of other runs', () => {
  it('reports batches, and a judge', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(20));
    const api = await simulator();
    await submit(api, data, folder, ['--max_batch_size', '10']);
    const watched = await watch(api, data, folder);
    expect(watched.code, watched.stderr).toBe(0);
    expect(watched.stderr).toContain('npx reannotate report');
    const run = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)];
    const judged = await runCli(['judge', ...run, '--sample', '10'], { env: pointingAt(api) });
    expect(judged.code, judged.stderr).toBe(0);
    const made = await runCli(['report', ...run]);
    expect(made.code, made.stderr).toBe(0);
    const page = await open(made.stdout.trim());
    const text = await page.innerText('main');
    expect(text).toContain('Batch durations, in minutes');
    expect(text).toMatch(/compared 10 pairs of answers, blind and in both orders/);
    expect(text).toMatch(/\d new wins?/);
  });

  it('is served while the run is in progress, and ends with Ctrl-C', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(12));
    const { answer, release } = heldAnswers();
    const api = await scriptedApi(answer);
    const run = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)];
    const { finished } = startCli([...run, '--max_concurrency', '4'], { env: pointingAt(api) });
    await vi.waitFor(() => {
      expect(readFileSync(resultsIn(folder).temp('output.jsonl'), 'utf8').split('\n').length).toBeGreaterThan(
        3,
      );
    }, 20_000);
    const watching = startCli(['report', '--watch', ...run]);
    const url = await new Promise<string>((resolve) => {
      watching.child.stdout.on('data', (text) => {
        resolve(String(text).trim());
      });
    });
    const page = await open(url, { source: new URL(url).origin });
    expect(await page.locator('.live').innerText()).toMatch(/In progress: [34] of 12 rows/);
    const shown = await page.locator('article h3').innerText();
    release();
    expect((await finished).code).toBe(0);
    await page.waitForFunction(() => document.querySelector('.live')?.textContent.includes('Finished'));
    expect(await page.locator('.live').innerText()).toMatch(/12 of 12 rows/);
    expect(await page.locator('.rows button').count()).toBe(12);
    expect(await page.locator('article h3').innerText()).toBe(shown);
    watching.child.kill('SIGINT');
    expect((await watching.finished).code).toBe(0);
  });

  it.each([
    [['report'], 2, /Which run\?/],
    [['report', '/nonexistent'], 1, /is not a folder/],
    [['report', '.'], 1, /There is no .*reannotated\.json/],
    [['report', '--dataset', 'never/run'], 1, /the run has no results yet/],
    [['report', '.', '--rows', 'x'], 2, /--rows takes/],
    [['report', '.', '--smaple', '3'], 2, /--sample/],
  ] as const)('%j ends with %i and a sentence', async (args, code, sentence) => {
    const run = await runCli([...args]);
    expect(run.code, run.stderr).toBe(code);
    expect(run.stderr).toMatch(sentence);
  });
});
