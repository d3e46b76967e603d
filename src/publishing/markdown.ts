/** Untrusted text in Markdown, shown without effect. */

import { sanitize } from '../lib/text.js';

/** What makes emphasis, code, links, tags, entities, addresses, mentions, formulas, headings and cells of a table. */
const MARKUP = /[\\`*_{}[\]()<>#+!|~&:@$"'=^]/g;

/** One line that Markdown shows unchanged. */
export function plain(text: string, maximum = 200): string {
  return sanitize(text, maximum)
    .replace(MARKUP, '\\$&')
    .replace(/www\./gi, (start) => start.replace('.', '\\.'));
}

/** A table; its cells must be Markdown already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** A block of code, which no text in it can end. */
export function codeBlock(language: string, text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}
