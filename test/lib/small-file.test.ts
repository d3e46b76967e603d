import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openInput, readLines, readOwnText } from '../../src/lib/files.js';
import { readSmallBytes, readSmallFile } from '../../src/lib/small-file.js';
import { temporaryFolder } from '../support/cli.js';

it('a small file is read without its byte order mark, and a larger one is not read at all', () => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, '\ufeffKEY=1\n');
  expect(readSmallFile(path)).toBe('KEY=1\n');
  expect(() => readSmallBytes(path, 5)).toThrow('the file is larger than 5 bytes');
  truncateSync(path, 3 * 2 ** 30);
  expect(() => readSmallFile(path)).toThrow('the file is larger than 1,048,576 bytes');
});

it.each([
  ['of another encoding', Buffer.from('KEY=\u00e9', 'latin1')],
  ['in UTF-16', Buffer.from('\ufeffKEY=1', 'utf16le')],
  ['of bytes', Buffer.from([0x4b, 0x3d, 0x00, 0x0a])],
])('a file %s is not read as text', (_, bytes) => {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, bytes);
  expect(() => readSmallFile(path)).toThrow('it is not text in UTF-8');
  expect(readSmallBytes(path)).toEqual(bytes);
});

it('a device without an end is read as far as a small file goes', () => {
  expect(() => readSmallFile('/dev/zero')).toThrow('the file is larger than 1,048,576 bytes');
  expect(readSmallFile('/dev/null')).toBe('');
  expect(() => readSmallFile('/')).toThrow('it is a folder');
});

it('a shell’s process substitution is read, and a pipe without a writer does not block the program', () => {
  const path = join(temporaryFolder(), 'pipe');
  execFileSync('mkfifo', [path]);
  expect(() => readSmallFile(path)).toThrow('nothing came out of this pipe');
  spawn('bash', ['-c', `exec 3>"$1"; printf first >&3; sleep 0.1; printf second >&3`, 'bash', path], {
    stdio: 'ignore',
  });
  // Waits for the writer.
  const reader = openSync(path, 'r');
  expect(readSync(reader, Buffer.alloc(1))).toBe(1);
  try {
    expect(readSmallFile(path)).toBe('irstsecond');
  } finally {
    closeSync(reader);
  }
});

it('lines are read of files alone', () => {
  const path = join(temporaryFolder(), 'pipe');
  execFileSync('mkfifo', [path]);
  expect(() => [...readLines(path)]).toThrow('it is a named pipe, not a file');
  expect(() => openInput('/dev/zero')).toThrow('it is a device, not a file');
  expect(() => openInput('/')).toThrow('it is a folder, not a file');
});

it('a file of a run must not be a link, a pipe, or too large', () => {
  const folder = temporaryFolder();
  const [file, link, pipe] = ['file', 'link', 'pipe'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(file, 'text');
  symlinkSync(file, link);
  execFileSync('mkfifo', [pipe]);
  expect(readOwnText(file)).toBe('text');
  expect(() => readOwnText(file, 3)).toThrow(expect.objectContaining({ code: 'EFBIG', path: file }));
  expect(() => readOwnText(link)).toThrow(expect.objectContaining({ code: 'ELOOP' }));
  expect(() => readOwnText(pipe)).toThrow(expect.objectContaining({ code: 'ENOTSUP', path: pipe }));
  expect(() => readOwnText(folder)).toThrow(expect.objectContaining({ code: 'EISDIR' }));
  expect(() => readOwnText(join(folder, 'none'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});
