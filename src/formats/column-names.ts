/** Names of columns: which of them mean the same, and which look as if a prompt needs them. */

/** Finds the column that a name means: an exact match first, then one that differs in case and separators only. */
export function findColumn(columns: readonly string[], name: string): string | null {
  if (columns.includes(name)) return name;
  const key = looseKey(name);
  return columns.find((column) => looseKey(column) === key) ?? null;
}

/** The first of several names that a dataset has a column for. */
export function findFirst(columns: readonly string[], names: readonly string[]): string | null {
  for (const name of names) {
    const found = findColumn(columns, name);
    if (found !== null) return found;
  }
  return null;
}

/** All columns that go by one of some names, in the dataset's order. */
export function findAll(columns: readonly string[], names: readonly string[]): string[] {
  const keys = new Set(names.map(looseKey));
  return columns.filter((column) => keys.has(looseKey(column)));
}

/** All columns that go by one of some names, with or without a number: `image`, `image_1`, `image_2`. */
export function findNumbered(columns: readonly string[], names: readonly string[]): string[] {
  const keys = new Set(names.map(looseKey));
  return columns.filter((column) => keys.has(looseKey(column.replace(/[ _-]?\d{1,3}$/, ''))));
}

/** `System Prompt`, `systemPrompt` and `system_prompt` are one name. */
function looseKey(name: string): string {
  return name.toLowerCase().replaceAll(/[\s_-]+/g, '');
}

/** What belongs to a prompt wherever it ends a column's name: `context`, `retrieved_contexts`, `questionContext`. */
const PROMPT_WORDS = new Set([
  ...[
    'context',
    'ctx',
    'input',
    'passage',
    'paragraph',
    'article',
    'document',
    'doc',
    'text',
    'story',
    'transcript',
  ],
  ...[
    'evidence',
    'support',
    'background',
    'knowledge',
    'premise',
    'hypothesis',
    'hint',
    'definition',
    'constraint',
    'persona',
  ],
  ...[
    'system',
    'history',
    'message',
    'conversation',
    'dialog',
    'dialogue',
    'instruction',
    'demonstration',
    'example',
  ],
  ...['tool', 'function', 'code', 'schema', 'table', 'choice', 'option', 'distractor', 'instance'],
  // What a chat template is given besides the turns, such as tools (SmolTalk 2)
  ...['kwarg'],
  ...['image', 'img', 'picture', 'photo', 'screenshot', 'audio', 'video', 'media', 'attachment', 'file'],
]);

/** Words that may follow one of those without making it something else: `image_url`, `system_prompt`. */
const FOLLOWERS = new Set([
  'url',
  'uri',
  'path',
  'byte',
  'base64',
  'b64',
  'prompt',
  'message',
  'text',
  'content',
  'str',
]);

/** What has a code that is not source code. */
const CODES = new Set([
  'language',
  'lang',
  'country',
  'zip',
  'postal',
  'error',
  'exit',
  'status',
  'currency',
]);

/** Columns that hold a prompt on their own: a second one beside the prompt may be a part of it. */
const PROMPT_COLUMNS = new Set(['prompt', 'question', 'query', 'problem', 'task']);

/**
 * True for a column whose name looks as if it held a part of the prompt.
 * @param isChat true where the prompt is a chat, which holds its questions itself
 */
export function looksLikePrompt(column: string, isChat: boolean): boolean {
  const words = wordsOf(column);
  // `option_a`, `choice2`, `image_0`
  while (words.length > 1 && /^(?:\d+|[a-z])$/.test(words.at(-1) ?? '')) words.pop();
  while (words.length > 1 && FOLLOWERS.has(words.at(-1) ?? '') && PROMPT_WORDS.has(words.at(-2) ?? ''))
    words.pop();
  const last = words.at(-1) ?? '';
  if (last === 'code' && CODES.has(words.at(-2) ?? '')) return false;
  if (PROMPT_WORDS.has(last)) return true;
  return !isChat && words.length === 1 && PROMPT_COLUMNS.has(last);
}

function wordsOf(column: string): string[] {
  return column
    .replace(/([a-z])([A-Z0-9])/g, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
    .map((word) =>
      word.length > 3 && word.endsWith('s') && !word.endsWith('ss') && word !== 'hypothesis'
        ? singular(word)
        : word,
    );
}

function singular(word: string): string {
  if (word === 'hypotheses') return 'hypothesis';
  return word.endsWith('ies') ? `${word.slice(0, -3)}y` : word.slice(0, -1);
}
