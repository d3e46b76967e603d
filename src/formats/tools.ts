/**
 * Definitions of tools in the spellings in which datasets hold them, as the chat completions API takes them: OpenAI's own,
 * bare functions (glaive, LLaMA-Factory), xLAM's flat parameters, ToolACE's and BFCL's `dict`, Hermes's `<tools>`.
 */

import { isObject, parseJson, setOwn } from '../lib/json.js';
import { endOfValue, OPEN_BRACE, OPEN_BRACKET } from '../lib/json-scan.js';
import { kindOf } from './cells.js';
import { RowProblem } from './row-problem.js';

/** @see https://platform.openai.com/docs/api-reference/chat/create#chat_create-tools */
export interface Tool {
  type: 'function';
  function: { name: string; description?: string; parameters: Record<string, unknown> };
}

/** Keys under which a definition holds its parameters. */
const PARAMETER_KEYS = ['parameters', 'input_schema', 'inputSchema', 'arguments'] as const;
/** Python's and other names of JSON Schema's types. */
const TYPES: Readonly<Record<string, string>> = {
  ...{ str: 'string', text: 'string', varchar: 'string', char: 'string' },
  ...{ int: 'integer', long: 'integer', float: 'number', double: 'number', bool: 'boolean' },
  ...{ list: 'array', tuple: 'array', set: 'array', sequence: 'array', dict: 'object', map: 'object' },
};
const SCHEMA_TYPES = new Set(['string', 'integer', 'number', 'boolean', 'array', 'object', 'null']);
const DEEPEST = 40;
/** Bytes that are read at most for the ends of brackets that have none. */
const MOST_BYTES_IN_VAIN = 16 << 20;

/**
 * The tools of a cell: a list of definitions, one definition, or either as JSON text; none where there are none.
 * @throws RowProblem where it holds something else
 */
export function readTools(value: unknown, column: string): Tool[] {
  if (value === null || value === '') return [];
  if (typeof value === 'string') {
    const parsed = parseJson(value);
    if (parsed === undefined) {
      const found = toolsInText(value);
      if (found.length > 0) return found;
      throw new RowProblem(
        `"${column}" is text without tool definitions; if it holds something else, add --tools_column none`,
      );
    }
    return readTools(parsed, column);
  }
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  return list.map((one) => {
    const tool = readTool(typeof one === 'string' ? parseJson(one) : one);
    if (tool !== null) return tool;
    throw new RowProblem(
      `"${column}" holds ${kindOf(one)} that is not a tool definition; if it holds something else, add --tools_column none`,
    );
  });
}

/** The tools that a system prompt describes in JSON, between `<tools>` tags or anywhere in it. */
export function toolsInText(text: string): Tool[] {
  if (!text.includes('{')) return [];
  const bytes = Buffer.from(insideTags(text));
  const tools: Tool[] = [];
  let inVain = 0;
  /** Ends of the values around this place, which are no definitions: what is inside is looked at, too. */
  const around: number[] = [];
  for (let at = nextOpening(bytes, 0); at !== -1;) {
    while (at >= (around.at(-1) ?? Infinity)) around.pop();
    const end = endOfValue(bytes, at);
    if (end === -1) {
      // Prose may open a bracket and never close it. Each is looked for to the text's end.
      inVain += bytes.length - at;
      if (inVain > MOST_BYTES_IN_VAIN) break;
      at = nextOpening(bytes, at + 1);
      continue;
    }
    const found = definitionsIn(parseJson(bytes.toString('utf8', at, end)));
    tools.push(...found);
    // Each level is read again, so thousands of them would take minutes.
    const isEntered = found.length === 0 && around.length < DEEPEST;
    if (isEntered) around.push(end);
    at = nextOpening(bytes, isEntered ? at + 1 : end);
  }
  return tools;
}

/** What is between the first `<tools>` and the last `</tools>`; all of a text without them. */
function insideTags(text: string): string {
  const start = text.indexOf('<tools>');
  const end = text.lastIndexOf('</tools>');
  return start === -1 || end < start ? text : text.slice(start + '<tools>'.length, end);
}

/** A name as the API takes it: letters, digits, `_` and `-`, at most 64. Calls are renamed in the same way. */
export function toolName(name: string): string {
  return name.replace(/[^\w-]+/g, '_').slice(0, 64) || '_';
}

function definitionsIn(value: unknown): Tool[] {
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  const tools = list.map((one) => (isDefinition(one) ? readTool(one) : null));
  return tools.every((tool) => tool !== null) ? tools : [];
}

