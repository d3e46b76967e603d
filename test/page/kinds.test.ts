import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCli, temporaryFolder } from '../support/cli.js';
import { everyKindOfRow, timelineOf, writeRun, type WrittenRow } from '../support/run-files.js';
import { measured } from '../support/usage.js';
import { isThere, openPage } from './browser.js';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const WIDTHS = [390, 768, 1280];
const SCHEMES = ['light', 'dark'] as const;

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

/** What a theme can change. */
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

/** What axe-core finds wrong, as text. @param rules all where absent */
async function violations(page: Page, rules?: readonly string[]): Promise<string[]> {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe.source);
  const options = { resultTypes: ['violations'], ...(rules === undefined ? {} : { runOnly: rules }) };
  const found = await page.evaluate<Violation[]>(
    `axe.run(document, ${JSON.stringify(options)}).then(({ violations }) => violations)`,
  );
  return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''} ${nodes[0]?.failureSummary ?? ''}`);
}

/** Checks the page as it is at some widths and in some themes. */
async function expectAccessible(
  page: Page,
  widths: readonly number[] = WIDTHS,
  schemes: readonly (typeof SCHEMES)[number][] = SCHEMES,
): Promise<void> {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 900 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    expect(await smallTargets(page), String(width)).toEqual([]);
    for (const [place, colorScheme] of schemes.entries()) {
      await page.emulateMedia({ colorScheme });
      const rules = place === 0 ? undefined : COLOUR_RULES;
      expect(await violations(page, rules), `${width} ${colorScheme}`).toEqual([]);
    }
  }
}

/** Targets of the pointer that are too small, and are not within a sentence (WCAG 2.2, 2.5.8). */
async function smallTargets(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('button, select, input, summary, nav a, h3 a')]
      .filter((element) => element.checkVisibility())
      .filter((element) => {
        const { width, height } = element.getBoundingClientRect();
        return Math.min(width, height) < 23.5;
      })
      .map((element) => element.outerHTML.slice(0, 120)),
  );
}

/** Writes results row by row, one in a thousand without an answer. */
function writeManyRows(path: string, rows: number): void {
  const file = openSync(path, 'w');
  for (let row = 0; row < rows; row++) {
    const line = JSON.stringify({
      system_prompt: '',
      user_prompt: `Question ${row}`,
      annotation_original: `Old ${row} ${'word '.repeat(row % 50)}`,
      annotation: row % 1000 === 7 ? null : `New ${row} ${'other words '.repeat(row % 90)}`,
    });
    writeSync(file, `${row === 0 ? '[' : ','}\n${line}`);
  }
  writeSync(file, '\n]\n');
  closeSync(file);
}

async function pageOf(folders: readonly string[], flags: readonly string[] = []): Promise<string> {
  const made = await runCli(['report', ...folders, ...flags], { cwd: dirname(folders[0] ?? '') });
  expect(made.code, made.stderr).toBe(0);
  return made.stdout.trim();
}

describe.runIf(isThere)('a report with something of everything', () => {
  let root = '';
  let save = '';
  let path = '';
  afterAll(() => {
    rmSync(root, { recursive: true, force: true });
  });
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'reannotate-kinds-'));
    save = writeRun(root, 'gpt-4o-mini', {
      rows: everyKindOfRow(),
      timeline: timelineOf(60),
      params: { base_url: 'http://gpu7.corp:8000/v1', top_p: null, stop: [], temperature: 0.5 },
      summary: {
        judge: {
          ...{ annotator: 'gpt-4o', rows: 2, wins: 1, ties: 1, losses: 0, undecided: 0 },
          ...{ win_rate: 0.75, confidence_interval_95: [0.2, 0.98] },
        },
        models: { 'gpt-4o-mini-2024-07-18': 9 },
        servers: { 'http://gpu7.corp:8000/v1': { requests: 9, answers: 8 } },
        annotators: { 'gpt-4o': { rows: 2, tokens: { prompt: 5, completion: 6 }, cost_usd: 0.1 } },
      },
      judgements: [{ request_idx: 0, verdict: 'new', reason: 'The new answer is <i>clearer</i>.' }],
    });
    path = await pageOf([save]);
  });

  it('has no violation that axe-core finds on any row, with all that it has open', async () => {
    const page = await openPage(path);
    for (const row of everyKindOfRow().keys()) {
      await page.evaluate(
        (hash) => {
          location.hash = hash;
        },
        `#row=${row}&view=${row % 2 === 0 ? 'rendered' : 'differences'}`,
      );
      await page.waitForFunction(
        (title) => document.querySelector('article h3')?.textContent === title,
        `Row ${row}`,
      );
      for (const summary of await page.locator('article details > summary').all()) await summary.click();
    }
    await expectAccessible(page, [390]);
  });

  it('shows turns, tools, images, columns and reasons of a row, and scrolls to it', async () => {
    const page = await openPage(path, { hash: '#row=1' });
    const article = page.locator('article');
    const turns = await article.locator('.turns li').allInnerTexts();
    expect(turns.map((turn) => turn.split('\n')[0])).toEqual(['user', 'assistant']);
    expect(turns[1]).toContain('the days are short');
    expect(await article.evaluate((element) => element.getBoundingClientRect().top)).toBeLessThan(500);
    const at = async (row: number): Promise<string> => {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#row=${row}&view=differences`);
      await page.waitForFunction(
        (title) => document.querySelector('article h3')?.textContent === title,
        `Row ${row}`,
      );
      for (const summary of await article.locator('details > summary').all()) await summary.click();
      return article.innerText();
    };
    expect(await at(0)).toContain('The new answer is <i>clearer</i>.');
    expect(await at(2)).toMatch(/weather\(\{"city":"Rome"\}\)/);
    expect(await at(4)).toContain('https://example.com/cat.png');
    expect(await at(12)).toContain('maths');
    await at(6);
    const code = article.locator('.pair section').nth(1).locator('.code');
    expect(await code.innerText()).toContain('const a = (b) => b * 2;');
    expect(await code.evaluate((element) => getComputedStyle(element).direction)).toBe('ltr');
    expect(await code.evaluate((element) => getComputedStyle(element).fontFamily)).toMatch(/mono/i);
  });

  it('has no empty cell among its figures, and a last bar where there are rows', async () => {
    const page = await openPage(path);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      const ends = await page.locator('.figures').evaluate((list) => {
        const right = list.getBoundingClientRect().right;
        const lines = new Map<number, number>();
        for (const cell of list.children) {
          const { top, right: end } = cell.getBoundingClientRect();
          lines.set(Math.round(top), Math.max(lines.get(Math.round(top)) ?? 0, end));
        }
        return [...lines.values()].map((end) => right - end);
      });
      for (const gap of ends) expect(gap).toBeLessThan(2.5);
    }
    const text = await page.innerText('main');
    expect(text).toContain('Answers per minute');
    expect(text).toContain('Cost so far');
    expect(text).toContain('gpu7.corp:8000\t9\t8\t100.0 %');
    expect(text).toContain('gpt-4o\t2\t5 in, 6 out\t$0.10');
    expect(text).not.toMatch(/\bnull\b/);
  });

  it('finds rows by pattern, column, length and review', async () => {
    const page = await openPage(path);
    const count = (): Promise<number> => page.locator('.rows button').count();
    const search = page.getByRole('searchbox');
    await page.getByLabel('Regular expression').click();
    await search.fill('^(refused|filtered)$');
    await page.waitForFunction(() => document.querySelectorAll('.rows button').length === 2);
    await search.fill('(');
    await page.waitForFunction(() =>
      document.querySelector('[role=status]')?.textContent.includes('Invalid'),
    );
    // It would take years.
    await search.fill('^(([a-zA-Z ]+)*)*#$');
    expect(await page.evaluate(() => 1 + 1)).toBe(2);
    await page.waitForFunction(() =>
      document.querySelector('[role=status]')?.textContent.includes('too long'),
    );
    await search.fill('');
    await page.getByLabel('Regular expression').click();
    await page.locator('.more > summary').click();
    await page.getByLabel('Column', { exact: true }).selectOption('topic');
    await page.getByLabel('Value of the column').fill('math');
    expect(await count()).toBe(1);
    await page.getByLabel('Value of the column').fill('');
    await page.getByLabel('Characters of the new answer, at least').fill('40');
    expect(await count()).toBe(2);
    await page.getByLabel('Characters of the new answer, at least').fill('');
  });

  it('keeps what the reader thinks of rows, and saves it', async () => {
    const page = await openPage(path, { hash: '#row=0' });
    await page.keyboard.press('a');
    await page.evaluate(() => {
      location.hash = '#row=5';
    });
    await page.getByRole('button', { name: 'Edit' }).click();
    // Keyboard users continue from there.
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Edit');
    await page.getByLabel('Edited answer').fill('Better.');
    await page.getByLabel('Comment').fill('Not <b>quite</b>');
    await page.reload();
    await page.waitForSelector('.saved button');
    expect(await page.locator('.saved').innerText()).toContain('You reviewed 2 rows.');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Save as JSONL' }).click(),
    ]);
    const lines = readFileSync(await download.path(), 'utf8')
      .trim()
      .split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { run: 'gpt-4o-mini', request_idx: 0, mark: 'accept' },
      {
        run: 'gpt-4o-mini',
        request_idx: 5,
        mark: 'edit',
        comment: 'Not <b>quite</b>',
        annotation: 'Better.',
      },
    ]);
  });

  it('shows values on hover, and prints everything in light colours', async () => {
    const page = await openPage(path);
    const plot = page.locator('.plot').first();
    await plot.hover({ position: { x: 120, y: 80 } });
    expect(await plot.locator('.tooltip').innerText()).toMatch(/to .*\nold: \d/);
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
    expect(await page.evaluate(() => getComputedStyle(document.body).color)).toBe('rgb(29, 33, 39)');
    expect(await page.locator('.filters').first().isVisible()).toBe(false);
  });

  it('hides servers and ids where it is for others, and their paths always', async () => {
    expect(readFileSync(path, 'utf8').includes('["base_url","gpu7.corp:8000"]')).toBe(true);
    const others = readFileSync(
      await pageOf([save], ['--public', '--output', `${save}/public.html`]),
      'utf8',
    );
    expect([others.includes('gpu7'), others.includes('[server]')]).toEqual([false, true]);
  });
});

