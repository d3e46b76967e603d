/**
 * The page of a report as one file: no network, and nothing runs in it but the program's own script, by its hash
 * (https://www.w3.org/TR/CSP3/). What comes from a dataset or a model is data in it, never markup.
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withMarks } from '../lib/hidden-characters.js';
import type { ComparisonData, ReportData } from './data.js';

/** Written by scripts/build.js from `page/`. */
const SCRIPT = new URL('report-page/page.js', import.meta.url);
const STYLE = new URL('report-page/page.css', import.meta.url);

/**
 * The whole page.
 * @param live where new data come from, relative to the page; null for a page that stays as it is
 */
export function renderPage(data: ReportData | ComparisonData, live: string | null = null): string {
  const script = readFileSync(fileURLToPath(SCRIPT), 'utf8');
  const style = readFileSync(fileURLToPath(STYLE), 'utf8');
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    'img-src data:',
    // A search by regular expression runs where it can be ended.
    'worker-src blob:',
    ...(live === null ? [] : ["connect-src 'self'"]),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const title = escapeHtml(
    withMarks(`${data.dataset} → ${data.kind === 'run' ? data.annotator : data.labels.join(', ')}`),
  );
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    '<meta name="color-scheme" content="light dark">',
    `<title>${title} · reannotate report</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    `<main id="report"${live === null ? '' : ` data-live="${escapeHtml(live)}"`}></main>`,
    '<noscript><p>This report needs JavaScript. It runs nothing but its own script and loads nothing.</p></noscript>',
    `<script type="application/json" id="data">${embeddable(data)}</script>`,
    `<script>${script}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** JSON in which no text can end the script element or be taken for a comment. */
function embeddable(data: object): string {
  return JSON.stringify(data).replace(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
