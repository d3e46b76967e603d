import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { requestOf } from '../../src/run/jobs.js';
import { asksRow } from '../../src/run/journal-request.js';
import { parseRow, rowLine } from '../../src/run/row-line.js';
import type { PromptRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
const DATA = `data:image/png;base64,${PNG.toString('base64')}`;
const URL = 'https://example.org/boat.png';
const DIGEST = 'sha256:';

function read(row: Record<string, unknown>, folders: readonly string[] = []): PromptRow {
  return chooseFormat('me/data', Object.keys(row), NO_FLAGS, folders).apply(row);
}

const image = (url: string): object => ({ type: 'image_url', image_url: { url } });
const text = (value: string): object => ({ type: 'text', text: value });

describe('images of a row', () => {
  it.each([
    ['an address in a column', { prompt: '<image>\nWhat?', image: URL }, [image(URL), text('\nWhat?')], URL],
    [
      'numbered marks',
      { prompt: 'Is <image 1> like <image 1>?', image_1: URL, image_2: null },
      [text('Is '), image(URL), text(' like '), image(URL), text('?')],
      URL,
    ],
    ['without a mark', { prompt: 'What?', images: [URL] }, [image(URL), text('\nWhat?')], URL],
    [
      'bytes and a path',
      { prompt: 'Look: <image>!', image: { bytes: new Uint8Array(PNG), path: 'a.png' } },
      [text('Look: '), image(DATA), text('!')],
      'a.png',
    ],
    ['base64', { prompt: '<image>', image: PNG.toString('base64').padEnd(104, 'A') }, null, DIGEST],
    ['a data URL', { prompt: '<image>', image: DATA }, [image(DATA)], DIGEST],
    ['a page of the Hub', { prompt: '<image>', image: { src: URL, height: 1, width: 1 } }, [image(URL)], URL],
    [
      'a part of OpenAI',
      {
        messages: [
          { role: 'user', content: [text('What?'), { type: 'image_url', image_url: { url: URL } }] },
        ],
      },
      [text('What?\n'), image(URL)],
      URL,
    ],
    [
      'a part that only says where',
      { messages: [{ role: 'user', content: [{ type: 'image' }, text('What?')] }], images: [URL] },
      [image(URL), text('\nWhat?')],
      URL,
    ],
  ])('%s', (_, row, content, reference) => {
    const prompt = read(row);
    const line = Buffer.from(rowLine(prompt));
    const { messages } = requestOf(parseRow(line));
    if (content !== null) expect(messages).toEqual([{ role: 'user', content }]);
    const [shown] = (JSON.parse(line.toString()) as { images: string[] }).images;
    expect(shown?.startsWith(reference)).toBe(true);
    const entry = [{ messages }, {}, { request_idx: 0 }];
    expect(asksRow(Buffer.from(JSON.stringify(entry)), line)).toBe(true);
  });

  it('files are read from the dataset’s folder, and from nowhere else', () => {
    const folder = temporaryFolder();
    const data = join(folder, 'data');
    mkdirSync(join(data, 'coco'), { recursive: true });
    writeFileSync(join(data, 'coco/1.png'), PNG);
    writeFileSync(join(data, 'secret.png'), 'password');
    writeFileSync(join(folder, 'outside.png'), PNG);
    symlinkSync(join(folder, 'outside.png'), join(data, 'link.png'));
    expect(read({ prompt: '<image>', image: 'coco/1.png' }, [data]).images).toEqual([
      { reference: 'coco/1.png', url: DATA },
    ]);
    for (const [path, problem] of [
      ['../outside.png', 'is outside of the dataset’s folder'],
      ['link.png', 'is outside of the dataset’s folder'],
      [join(folder, 'outside.png'), 'is outside of the dataset’s folder'],
      ['secret.png', 'is not PNG, JPEG, GIF or WebP'],
      ['coco', 'is not a file'],
      ['none.png', 'is not in the dataset’s folder'],
    ] as const) {
      expect(() => read({ prompt: '<image>', image: path }, [data])).toThrow(problem);
    }
    expect(() => read({ prompt: '<image>', image: 'coco/1.png' })).toThrow('only its name is in the dataset');
  });

  it.each([
    [{ prompt: '<image> <image>', image: URL }, '1 images and 2 times <image>'],
    [{ prompt: '<image>', image: null }, 'its text has <image>, and "image" holds no image'],
    [{ prompt: '<image>', image: { bytes: new Uint8Array(20_000_001) } }, 'larger than 20 MB'],
    [{ prompt: 'Hear.', audio: 'a.wav' }, '"audio" holds audio, which cannot be sent'],
    [{ prompt: 'See.', videos: ['a.mp4'] }, '"videos" holds video, which cannot be sent'],
    [
      { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }] },
      'a part of type "input_audio", which cannot be sent',
    ],
    [
      { messages: [{ role: 'user', content: [{ type: 'video_url', video_url: {} }] }] },
      'a part of type "video_url", which cannot be sent',
    ],
  ])('%# cannot be sent', (row, problem) => {
    expect(() => read(row)).toThrow(problem);
  });

  it('a row without media is sent as it is', () => {
    expect(read({ prompt: 'Hear.', audio: null, image: null }).images).toBeUndefined();
    expect(read({ prompt: 'Write an <image> tag.' }).user_prompt).toBe('Write an <image> tag.');
  });
});
