import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerRules } from '../../src/models/answer-rules.js';
import { AnswerSchema } from '../../src/models/answer-schema.js';
import { readAnswer } from '../../src/models/completion.js';
import { completion } from '../support/scripted-api.js';

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1 },
    age: { type: 'integer', minimum: 0 },
    tags: { type: 'array', items: { enum: ['a', 'b'] } },
    home: { $ref: '#/$defs/place' },
  },
  required: ['name', 'age'],
  additionalProperties: false,
  $defs: { place: { type: 'object', properties: { 'a/b c': { type: 'null' } }, required: ['a/b c'] } },
};

describe('an answer', () => {
  it.each<[string, string | null]>([
    ['{"name":"Ada","age":36}', null],
    [' {"name": "Ada", "age": 36, "tags": ["a"], "home": {"a/b c": null}}\n', null],
    ['{"name":"Ada","age":"36"}', '#/age: Instance type "string"'],
    ['{"name":"Ada","age":-1}', '#/age: -1 is less than'],
    ['{"name":"Ada"}', '#: Instance does not have required property "age"'],
    ['{"name":"Ada","age":1,"more":1}', '#/more: Nothing may be here.'],
    ['{"name":"Ada","age":1,"tags":["a","c"]}', '#/tags/1: Instance does not match any of'],
    ['{"name":"Ada","age":1,"home":{"a/b c":0}}', '#/home/a~1b c: Instance type'],
    ['[]', '#: Instance type "array"'],
    ['null', '#: Instance type "null"'],
    ['Sure! {"name":"Ada","age":36}', 'is not JSON'],
    ['```json\n{"name":"Ada","age":36}\n```', 'is not JSON'],
    ['', 'is not JSON'],
  ])('%s', (text, violation) => {
    const found = new AnswerSchema(PERSON).violationIn(text);
    if (violation === null) expect(found).toBeNull();
    else expect(found).toContain(violation);
  });

  it('is measured by the draft that the schema names, and leaves the schema as it was', () => {
    const draft7 = { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'string' }] };
    const before = structuredClone(draft7);
    expect(new AnswerSchema(draft7).violationIn('[1]')).toContain('#/0');
    expect(draft7).toEqual(before);
    expect(new AnswerSchema({ prefixItems: [{ type: 'string' }] }).violationIn('[1]')).toContain('#/0');
    expect(new AnswerSchema(true).violationIn('1')).toBeNull();
  });

  it('is checked in bounded time, even if it is hostile', () => {
    const hostile: [Record<string, unknown>, string][] = [
      [{ type: 'string', pattern: '^(a+)+$' }, JSON.stringify(`${'a'.repeat(40)}!`)],
      [{ uniqueItems: true }, JSON.stringify(Array.from({ length: 60_000 }, (_, index) => ({ index })))],
      [
        { $ref: '#/$defs/x', $defs: { x: { items: { $ref: '#/$defs/x' } } } },
        `${'['.repeat(1e5)}${']'.repeat(1e5)}`,
      ],
    ];
    for (const [schema, text] of hostile) {
      const started = performance.now();
      expect(new AnswerSchema(schema, 0.1).violationIn(text)).toMatch(/longer than 0.1 s|too deeply/);
      expect(performance.now() - started).toBeLessThan(5000);
    }
  });

  it('never makes the check itself fail', () => {
    const schema = new AnswerSchema(PERSON);
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        const violation = schema.violationIn(text);
        expect(violation === null || violation.length < 600).toBe(true);
        expect(violation ?? '').not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });
});

describe('a schema that cannot be used', () => {
  it.each<[Record<string, unknown>, RegExp]>([
    [{ type: 'strng' }, /#\/type: "strng" is not a type/],
    [{ properties: { a: { type: ['string', 'nil'] } } }, /#\/properties\/a\/type/],
    [{ properties: { a: { pattern: '(' } } }, /#\/properties\/a\/pattern: Invalid regular expression/],
    [{ items: { $ref: '#/$defs/none' } }, /#\/items\/\$ref: .*leads nowhere/],
    [{ $ref: 'https://example.com/schema.json' }, /leads nowhere/],
    [{ properties: ['a'] }, /takes an object/],
    [{ required: 'a' }, /takes a list/],
  ])('%j', (schema, message) => {
    expect(() => new AnswerSchema(schema)).toThrow(message);
  });

  it.each([
    { properties: { type: { type: 'string' }, pattern: { const: '(' }, $ref: { enum: [1] } } },
    { enum: [{ type: 'no type' }], default: { pattern: '(' } },
  ])('%j is none', (schema) => {
    expect(() => new AnswerSchema(schema)).not.toThrow();
  });
});

describe('the rules of a run', () => {
  const format = { type: 'json_schema', json_schema: { name: 'p', schema: PERSON, strict: true } };
  const rulesFor = (responseFormat: unknown): ReturnType<typeof answerRules> =>
    answerRules({ acceptFinishReason: [], generation: { response_format: responseFormat } });

  it('need the text of an answer only where there is a schema', async () => {
    for (const other of [null, { type: 'json_object' }, { type: 'text' }, { type: 'json_schema' }])
      expect((await rulesFor(other)).violationIn).toBeUndefined();
    expect((await rulesFor(format)).violationIn?.('1')).toContain('#');
    expect((await rulesFor({ type: 'json_schema', schema: PERSON })).violationIn?.('1')).toContain('#');
  });

  it('judge whole texts, of every choice, after their reasoning; not what is truncated, refused or filtered', async () => {
    const rules = await rulesFor(format);
    const good = '{"name":"Ada","age":36}';
    const kindOf = (content: string | null, more = {}): string =>
      readAnswer(completion(content, more), rules).kind;
    expect(kindOf(good)).toBe('whole');
    expect(kindOf(`<think>\n1\n</think>\n\n${good}`)).toBe('whole');
    expect(kindOf('{}')).toBe('unfit');
    expect(kindOf('{"name":', { finish: 'length' })).toBe('whole');
    expect(kindOf('no', { finish: 'content_filter' })).toBe('whole');
    expect(kindOf(null, { refusal: 'no' })).toBe('whole');
    expect(kindOf('{"name":', { finish: 'abort' })).toBe('partial');
    const two = completion(good);
    two['choices'] = [good, '{}'].map((content, index) => ({
      index,
      message: { content },
      finish_reason: 'stop',
    }));
    expect(readAnswer(two, rules)).toMatchObject({ kind: 'unfit', usage: { completionTokens: 50 } });
  });
});