/** True for what is a definition for certain, and not data that has a name, such as a call. */
function isDefinition(value: unknown): boolean {
  if (!isObject(value)) return false;
  const definition = isObject(value['function']) ? value['function'] : value;
  const parameters = definition['parameters'] ?? definition['input_schema'];
  return typeof definition['name'] === 'string' && isObject(parameters);
}

function nextOpening(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++)
    if (bytes[at] === OPEN_BRACKET || bytes[at] === OPEN_BRACE) return at;
  return -1;
}

function readTool(value: unknown): Tool | null {
  if (!isObject(value)) return null;
  const definition = isObject(value['function']) ? value['function'] : value;
  const { name, description } = definition;
  if (typeof name !== 'string' || name.trim() === '') return null;
  const given = PARAMETER_KEYS.map((key) => definition[key]).find((one) => one !== undefined && one !== null);
  const parameters = typeof given === 'string' ? parseJson(given) : given;
  return {
    type: 'function',
    function: {
      name: toolName(name),
      ...(typeof description === 'string' ? { description } : {}),
      parameters: readParameters(parameters, definition['required']),
    },
  };
}

/** JSON Schema of a function's parameters. */
function readParameters(value: unknown, required: unknown): Record<string, unknown> {
  if (!isObject(value)) return { type: 'object', properties: {} };
  const isSchema = ['properties', '$ref', 'anyOf', 'oneOf', 'allOf'].some((key) => Object.hasOwn(value, key));
  const type = typeof value['type'] === 'string' ? value['type'].toLowerCase() : null;
  if (isSchema || type === 'object' || type === 'dict')
    return { type: 'object', ...asObject(schemaOf(value, 0)) };
  return readFlat(value, required);
}

/** `{"city": {"type": "str, optional", "description": "…", "default": "…"}}`, as in xLAM. */
function readFlat(parameters: Record<string, unknown>, named: unknown): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  const required: string[] = [];
  for (const [name, parameter] of Object.entries(parameters)) {
    if (parameter === null) continue;
    const described = isObject(parameter) ? parameter : { type: parameter };
    const isOptional =
      (typeof described['type'] === 'string' && /optional/i.test(described['type'])) ||
      (Object.hasOwn(described, 'default') && described['default'] !== null) ||
      described['required'] === false;
    setOwn(properties, name, schemaOf(withoutFlag(described), 0));
    if (Array.isArray(named) ? named.includes(name) : !isOptional) required.push(name);
  }
  return { type: 'object', properties, ...(required.length > 0 ? { required } : {}) };
}

/** `"required": true` beside a parameter is no JSON Schema, where it is a list of names. */
function withoutFlag(described: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(described).filter(([name, value]) => name !== 'required' || typeof value !== 'boolean'),
  );
}

/**
 * A schema with JSON Schema's names of types. Null members are left out: tables hold one struct for all definitions, and
 * write null for what a definition lacks.
 */
function schemaOf(value: unknown, depth: number): unknown {
  if (depth > DEEPEST) throw new RowProblem('a definition of a tool is nested too deeply');
  if (Array.isArray(value)) return value.map((one) => schemaOf(one, depth + 1));
  if (!isObject(value)) return value;
  const schema: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    if (member === null) continue;
    if (name === 'type' && typeof member === 'string') Object.assign(schema, typeOf(member));
    else setOwn(schema, name, schemaOf(member, depth + 1));
  }
  return schema;
}

/** `str`, `List[int]`, `Optional[str]`, `float, optional`: what they are in JSON Schema; nothing for what is not known. */
function typeOf(spelled: string): Record<string, unknown> {
  const plain = spelled
    .toLowerCase()
    .replace(/\boptional\b(?!\[)/, '')
    .replace(/^optional\[(.*)\]$/, '$1')
    .replaceAll(',', (comma, at: number, whole: string) => (whole.slice(at + 1).trim() === '' ? '' : comma))
    .trim();
  const [, outer = plain, inner] = /^([a-z]+)\[(.*)\]$/.exec(plain) ?? [];
  const type = Object.hasOwn(TYPES, outer) ? (TYPES[outer] ?? outer) : outer;
  if (!SCHEMA_TYPES.has(type)) return /^any$|^union/.test(type) ? {} : { type: 'string' };
  return type === 'array' && inner !== undefined && !inner.includes(',')
    ? { type, items: typeOf(inner) }
    : { type };
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}