const PLAIN: WrittenRow = {
  user_prompt: 'Why?',
  annotation_original: 'An old answer.',
  annotation: 'A new one.',
};

/** More than the page holds: the soak has ten times as many. */
const MANY = process.env['SOAK'] === undefined ? 30_000 : 300_000;

/** The kinds of runs and rows, each as a run of its own. */
const KINDS: Record<string, { rows: WrittenRow[]; text: string }> = {
  'one row': { rows: [PLAIN], text: 'The only row is shown.' },
  'no answers': {
    rows: [1, 2].map(() => ({ ...PLAIN, annotation: null })),
    text: 'There are no new answers yet.',
  },
  'all failed': {
    rows: [1, 2, 3].map(() => ({ ...PLAIN, annotation: null, state: 'failed' as const, error: '500 oops' })),
    text: '3 failed',
  },
  chats: { rows: everyKindOfRow().slice(1, 2), text: 'the days are short' },
  tools: { rows: everyKindOfRow().slice(2, 3), text: 'weather' },
  reasoning: { rows: everyKindOfRow().slice(3, 4), text: 'First, second, third.' },
  images: { rows: everyKindOfRow().slice(4, 5), text: 'cat.png' },
  code: { rows: everyKindOfRow().slice(5, 6), text: 'return x + 2' },
  'right to left': { rows: everyKindOfRow().slice(6, 7), text: 'هذه دالة' },
};

