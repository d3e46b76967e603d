import type { FlagName } from '../flags.js';

/** What each flag means, for people. */
export const FLAG_TEXTS: Readonly<Record<FlagName, { title: string; text: string }>> = {
  empty: { title: 'Empty', text: 'the new answer has no text' },
  refusal: { title: 'Refusal', text: 'the new answer is a refusal, by its state or its first words' },
  truncated: { title: 'Truncated', text: 'the new answer was cut off at --max_tokens' },
  disagrees: { title: 'Other answer', text: 'the final answer differs from the original’s (--check answer)' },
  identical: { title: 'Nearly identical', text: 'at least 90 % of neighbouring words are the same' },
  'lost code': {
    title: 'Lost code block',
    text: 'the old answer has a fenced code block, the new one has none',
  },
  'new script': { title: 'Other script', text: 'most letters belong to another script' },
  'new language': {
    title: 'Other language',
    text: 'a guess from frequent words of seven European languages',
  },
};
