/** Two answers to one prompt and a verdict, as datasets of human preferences hold them. */

import { scalarText, cell } from './cells.js';

type Row = Readonly<Record<string, unknown>>;

/** The columns of a comparison. */
export interface Comparison {
  first: string;
  second: string;
  verdict: string;
  /** True where this verdict is for the second answer; ties are for neither. */
  isSecond: (verdict: string) => boolean;
}

/** What datasets call them; a new one is an entry here. */
export const COMPARISONS: readonly Comparison[] = [
  // PKU-SafeRLHF: the number of the better response
  {
    first: 'response_0',
    second: 'response_1',
    verdict: 'better_response_id',
    isSecond: (verdict) => verdict === '1',
  },
  // SHP: 1 where the first is preferred
  {
    first: 'human_ref_A',
    second: 'human_ref_B',
    verdict: 'labels',
    isSecond: (verdict) => verdict === '0',
  },
  // HelpSteer3: from -3, the first is much better, to 3
  {
    first: 'response1',
    second: 'response2',
    verdict: 'overall_preference',
    isSecond: (verdict) => Number(verdict) > 0,
  },
  // Chatbot Arena's votes of Kaggle: 1 where the second is preferred
  {
    first: 'response_a',
    second: 'response_b',
    verdict: 'winner_model_b',
    isSecond: (verdict) => verdict === '1',
  },
  // Chatbot Arena: model_a, model_b, tie, tie (bothbad)
  ...['conversation', 'response', 'answer'].map((name) => ({
    first: `${name}_a`,
    second: `${name}_b`,
    verdict: 'winner',
    isSecond: (verdict: string) => /^(?:model_)?b$/i.test(verdict),
  })),
];

/** The column of the preferred answer of a row. */
export function preferredColumn(row: Row, { first, second, verdict, isSecond }: Comparison): string {
  const text = scalarText(cell(row, verdict));
  return text !== null && isSecond(text.trim()) ? second : first;
}
