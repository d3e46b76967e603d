/**
 * What answers of OpenAI's Files and Batch APIs and the lines of result files look like, in our own words.
 * @see https://github.com/openai/openai-openapi (OpenAIFile, Batch, BatchRequestOutput and the lists of them)
 */

/** What a JSON value has to be. */
export type Shape =
  | { type: 'string'; values?: readonly string[]; pattern?: RegExp; nullable?: boolean }
  | { type: 'integer'; minimum?: number; maximum?: number; nullable?: boolean }
  | { type: 'boolean' | 'null' }
  | { type: 'array'; items: Shape; nullable?: boolean }
  | { type: 'map'; values: Shape; nullable?: boolean }
  | ObjectShape
  | { type: 'any'; of: readonly Shape[] };

interface ObjectShape {
  type: 'object';
  required: Readonly<Record<string, Shape>>;
  optional?: Readonly<Record<string, Shape>>;
  nullable?: boolean;
}

/** What is wrong with a value, each with its place; empty where it has the shape. Unknown fields are wrong, too. */
export function problemsOf(value: unknown, shape: Shape, place = '$'): string[] {
  if (value === null && 'nullable' in shape && shape.nullable) return [];
  const wrong = [`${place} is no ${shape.type}: ${JSON.stringify(value)}`];
  switch (shape.type) {
    case 'string': {
      const fits =
        typeof value === 'string' &&
        (shape.values?.includes(value) ?? true) &&
        (shape.pattern?.test(value) ?? true);
      return fits ? [] : wrong;
    }
    case 'integer':
      return Number.isInteger(value) && isWithin(Number(value), shape.minimum, shape.maximum) ? [] : wrong;
    case 'boolean':
      return typeof value === 'boolean' ? [] : wrong;
    case 'null':
      return value === null ? [] : wrong;
    case 'array':
      if (!Array.isArray(value)) return wrong;
      return value.flatMap((item, index) => problemsOf(item, shape.items, `${place}[${index}]`));
    case 'map':
      if (!isObject(value)) return wrong;
      return Object.entries(value).flatMap(([name, one]) =>
        problemsOf(one, shape.values, `${place}.${name}`),
      );
    case 'object':
      return isObject(value) ? fieldProblems(value, shape, place) : wrong;
    case 'any': {
      const all = shape.of.map((one) => problemsOf(value, one, place));
      return all.some((problems) => problems.length === 0) ? [] : all.flat();
    }
  }
}

