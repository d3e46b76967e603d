/** What the simulated model says where a request wants more than prose: JSON by a schema, and calls of tools. */

import { isObject } from '../lib/json.js';

type Fields = Record<string, unknown>;

/** A schema may refer to itself. */
const DEEPEST = 6;

/** What a request says of the form of its answer. */
export interface AnswerForm {
  /** Null where any text will do. */
  format: Fields | null;
  tools: readonly Fields[];
  /** `auto`, `none`, `required`, or the tool that is to be called. */
  toolChoice: unknown;
}

/** Reads a body that was found to be good. */
export function answerFormOf({
  response_format: format,
  tools,
  tool_choice: toolChoice,
}: Fields): AnswerForm {
  return {
    format: isObject(format) ? format : null,
    tools: Array.isArray(tools) ? tools.filter(isObject) : [],
    toolChoice: toolChoice ?? 'auto',
  };
}

/** A text as the request wants it: JSON where it asks for that. */
export function textInForm(text: string, { format }: AnswerForm): string {
  if (format === null) return text;
  if (format['type'] === 'json_object') return JSON.stringify({ answer: text });
  // The Responses API has the schema right beside the type.
  const wrapped = isObject(format['json_schema']) ? format['json_schema'] : format;
  const schema = wrapped['schema'];
  if (format['type'] !== 'json_schema' || !isObject(schema)) return text;
  return JSON.stringify(valueOf(schema, text, schema, 0));
}

/** The call that answers a request in place of a text; null where none does. */
export function callInForm({ tools, toolChoice }: AnswerForm, identity: string, text: string): Fields | null {
  const bits = Number.parseInt(identity.slice(0, 8), 16);
  const isCalled = toolChoice === 'auto' ? bits % 2 === 0 : toolChoice !== 'none';
  const wanted =
    isObject(toolChoice) && isObject(toolChoice['function']) ? toolChoice['function']['name'] : null;
  const functions = tools.map((tool) => (isObject(tool['function']) ? tool['function'] : tool));
  const called = functions.find(({ name }) => wanted === null || name === wanted);
  if (!isCalled || called === undefined) return null;
  const parameters = isObject(called['parameters']) ? called['parameters'] : { type: 'object' };
  const given = JSON.stringify(valueOf(parameters, text, parameters, 0));
  const id = `call_${identity.slice(0, 24)}`;
  return { index: 0, id, type: 'function', function: { name: called['name'], arguments: given } };
}

/** A value that follows a schema, as far as such schemas go in practice. */
function valueOf(schema: unknown, text: string, root: Fields, depth: number): unknown {
  if (!isObject(schema) || depth > DEEPEST) return null;
  const { $ref: reference, const: constant, enum: values, anyOf, oneOf, allOf } = schema;
  if (typeof reference === 'string') return valueOf(resolved(reference, root), text, root, depth + 1);
  if (constant !== undefined) return constant;
  if (Array.isArray(values)) return values[0] as unknown;
  const [alternative] = [anyOf, oneOf, allOf].filter(Array.isArray);
  if (alternative !== undefined) return valueOf(alternative[0], text, root, depth + 1);
  const type: unknown = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  switch (type) {
    case 'string':
      return textOfLength(text, schema);
    case 'integer':
    case 'number':
      return typeof schema['minimum'] === 'number' ? schema['minimum'] : 1;
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'array': {
      const least = typeof schema['minItems'] === 'number' ? schema['minItems'] : 1;
      return Array.from({ length: Math.min(least, 100) }, () =>
        valueOf(schema['items'], text, root, depth + 1),
      );
    }
    default: {
      const properties = isObject(schema['properties']) ? schema['properties'] : {};
      return Object.fromEntries(
        Object.entries(properties).map(([name, one]) => [name, valueOf(one, text, root, depth + 1)]),
      );
    }
  }
}

function textOfLength(text: string, { minLength: least, maxLength: most }: Fields): string {
  const cut = typeof most === 'number' ? text.slice(0, most) : text;
  return typeof least === 'number' ? cut.padEnd(least, '.') : cut;
}

/** `#/$defs/Name`; null where it leads nowhere. */
function resolved(reference: string, root: Fields): unknown {
  let found: unknown = root;
  for (const step of reference.replace(/^#\/?/, '').split('/'))
    if (step !== '') found = isObject(found) ? found[step] : null;
  return found;
}