describe.runIf(isThere)('reports of each kind', () => {
  it.each(Object.entries(KINDS))(
    'are accessible at any width in both themes, with targets that are large enough: %s',
    async (_, { rows, text }) => {
      const path = await pageOf([writeRun(temporaryFolder(), 'm', { rows })]);
      const page = await openPage(path, { hash: '#row=0&view=rendered' });
      for (const summary of await page.locator('article details > summary').all()) await summary.click();
      expect(await page.innerText('main')).toContain(text);
      await expectAccessible(page);
    },
  );

  it(`${MANY} rows: in bounded memory and room, and it says how rows were chosen`, async () => {
    const save = writeRun(temporaryFolder(), 'many', { rows: [] });
    writeManyRows(join(save, 'reannotated.json'), MANY);
    rmSync(join(save, 'failed_rows.jsonl'));
    rmSync(join(save, 'summary.json'));
    const { env, usage } = measured();
    const made = await runCli(['report', save, '--rows', '12345', '--sample', '100'], { env });
    expect(made.code, made.stderr).toBe(0);
    expect(usage().megabytes).toBeLessThan(200);
    expect(statSync(made.stdout.trim()).size).toBeLessThan(15e6);
    const page = await openPage(made.stdout.trim(), { hash: '#row=12345' });
    expect(await page.locator('article').innerText()).toContain('Question 12345');
    const text = await page.innerText('main');
    const [all, pending] = [MANY, MANY / 1000].map((amount) => amount.toLocaleString('en'));
    expect(text).toContain(
      `of ${all ?? ''} rows are shown: a random sample of 100, and the rows that changed`,
    );
    expect(text).toContain(`${pending ?? ''} pending`);
    expect(text).toContain('Throughput and latency over time were not recorded');
    await (process.env['SOAK'] === undefined
      ? expectAccessible(page, [390], ['dark'])
      : expectAccessible(page));
  });

  it('several runs side by side', async () => {
    const root = temporaryFolder();
    const rows = everyKindOfRow();
    const verdicts = (verdict: string) => [0, 1].map((row) => ({ request_idx: row, verdict, reason: 'So.' }));
    const saves = ['m-1', 'm-2', 'm-3'].map((name, place) =>
      writeRun(root, name, {
        rows: rows.map((row) => ({
          ...row,
          annotation: typeof row.annotation === 'string' ? `${row.annotation} ${name}` : null,
        })),
        params: { temperature: place },
        judgements: verdicts(place === 0 ? 'new' : 'old'),
      }),
    );
    const path = await pageOf(saves);
    expect(path).toBe(`${saves[0] ?? ''}/comparison.html`);
    const page = await openPage(path, { hash: '#row=1' });
    const text = await page.innerText('main');
    expect(text).toContain('m-1 against m-2\t2 (100 %)');
    expect(text).toContain('temperature\t0\t1\t2');
    expect(await page.locator('article .pair > section h4').allInnerTexts()).toEqual([
      expect.stringContaining('Old answer'),
      expect.stringContaining('m-1'),
      expect.stringContaining('m-2'),
      expect.stringContaining('m-3'),
    ]);
    await expectAccessible(page, [390, 1280], ['light']);
    const other = writeRun(root, 'other', { rows, params: { dataset: 'another/one' } });
    const refused = await runCli(['report', saves[0] ?? '', other]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/a\/b .*another\/one/)]);
  });
});
