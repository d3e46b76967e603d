// Makes the pictures of the README: `node scripts/screenshots.js`, after `npm run build`. Needs Chromium (or CHROMIUM).
// `--before FOLDER` makes those of an earlier version, from a checkout of it that is built: see docs/before-and-after.md.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const own = fileURLToPath(new URL('../', import.meta.url));
const [flag, earlier] = process.argv.slice(2);
const isBefore = flag === '--before' && earlier !== undefined;
const program = join(isBefore ? resolve(earlier) : own, 'dist/cli.js');
const pictures = join(own, isBefore ? 'docs/images/before' : 'docs/images');
/** Pixels for each of the page's: pictures of an earlier version are only there to compare. */
const scale = isBefore ? 1 : 2;
const folder = mkdtempSync(join(tmpdir(), 'reannotate-pictures-'));

/** Runs the program in an empty folder and returns what a terminal would show. */
function run(...words) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [program, ...words], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return { shown: `${stderr}${stdout}`, stdout };
}

/**
 * What a terminal of 104 columns shows in the middle of a run: the lines before it, and the live line. `script` gives the
 * program a terminal.
 */
async function liveLine() {
  const rows = Array.from({ length: 2000 }, (_, row) => ({
    instruction: `Question ${row}`,
    output: 'An answer.',
  }));
  writeFileSync(join(folder, 'questions.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  // An earlier version has no simulator with these faults.
  const simulator = spawn(process.execPath, [
    ...[
      join(own, 'dist/cli.js'),
      'simulate',
      '--port',
      '0',
      '--requests_per_minute',
      '6000',
      '--latency_ms',
      '700',
    ],
    ...['--latency_jitter_ms', '300', '--refuses', 'gpt-4o-mini=0.01'],
  ]);
  const [started] = await once(simulator.stderr, 'data');
  const [url] = /http:\/\/[\d.:]+/.exec(String(started)) ?? [];
  const command = 'npx reannotate --annotator gpt-4o-mini --dataset questions.jsonl';
  const words = command.replace('npx reannotate', `${process.execPath} ${program}`);
  const run = spawn('script', ['-qefc', `stty cols 104; ${words}`, '/dev/null'], {
    cwd: folder,
    env: { ...process.env, OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: 'simulator', NO_COLOR: '1' },
  });
  let written = '';
  run.stdout.on('data', (bytes) => {
    written += String(bytes);
  });
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  run.kill();
  simulator.kill();
  // eslint-disable-next-line no-control-regex -- what moves the cursor
  const plain = written.replaceAll(/\u001B\[[\d;]*m/g, '');
  const lines = plain.split(/\r|\n|\u001B\[[\d;?]*[A-Za-z]/).filter((line) => line.trim() !== '');
  const isLive = (line) => /^\S \d[\d,]*\/[\d,]+ \(/.test(line);
  const messages = lines.slice(0, lines.findIndex(isLive)).filter((line) => !/^\S [A-Z]/.test(line));
  return { command, shown: [...messages, lines.findLast(isLive)].join('\n') };
}

/** A terminal, as far as a picture needs one. */
function terminal(command, output) {
  const escape = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; background: #fff; }
    div { display: inline-block; background: #16191d; color: #dfe3e8; border-radius: 10px; padding: 18px 22px; }
    pre { margin: 0; font: 14px/1.5 'DejaVu Sans Mono', monospace; white-space: pre-wrap; width: 104ch; }
    b { color: #79aef5; font-weight: 400; }
  </style><div><pre><b>$</b> ${escape(command)}\n${escape(output.trimEnd())}</pre></div>`;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
try {
  mkdirSync(pictures, { recursive: true });
  const { shown } = run('demo', '--judge');
  const [, save] = /npx reannotate report (\S+)/.exec(shown) ?? [];
  const report = run('report', save).stdout.trim();

  const page = await browser.newPage({ deviceScaleFactor: scale });
  if (!isBefore) {
    await page.setContent(terminal('npx reannotate demo --judge', shown));
    await page.locator('div').screenshot({ path: join(pictures, 'terminal.png') });
  }

  const live = await liveLine();
  await page.setContent(terminal(live.command, live.shown));
  await page.locator('div').screenshot({ path: join(pictures, 'live.png') });

  await page.setViewportSize({ width: 1180, height: isBefore ? 1400 : 1500 });
  await page.goto(`file://${resolve(folder, report)}`);
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(pictures, 'report.png') });

  // A row in the reader, with what changed and the judge's reason.
  await page.setViewportSize({ width: 1180, height: 900 });
  await page.evaluate("location.hash = '#row=5'");
  await page.waitForTimeout(200);
  // What the judge said, where there is such a part.
  const details = await page.locator('article details > summary').all();
  await details.at(-1)?.click();
  await page.locator('.panes').screenshot({ path: join(pictures, 'reader.png') });
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
