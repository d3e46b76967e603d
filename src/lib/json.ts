/** True for a JSON object: no null, no array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for what an object of JSON becomes; objects of our own, such as exact numbers and dates, are none. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Sets an own property of any name: assigned, `__proto__` would be the prototype. */
export function setOwn(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') target[name] = value;
  else Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
}

/** The value of JSON text; undefined, which JSON has none of, where it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * A number as it is spelled where a JavaScript number would spell it otherwise: 12345678901234567890, 1.0, 1e3.
 * `jsonText` writes it unchanged.
 */
export class ExactNumber {
  constructor(readonly text: string) {}
}

/** `NaN` and infinities are not JSON, but Python's `json.dump` and C's `printf` write them; inside a string they are text. */
const NOT_JSON = /-?\b(?:NaN|Infinity|nan|inf)\b/g;
const NUMBER = /-?\d[\d.eE+-]*/g;
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * The value of JSON text, with `NaN` and infinities as null.
 * @throws SyntaxError where it is not JSON even so
 */
export function parseLenient(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!/nan|inf/i.test(text)) throw error;
    return JSON.parse(outsideStrings(text, withoutNaN));
  }
}

/**
 * The same, with every number that JavaScript would spell otherwise as an `ExactNumber`.
 * @throws SyntaxError where it is not JSON; RangeError where it is nested too deeply
 */
export function parseExact(text: string): unknown {
  // A key that the text does not hold, so that no object of it is taken for a number.
  let mark = '#';
  while (text.includes(mark)) mark += '#';
  const marked = outsideStrings(text, (part) =>
    withoutNaN(part).replace(NUMBER, (number) =>
      JSON_NUMBER.test(number) && String(Number(number)) !== number ? `{"${mark}":"${number}"}` : number,
    ),
  );
  return JSON.parse(marked, (_, value: unknown) => {
    const number = isObject(value) && Object.hasOwn(value, mark) ? value[mark] : undefined;
    return typeof number === 'string' ? new ExactNumber(number) : value;
  });
}

function withoutNaN(part: string): string {
  return /[NIni]/.test(part) ? part.replace(NOT_JSON, 'null') : part;
}

/** Changes what is between the strings of JSON text. */
function outsideStrings(text: string, change: (part: string) => string): string {
  const parts: string[] = [];
  for (let at = 0; at < text.length;) {
    const open = text.indexOf('"', at);
    if (open === -1) {
      parts.push(change(text.slice(at)));
      break;
    }
    let close = text.indexOf('"', open + 1);
    while (close !== -1 && isEscaped(text, close)) close = text.indexOf('"', close + 1);
    const end = close === -1 ? text.length : close + 1;
    parts.push(change(text.slice(at, open)), text.slice(open, end));
    at = end;
  }
  return parts.join('');
}

function isEscaped(text: string, quote: number): boolean {
  let before = quote - 1;
  while (text[before] === '\\') before -= 1;
  return (quote - before) % 2 === 0;
}

/** JSON text of a value in which `ExactNumber`s may occur. @throws RangeError where it is nested too deeply */
export function jsonText(value: unknown): string {
  if (value instanceof ExactNumber) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
  if (isObject(value)) {
    return `{${Object.entries(value)
      .map(([name, inner]) => `${JSON.stringify(name)}:${jsonText(inner)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value ?? null);
}
