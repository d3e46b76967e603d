/** Values of Arrow columns as JSON would hold them, spelled as those of Parquet are: exact integers, decimals and times. */

import type * as ApacheArrow from 'apache-arrow';
import type { Data, Dictionary, Vector } from 'apache-arrow';
import { setOwn } from '../lib/json.js';
import {
  bytesOrText,
  decimalText,
  exactInteger,
  NotText,
  shortestFloat,
  textOf,
  timeText,
} from './parquet-values.js';

type Arrow = typeof ApacheArrow;
type Read = (row: number) => unknown;
/** A column's buffers, as apache-arrow lays them out. */
interface Buffers {
  values: ArrayLike<number | bigint> & { subarray(start: number, end: number): Uint8Array };
  valueOffsets: ArrayLike<number | bigint>;
  stride: number;
}

/** What reads a column's rows by their numbers; nulls and numbers that JSON lacks are null. */
export function arrowReader(arrow: Arrow, data: Data): Read {
  const read = valueReader(arrow, data);
  if (data.nullCount === 0 && data.type.typeId !== arrow.Type.Null) return read;
  return (row) => (data.getValid(row) ? read(row) : null);
}

function valueReader(arrow: Arrow, data: Data): Read {
  const { Type } = arrow;
  const buffers = data as unknown as Buffers;
  // oxlint-disable-next-line switch-exhaustiveness-check -- most of the library's types are read by the library itself
  switch (data.type.typeId) {
    case Type.Null:
      return () => null;
    case Type.Utf8:
    case Type.LargeUtf8:
      return (row) => textOf(bytesAt(buffers, row));
    case Type.Binary:
    case Type.LargeBinary:
      return (row) => bytesOrText(bytesAt(buffers, row));
    case Type.Int:
      return (row) => integerAt(buffers, row);
    case Type.Decimal:
      return decimalReader(buffers, (data.type as unknown as { scale: number }).scale);
    case Type.Timestamp:
      return timestampReader(buffers, (data.type as unknown as { unit: number }).unit);
    case Type.List:
    case Type.LargeList:
    case Type.Map:
      return listReader(arrow, data, buffers);
    case Type.FixedSizeList:
      return fixedListReader(arrow, data, buffers.stride);
    case Type.Struct:
      return structReader(arrow, data);
    case Type.Dictionary:
      return dictionaryReader(arrow, data, buffers);
    default:
      return otherReader(arrow, data);
  }
}

function bytesAt({ values, valueOffsets }: Buffers, row: number): Uint8Array {
  const start = Number(valueOffsets[row]);
  const end = Number(valueOffsets[row + 1]);
  if (!(start >= 0 && end >= start && end <= values.length))
    throw new Error('a text lies outside of its buffer');
  return values.subarray(start, end);
}

function integerAt({ values }: Buffers, row: number): unknown {
  const value = values[row];
  if (value === undefined) throw new Error('a column has fewer values than rows');
  return typeof value === 'bigint' ? exactInteger(value) : value;
}

/** Little-endian two's complement in 32-bit words. */
function decimalReader({ values, stride }: Buffers, scale: number): Read {
  return (row) => {
    let unscaled = 0n;
    for (let word = stride - 1; word >= 0; word--) {
      const bits = values[row * stride + word];
      if (bits === undefined) throw new Error('a column has fewer values than rows');
      unscaled = (unscaled << 32n) | BigInt(bits);
    }
    return decimalText(BigInt.asIntN(stride * 32, unscaled), scale);
  };
}

/** Units count 0 for seconds, 1 for milliseconds, 2 for microseconds, 3 for nanoseconds. */
function timestampReader({ values }: Buffers, unit: number): Read {
  return (row) => {
    const value = values[row];
    if (value === undefined) throw new Error('a column has fewer values than rows');
    return unit === 0 ? timeText(BigInt(value) * 1000n, 3) : timeText(BigInt(value), unit * 3);
  };
}

function childReader(arrow: Arrow, data: Data, place: number): { read: Read; length: number } {
  const child = data.children[place];
  if (child === undefined) throw new Error('a nested column has no values');
  return { read: arrowReader(arrow, child), length: child.length };
}

function listReader(arrow: Arrow, data: Data, { valueOffsets }: Buffers): Read {
  const { read, length } = childReader(arrow, data, 0);
  return (row) => {
    const start = Number(valueOffsets[row]);
    const end = Number(valueOffsets[row + 1]);
    if (!(start >= 0 && end >= start && end <= length)) throw new Error('a list lies outside of its buffer');
    return Array.from({ length: end - start }, (_, place) => read(start + place));
  };
}

function fixedListReader(arrow: Arrow, data: Data, stride: number): Read {
  const { read } = childReader(arrow, data, 0);
  return (row) => Array.from({ length: stride }, (_, place) => read(row * stride + place));
}

function structReader(arrow: Arrow, data: Data): Read {
  const fields = (data.type.children as readonly { name: string }[]).map(({ name }, place) => ({
    name,
    ...childReader(arrow, data, place),
  }));
  return (row) => {
    const value: Record<string, unknown> = {};
    for (const { name, read } of fields) setOwn(value, name, read(row));
    return value;
  };
}

function dictionaryReader(arrow: Arrow, data: Data, buffers: Buffers): Read {
  const dictionary = data.dictionary as Vector<Dictionary> | undefined;
  const readers = (dictionary?.data ?? []).map((chunk) => ({
    read: arrowReader(arrow, chunk as Data),
    length: chunk.length,
  }));
  return (row) => {
    let index = Number(buffers.values[row]);
    for (const { read, length } of readers) {
      if (index >= 0 && index < length) return read(index);
      index -= length;
    }
    throw new Error('a value is not in its dictionary');
  };
}

/** What has no care of its own: floats, booleans, dates, times, unions. */
function otherReader(arrow: Arrow, data: Data): Read {
  const vector = arrow.makeVector(data);
  const isFloat32 = arrow.DataType.isFloat(data.type) && data.type.precision === arrow.Precision.SINGLE;
  const isDay = arrow.DataType.isDate(data.type) && data.type.unit === arrow.DateUnit.DAY;
  return (row) => {
    const value: unknown = vector.get(row);
    if (isFloat32) return finite(shortestFloat(value));
    if (isDay && typeof value === 'number') return dayText(value);
    return plain(value);
  };
}

function dayText(milliseconds: number): string | null {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? null : date.toISOString().slice(0, 10);
}

function finite(value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? null : (value ?? null);
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return exactInteger(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return bytesOrText(value);
  if (typeof value === 'object' && value !== null) throw new NotText('a type that has no text');
  return finite(value);
}
