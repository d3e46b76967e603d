/** Values of Parquet columns with the text that they have: exact decimals and times, and bytes only where they are text. */

import type { ParquetParsers, SchemaElement } from 'hyparquet';
import { parseExact } from '../lib/json.js';
import { withoutTrailing } from '../lib/text.js';
import { excessOfJson } from './row-limits.js';

/** A column that is read as text has bytes that are not UTF-8. */
export class NotText extends Error {}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @throws NotText where the bytes are not UTF-8 */
export function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new NotText('bytes that are not text');
  }
}

/** Bytes of a column that is not declared as text: text where they are UTF-8, else themselves, such as an image's. */
export function bytesOrText(bytes: Uint8Array): string | Uint8Array {
  try {
    return decoder.decode(bytes);
  } catch {
    return bytes;
  }
}

/** A 64-bit integer: a number where one holds it, else its digits. */
export function exactInteger(value: bigint): number | string {
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

/** Replaces hyparquet's parsers, which lose microseconds, decode any bytes, and cut a cell's first U+FEFF off. */
export const PARSERS: Partial<ParquetParsers> = {
  timestampFromMicroseconds: (micros) => timeText(micros, 6),
  timestampFromNanoseconds: (nanos) => timeText(nanos, 9),
  dateFromDays: (days) => new Date(days * 86_400_000).toISOString().slice(0, 10),
  stringFromBytes: (bytes) => (isMissing(bytes) ? undefined : textOf(bytes)),
  jsonFromBytes: (bytes) =>
    isMissing(bytes) ? undefined : (excessOfJson(bytes) ?? parseExact(textOf(bytes))),
};

/** Null values come as undefined, whatever the declared type says. */
function isMissing(bytes: Uint8Array | undefined): bytes is undefined {
  return bytes === undefined;
}

/** A time in ISO 8601, with as many digits of a second as it has, three at least. */
export function timeText(units: bigint | undefined, digits: number): string | undefined {
  if (units === undefined) return undefined;
  const unit = 10n ** BigInt(digits - 3);
  // Rounds down, for times before 1970, too.
  const rest = ((units % unit) + unit) % unit;
  const date = new Date(Number((units - rest) / unit));
  if (Number.isNaN(date.getTime())) return String(units);
  const more = rest === 0n ? '' : withoutTrailing(String(rest).padStart(digits - 3, '0'), '0');
  return date.toISOString().replace('Z', `${more}Z`);
}

/** What makes a column's raw values exact; null where they are already. */
export function exactValue(element: SchemaElement): ((value: unknown) => unknown) | null {
  if (element.converted_type === 'DECIMAL') {
    const scale = element.scale ?? 0;
    return (value) =>
      decimalText(value instanceof Uint8Array ? integerOf(value) : BigInt(value as number | bigint), scale);
  }
  return element.type === 'FLOAT' ? shortestFloat : null;
}

/** A column's description without its declared type: its values stay unscaled integers. */
export function withoutDecimals(element: SchemaElement): SchemaElement {
  const copy = { ...element };
  delete copy.converted_type;
  return copy;
}

/** An unscaled integer with the point where it belongs. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale <= 0) return String(unscaled * 10n ** BigInt(-scale));
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Big-endian two's complement. */
function integerOf(bytes: Uint8Array): bigint {
  return bytes.length === 0
    ? 0n
    : BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}

/** The shortest number that is the same in 32 bits: 0.1, not 0.10000000149011612. */
export function shortestFloat(value: unknown): unknown {
  if (typeof value !== 'number') return value;
  for (let precision = 6; precision < 9; precision++) {
    const short = Number(value.toPrecision(precision));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
