/** What a judge is asked: the prompts of `prompts/judge.yaml`, or of a file of the user's own, and how they are filled. */

import { createHash } from 'node:crypto';
import { messageOf, UserError } from '../lib/errors.js';
import { fileProblem } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import { packageFile } from '../lib/package.js';
import { readSmallFile } from '../lib/small-file.js';
import { sanitize } from '../lib/text.js';
import type { ChatMessage } from '../types.js';
import { fence, markFor } from './fence.js';

const PLACEHOLDERS = ['prompt', 'answer_a', 'answer_b'] as const;
const PLACEHOLDER = /\{(prompt|answer_a|answer_b)\}/g;
const KEYS: readonly string[] = ['system', 'user'];

export interface JudgePrompts {
  /** Empty for none. */
  system: string;
  /** With `{prompt}`, `{answer_a}` and `{answer_b}`. */
  user: string;
  /** SHA-256 of both, hexadecimal. */
  digest: string;
}

/** The texts that replace the placeholders. */
export type JudgeTexts = Record<(typeof PLACEHOLDERS)[number], string>;

/**
 * Reads prompts from a YAML file with `user` and perhaps `system`.
 * @param path null for the prompts that come with the program
 * @throws UserError that names the file and what is wrong with it
 */
export async function readJudgePrompts(path: string | null): Promise<JudgePrompts> {
  const file = path ?? packageFile('prompts/judge.yaml');
  const value = await readYaml(file);
  const wrong = (what: string): UserError =>
    new UserError(
      `--judge_prompts ${file}: ${what} It takes YAML with "user", a text with {prompt}, {answer_a} and {answer_b}, ` +
        `and perhaps "system"; ${packageFile('prompts/judge.yaml')} is one to start from.`,
    );
  if (!isObject(value)) throw wrong('it is not a list of keys and texts.');
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw wrong(`"${sanitize(unknown, 40)}" is an unknown key.`);
  const { system = '', user } = value;
  if (typeof system !== 'string') throw wrong('"system" is not text.');
  if (typeof user !== 'string') throw wrong('"user" is not text.');
  const missing = PLACEHOLDERS.filter((name) => !user.includes(`{${name}}`));
  if (missing.length > 0) throw wrong(`"user" lacks ${missing.map((name) => `{${name}}`).join(' and ')}.`);
  const misplaced = PLACEHOLDERS.find((name) => system.includes(`{${name}}`));
  if (misplaced !== undefined)
    throw wrong(`{${misplaced}} is in "system", where placeholders are not replaced; move it to "user".`);
  const digest = createHash('sha256')
    .update(JSON.stringify([system, user]))
    .digest('hex');
  return { system, user, digest };
}

async function readYaml(file: string): Promise<unknown> {
  let text: string;
  try {
    text = readSmallFile(file);
  } catch (error) {
    throw fileProblem(error, `read --judge_prompts ${file}`);
  }
  const { parse } = await import('yaml');
  try {
    // Its warnings would go past everything that keeps a terminal clean.
    return parse(text, { logLevel: 'error' });
  } catch (error) {
    throw new UserError(`--judge_prompts ${file} is not YAML: ${sanitize(messageOf(error), 200)}`);
  }
}

/** The request's turns for a pair; no text can end the fence that it is in, or fill a placeholder. */
export function judgeMessages({ system, user }: JudgePrompts, texts: JudgeTexts): ChatMessage[] {
  const mark = markFor([texts.prompt, texts.answer_a, texts.answer_b]);
  const content = user.replace(PLACEHOLDER, (place, name: keyof JudgeTexts, at: number) => {
    // A fence is lines of its own, wherever the placeholder is.
    const before = at === 0 || user[at - 1] === '\n' ? '' : '\n';
    const next = user[at + place.length];
    return `${before}${fence(texts[name], mark)}${next === undefined || next === '\n' ? '' : '\n'}`;
  });
  const turn: ChatMessage = { role: 'user', content };
  return system === '' ? [turn] : [{ role: 'system', content: system }, turn];
}
