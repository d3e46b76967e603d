/** The regular expressions of the program's source, and strings that are meant to make them slow. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AST } from '@eslint-community/regexpp';
import { parseRegExpLiteral, visitRegExpAST } from '@eslint-community/regexpp';
import { parseSync } from 'rolldown/utils';

const SOURCE = fileURLToPath(new URL('../../src', import.meta.url));

export interface Pattern {
  /** File and line. */
  place: string;
  source: string;
  flags: string;
}

/** Every literal of `src/`, once. */
export function patternsOfSource(): Pattern[] {
  const found = new Map<string, Pattern>();
  for (const entry of readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.ts')) continue;
    const text = readFileSync(join(SOURCE, entry), 'utf8');
    const { program, errors } = parseSync(entry, text, { lang: 'ts' });
    if (errors.length > 0) throw new Error(`cannot parse ${entry}: ${errors[0]?.message ?? ''}`);
    for (const { raw, start } of regularExpressions(program)) {
      const line = text.slice(0, start).split('\n').length;
      const { pattern, flags } = parseRegExpLiteral(raw);
      found.set(raw, { place: `${entry}:${line}`, source: pattern.raw, flags: flags.raw });
    }
  }
  return [...found.values()];
}

/** Files whose patterns are put together when they are used, with how many they have. */
const AT_USE: Readonly<Record<string, number>> = {
  // Constants of the same file.
  'http/address.ts': 1,
  'judge/fence.ts': 1,
  // The names of our own flags.
  'models/known-secrets.ts': 1,
  // Numbers of drafts; and the patterns of a user's schema, which run under a time limit.
  'models/answer-schema.ts': 2,
  // What the reader of a report types, in the reader's browser.
  'report/page/search.ts': 2,
};

/** Functions that put a file's patterns together when they are first called, with what they are called with. */
const AT_FIRST_USE: Readonly<Record<string, readonly [string, ...unknown[]][]>> = {
  'lib/hidden-characters.ts': [
    ['hiddenRuns', '\u200b'],
    ['replaceHiddenInName', '\u200b', ''],
  ],
};

/**
 * The patterns that files put together when they are loaded or first used, which is seen from their constructor.
 * @param load imports a file again
 * @throws Error for a file with others that are not known, which nothing would attack
 */
export async function assembledPatterns(load: (path: string) => Promise<unknown>): Promise<Pattern[]> {
  const found: Pattern[] = [];
  for (const entry of readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).sort()) {
    const text = entry.endsWith('.ts') ? readFileSync(join(SOURCE, entry), 'utf8') : '';
    const constructed = text.match(/\bRegExp\(/g)?.length ?? 0;
    const atUse = AT_USE[entry] ?? 0;
    const seen = constructed === atUse ? [] : await constructedBy(() => loadAndUse(entry, load));
    const own = seen.filter(({ stack }) => stack.includes(join('src', entry)));
    if (own.length + atUse !== constructed)
      throw new Error(`${entry} has ${constructed} patterns of which ${own.length + atUse} are known`);
    found.push(...own.map(({ source, flags }) => ({ place: entry, source, flags })));
  }
  return found;
}

async function loadAndUse(entry: string, load: (path: string) => Promise<unknown>): Promise<void> {
  const loaded = (await load(join(SOURCE, entry))) as Record<string, (...given: unknown[]) => unknown>;
  for (const [name, ...given] of AT_FIRST_USE[entry] ?? []) loaded[name]?.(...given);
}

interface Constructed {
  source: string;
  flags: string;
  stack: string;
}

async function constructedBy(work: () => Promise<unknown>): Promise<Constructed[]> {
  const found: Constructed[] = [];
  const plain = globalThis.RegExp;
  globalThis.RegExp = new Proxy(plain, {
    construct: (target, [source, flags]: [string | RegExp, string | undefined]) => {
      const pattern = new target(source, flags);
      found.push({ source: pattern.source, flags: pattern.flags, stack: new Error().stack ?? '' });
      return pattern;
    },
  });
  try {
    await work();
  } finally {
    globalThis.RegExp = plain;
  }
  return found;
}

/** The literals of a syntax tree (ESTree), with their places in the text. */
function* regularExpressions(node: unknown): Generator<{ raw: string; start: number }> {
  if (typeof node !== 'object' || node === null) return;
  if ('regex' in node && 'raw' in node && typeof node.raw === 'string') {
    yield { raw: node.raw, start: 'start' in node ? Number(node.start) : 0 };
    return;
  }
  for (const child of Object.values(node)) yield* regularExpressions(child);
}

/** What is repeated to attack a pattern, before a character that nothing accepts. */
export function attacksOn({ source, flags }: Pattern): string[] {
  const attacks = new Set<string>();
  const { pattern } = parseRegExpLiteral(`/${source}/${flags}`);
  visitRegExpAST(pattern, {
    onQuantifierEnter: (quantifier) => {
      if (quantifier.max < 20) return;
      attacks.add(sampleOf(quantifier.element));
      attacks.add(before(quantifier) + sampleOf(quantifier.element));
    },
    onAlternativeEnter: ({ parent, elements }) => {
      // The whole pattern but for its end, again and again.
      if (parent.type === 'Pattern') attacks.add(elements.slice(0, -1).map(sampleOf).join(''));
    },
  });
  return [...attacks].filter((attack) => attack !== '');
}

/** What leads from the pattern's start to a place in it. */
function before(node: AST.Element): string {
  const { parent } = node;
  if (parent.type !== 'Alternative') return '';
  const own = parent.elements.slice(0, parent.elements.indexOf(node)).map(sampleOf).join('');
  const group = parent.parent;
  return group.type === 'Pattern' ? own : before(group) + own;
}

/** A short text that a part of a pattern accepts. */
function sampleOf(node: AST.Element | AST.CharacterClassElement): string {
  switch (node.type) {
    case 'Character':
      return String.fromCodePoint(node.value);
    case 'CharacterClassRange':
      return String.fromCodePoint(node.min.value);
    case 'CharacterSet':
      return node.kind === 'digit'
        ? node.negate
          ? 'x'
          : '1'
        : node.kind === 'space' && !node.negate
          ? ' '
          : 'x';
    case 'CharacterClass':
      return sampleOfClass(node);
    case 'Group':
    case 'CapturingGroup':
      return (node.alternatives[0]?.elements ?? []).map(sampleOf).join('');
    case 'Quantifier':
      return sampleOf(node.element).repeat(Math.min(Math.max(node.min, 1), 3));
    default:
      return '';
  }
}

function sampleOfClass(node: AST.CharacterClass): string {
  const [first] = node.elements;
  if (!node.negate) return first === undefined ? '' : sampleOf(first);
  const test = new RegExp(node.raw, node.raw.includes('\\p{') ? 'u' : '');
  return ['x', ' ', '1', '-', '\n'].find((one) => test.test(one)) ?? 'x';
}
