/** Chromium, and pages in it that fail where anything is requested or reported. */

import { existsSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';

/** Where Debian and others put it; `CHROMIUM` names another place. */
const BROWSERS = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const executablePath = BROWSERS.find((path) => path !== undefined && existsSync(path));
export const isThere = executablePath !== undefined;
// Continuous integration has one; on a newcomer's machine these tests, and no others, do without.
if (!isThere && process.env['CI'] !== undefined)
  throw new Error('The report is tested in Chromium: install it, or name one in CHROMIUM.');
if (!isThere)
  process.stderr.write(
    'No Chromium was found, so the page of the report is NOT TESTED; name one in CHROMIUM.\n',
  );
let browser: Browser;

beforeAll(async () => {
  if (!isThere) return;
  const quiet = [
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ];
  browser = await chromium.launch({
    executablePath: executablePath ?? '',
    args: ['--no-sandbox', '--no-first-run', ...quiet],
  });
});
afterAll(async () => {
  if (isThere) await browser.close();
});

interface Opened {
  hash: string;
  /** Where everything comes from; the disk where it is not given. */
  source: string;
  width: number;
  colorScheme: 'light' | 'dark';
}

/** Pages between two tests: a page that was there before opens a report at a third of the CPU that a new one takes. */
const idlePages: Page[] = [];

async function takePage(): Promise<Page> {
  return idlePages.pop() ?? (await browser.newPage());
}

/** Takes away what a test left in a page. */
async function giveBack(page: Page): Promise<void> {
  page.removeAllListeners();
  await page.evaluate(() => {
    localStorage.clear();
  });
  await page.goto('about:blank');
  await page.emulateMedia({ media: null, colorScheme: null });
  idlePages.push(page);
}

/** Opens a report; any request to the network, and anything on the console, is a failure. */
export async function openPage(
  path: string,
  { hash = '', width = 1280, colorScheme = 'light', source = 'file:' }: Partial<Opened> = {},
): Promise<Page> {
  const page = await takePage();
  const problems: string[] = [];
  onTestFinished(async () => {
    await giveBack(page);
    expect(problems).toEqual([]);
  });
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme });
  page.on('console', (message) => problems.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => problems.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(source) && !request.url().startsWith('blob:'))
      problems.push(`request: ${request.url()}`);
  });
  await page.goto(`${source === 'file:' ? 'file://' : ''}${path}${hash}`);
  await page.waitForSelector('.rows button, article p');
  // Charts are drawn in the next frame.
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  return page;
}
