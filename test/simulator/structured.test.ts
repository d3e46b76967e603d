import { describe, expect, it } from 'vitest';
import { readAnswer } from '../../src/models/completion.js';
import { fromResponsesAnswer } from '../../src/models/responses-api.js';
import { answerFormOf, callInForm, textInForm } from '../../src/simulator/structured.js';
import { simulator } from '../support/cli.js';

const TREE = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 3 },
    height: { type: 'integer', minimum: 5 },
    kind: { enum: ['oak', 'ash'] },
    tags: { type: 'array', items: { type: 'string' }, minItems: 2 },
    parent: { anyOf: [{ $ref: '#/$defs/parent' }, { type: 'null' }] },
  },
  $defs: { parent: { type: ['string', 'null'] } },
};
const MESSAGES = [{ role: 'user', content: 'Which tree?' }];
const TOOL = { type: 'function', function: { name: 'plant', parameters: TREE } };

async function post(url: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'm', messages: MESSAGES, ...body }),
  });
}

describe('answers of the simulated model', () => {
  it.each<[string, object, unknown]>([
    ['any text', {}, 'abcd'],
    ['JSON', { response_format: { type: 'json_object' } }, { answer: 'abcd' }],
    [
      'JSON by a schema',
      { response_format: { type: 'json_schema', json_schema: { name: 'tree', schema: TREE } } },
      { name: 'abc', height: 5, kind: 'oak', tags: ['abcd', 'abcd'], parent: 'abcd' },
    ],
  ])('have the form that is asked for: %s', (_, body, expected) => {
    const text = textInForm('abcd', answerFormOf({ ...body }));
    expect(typeof expected === 'string' ? text : (JSON.parse(text) as unknown)).toEqual(expected);
  });

  it.each<[unknown, string | null]>([
    ['required', 'plant'],
    [{ type: 'function', function: { name: 'plant' } }, 'plant'],
    [{ type: 'function', function: { name: 'other' } }, null],
    ['none', null],
  ])('call a tool where that is asked for: %j', (choice, name) => {
    const form = answerFormOf({ tools: [TOOL], tool_choice: choice });
    const call = callInForm(form, '0'.repeat(32), 'abcd') as { function: { name: string } } | null;
    expect(call?.function.name ?? null).toBe(name);
  });

  it('end with calls of tools, on both APIs and at Azure’s addresses', async () => {
    const { url } = await simulator();
    const called = { tools: [TOOL], tool_choice: 'required' };
    const read = async (response: Response): Promise<unknown> => {
      const answer = readAnswer(fromResponsesAnswer(await response.json()));
      return answer.kind === 'whole' ? answer.completion.toolCalls[0]?.[0]?.function.name : answer.kind;
    };
    expect(await read(await post(`${url}/v1/chat/completions`, called))).toBe('plant');
    const input = { input: MESSAGES, messages: undefined, tools: [{ type: 'function', ...TOOL.function }] };
    expect(await read(await post(`${url}/v1/responses`, { ...called, ...input }))).toBe('plant');
    const deployment = `${url}/openai/deployments/d/chat/completions`;
    const key = { 'api-key': 'k' };
    expect(await read(await post(`${deployment}?api-version=2024-10-21`, called, key))).toBe('plant');
    expect((await post(deployment, called, key)).status).toBe(404);
    expect((await post(`${url}/openai/v1/chat/completions`, {}, key)).status).toBe(200);
  });

  it('are given by models of the Responses API there alone', async () => {
    const { url } = await simulator();
    expect((await post(`${url}/v1/chat/completions`, { model: 'o3-pro' })).status).toBe(404);
    expect((await post(`${url}/v1/responses`, { model: 'o3-pro' })).status).toBe(400);
    const answer = await post(`${url}/v1/responses`, { model: 'o3-pro', input: 'hi', messages: undefined });
    expect(answer.status).toBe(200);
  });
});