/** Counts and times are never below 0. */
function isWithin(value: number, minimum = 0, maximum = Infinity): boolean {
  return value >= minimum && value <= maximum;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldProblems(value: Record<string, unknown>, shape: ObjectShape, place: string): string[] {
  const { required, optional = {} } = shape;
  const missing = Object.keys(required).filter((name) => value[name] === undefined);
  return [
    ...missing.map((name) => `${place}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, field]) => {
      const known = required[name] ?? optional[name];
      if (known === undefined) return [`${place}.${name} is unknown`];
      return field === undefined ? [] : problemsOf(field, known, `${place}.${name}`);
    }),
  ];
}

const TEXT = { type: 'string' } as const;
const OPTIONAL_TEXT = { type: 'string', nullable: true } as const;
const COUNT = { type: 'integer' } as const;
/** Seconds since 1970, and no milliseconds. */
const TIME = { type: 'integer', minimum: 1_500_000_000, maximum: 5_000_000_000 } as const;
const OPTIONAL_TIME = { ...TIME, nullable: true } as const;
const FILE_ID = { type: 'string', pattern: /^file-\w+$/ } as const;
const OPTIONAL_FILE_ID = { ...FILE_ID, nullable: true } as const;

const only = <Value extends string>(value: Value) => ({ type: 'string', values: [value] }) as const;

export const FILE_OBJECT: Shape = {
  type: 'object',
  required: {
    id: FILE_ID,
    object: only('file'),
    bytes: COUNT,
    created_at: TIME,
    filename: TEXT,
    purpose: {
      type: 'string',
      values: [
        'assistants',
        'assistants_output',
        'batch',
        'batch_output',
        'fine-tune',
        'fine-tune-results',
        'vision',
        'user_data',
      ],
    },
    status: { type: 'string', values: ['uploaded', 'processed', 'error'] },
  },
  optional: { expires_at: OPTIONAL_TIME, status_details: OPTIONAL_TEXT },
};

export const FILE_DELETED: Shape = {
  type: 'object',
  required: { id: FILE_ID, object: only('file'), deleted: { type: 'boolean' } },
};

export const BATCH: Shape = {
  type: 'object',
  required: {
    id: { type: 'string', pattern: /^batch_\w+$/ },
    object: only('batch'),
    endpoint: {
      type: 'string',
      values: [
        '/v1/responses',
        '/v1/chat/completions',
        '/v1/embeddings',
        '/v1/completions',
        '/v1/moderations',
      ],
    },
    input_file_id: FILE_ID,
    completion_window: TEXT,
    status: {
      type: 'string',
      values: [
        'validating',
        'failed',
        'in_progress',
        'finalizing',
        'completed',
        'expired',
        'cancelling',
        'cancelled',
      ],
    },
    created_at: TIME,
  },
  optional: {
    model: OPTIONAL_TEXT,
    errors: {
      type: 'object',
      nullable: true,
      required: {
        object: only('list'),
        data: {
          type: 'array',
          items: {
            type: 'object',
            required: { code: TEXT, message: TEXT },
            optional: { param: OPTIONAL_TEXT, line: { type: 'integer', minimum: 1, nullable: true } },
          },
        },
      },
    },
    output_file_id: OPTIONAL_FILE_ID,
    error_file_id: OPTIONAL_FILE_ID,
    in_progress_at: OPTIONAL_TIME,
    expires_at: OPTIONAL_TIME,
    finalizing_at: OPTIONAL_TIME,
    completed_at: OPTIONAL_TIME,
    failed_at: OPTIONAL_TIME,
    expired_at: OPTIONAL_TIME,
    cancelling_at: OPTIONAL_TIME,
    cancelled_at: OPTIONAL_TIME,
    request_counts: { type: 'object', required: { total: COUNT, completed: COUNT, failed: COUNT } },
    usage: {
      type: 'object',
      nullable: true,
      required: {
        input_tokens: COUNT,
        input_tokens_details: { type: 'object', required: { cached_tokens: COUNT } },
        output_tokens: COUNT,
        output_tokens_details: { type: 'object', required: { reasoning_tokens: COUNT } },
        total_tokens: COUNT,
      },
    },
    metadata: { type: 'map', values: TEXT, nullable: true },
  },
};

const listOf = (items: Shape): Shape => ({
  type: 'object',
  required: { object: only('list'), data: { type: 'array', items }, has_more: { type: 'boolean' } },
  optional: { first_id: OPTIONAL_TEXT, last_id: OPTIONAL_TEXT },
});

export const FILE_LIST = listOf(FILE_OBJECT);
export const BATCH_LIST = listOf(BATCH);

/** An error as any endpoint answers it. */
export const ERROR_BODY: Shape = {
  type: 'object',
  required: {
    error: {
      type: 'object',
      required: { message: TEXT, type: TEXT, param: OPTIONAL_TEXT, code: OPTIONAL_TEXT },
    },
  },
};

/** A completion, as far as a batch is concerned with it. */
export const CHAT_COMPLETION: Shape = {
  type: 'object',
  required: {
    id: TEXT,
    object: only('chat.completion'),
    created: TIME,
    model: TEXT,
    choices: {
      type: 'array',
      items: {
        type: 'object',
        required: {
          index: COUNT,
          message: {
            type: 'object',
            required: { role: only('assistant'), content: OPTIONAL_TEXT, refusal: OPTIONAL_TEXT },
          },
          finish_reason: { type: 'string', values: ['stop', 'length', 'content_filter'] },
          logprobs: { type: 'null' },
        },
      },
    },
  },
  optional: {
    usage: {
      type: 'object',
      required: { prompt_tokens: COUNT, completion_tokens: COUNT, total_tokens: COUNT },
      optional: {
        prompt_tokens_details: { type: 'map', values: COUNT },
        completion_tokens_details: { type: 'map', values: COUNT },
      },
    },
    service_tier: OPTIONAL_TEXT,
    system_fingerprint: TEXT,
  },
};

const lineWith = (response: Shape, error: Shape): Shape => ({
  type: 'object',
  required: { id: { type: 'string', pattern: /^batch_req_\w+$/ }, custom_id: TEXT, response, error },
});

const responseWith = (lowest: number, highest: number, body: Shape): Shape => ({
  type: 'object',
  required: { status_code: { type: 'integer', minimum: lowest, maximum: highest }, request_id: TEXT, body },
});

/** A line of an output file. */
export const OUTPUT_LINE: Shape = lineWith(responseWith(200, 200, CHAT_COMPLETION), { type: 'null' });

/** A line of an error file: a request that was refused, or one that was never worked on. */
export const ERROR_LINE: Shape = {
  type: 'any',
  of: [
    lineWith(responseWith(400, 599, ERROR_BODY), { type: 'null' }),
    lineWith({ type: 'null' }, { type: 'object', required: { code: TEXT, message: TEXT } }),
  ],
};
