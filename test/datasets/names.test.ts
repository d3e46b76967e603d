import { expect, it } from 'vitest';
import { datasetName } from '../../src/datasets/names.js';

it.each([
  ['me/data', 'me/data'],
  ['https://huggingface.co/datasets/me/data', 'me/data'],
  ['https://huggingface.co/datasets/me/data/tree/main', 'me/data'],
  ['https://huggingface.co/datasets/me/data/viewer/default/train?row=5', 'me/data'],
  ['https://huggingface.co/datasets/squad', 'squad'],
  ['hf://datasets/me/data', 'me/data'],
  ['datasets/me/data', 'me/data'],
  ['me/data/', 'me/data'],
  ['me/data@main', 'me/data'],
  ['me/data@v2', 'me/data@v2'],
  [' me/data ', 'me/data'],
  ['./data/', './data/'],
  ['datasets/rows.jsonl', 'datasets/rows.jsonl'],
  ['/tmp/x.csv', '/tmp/x.csv'],
])('%s means %s', (given, name) => {
  expect(datasetName(given)).toBe(name);
});
