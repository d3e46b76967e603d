import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvReader } from '../../src/datasets/csv-records.js';
import { encodingNamed } from '../../src/datasets/encodings.js';
import { openDataset } from '../../src/datasets/index.js';
import { ColumnNames, MOST_COLUMNS, ValueScanner } from '../../src/lib/json-scan.js';
import { textLines } from '../../src/datasets/text-lines.js';
import { ExactNumber, jsonText, parseExact, parseLenient } from '../../src/lib/json.js';
import type { OpenDataset, SourceRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

const HUB = { endpoint: '', datasetsServerUrl: '', token: null };
const ignore = (): void => undefined;
const silent = { debug: ignore, info: ignore, warning: ignore, error: ignore };

async function open(name: string, content: string | Uint8Array, encoding?: string): Promise<OpenDataset> {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  const request = { dataset: path, subset: null, split: null };
  return openDataset(encoding === undefined ? request : { ...request, encoding }, HUB, silent);
}

async function rowsOf(dataset: OpenDataset): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for await (const row of dataset.rows({ columns: dataset.columns, offset: 0, limit: null })) rows.push(row);
  expect(dataset.totalRows).toBe(rows.length);
  return rows;
}

async function read(name: string, content: string | Uint8Array, encoding?: string): Promise<unknown[]> {
  const rows = await rowsOf(await open(name, content, encoding));
  return rows.map((row) => ('value' in row ? row.value : row.problem));
}

/** Bytes of texts, as `iconv` writes them. */
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const utf16 = (text: string, mark = true): Buffer => Buffer.from(`${mark ? '\ufeff' : ''}${text}`, 'utf16le');

describe('bytes that are not UTF-8', () => {
  const header = Buffer.from('question,answer\n');
  it.each([
    ['windows-1252', '4d fc 6c 6c 65 72 2c 6e 61 ef 76 65', 16 + 1],
    ['gb18030', 'c4 e3 ba c3 a3 bf 2c 6f 6b', 16],
    ['shift_jis', '93 fa 96 7b 82 cc 8e f1 93 73 82 cd 82 c7 82 b1 82 c5 82 b7 82 a9', 16],
    ['euc-jp', 'c6 fc cb dc a4 ce bc f3 c5 d4 a4 cf a4 c9 a4 b3 a4 c7 a4 b9 a4 ab', 16],
    ['big5', 'a5 78 c6 57 aa ba ad ba b3 a3 a6 62 ad fe b8 cc a1 48', 16],
    ['euc-kr', 'c7 d1 b1 b9 c0 c7 20 bc f6 b5 b5 b4 c2 20 be ee b5 f0', 16],
    ['windows-1251', 'ca e0 ea e0 ff 20 f1 f2 ee eb e8 f6 e0 20 d0 ee f1 f1 e8 e8', 16],
    ['koi8-r', 'eb c1 cb c1 d1 20 d3 d4 cf cc c9 c3 c1 20 f2 cf d3 d3 c9 c9', 16],
    ['macintosh', '63 61 66 8e 20 63 72 8f 6d 65 2c 4d 9f 6c 6c 65 72', 16 + 3],
  ])('are refused as probably %s, with their place', async (encoding, hex, offset) => {
    const content = Buffer.concat([header, bytes(hex), Buffer.from('\n')]);
    await expect(open('data.csv', content)).rejects.toThrow(
      new RegExp(
        `data\\.csv is not utf-8: byte 0x\\w\\w at offset ${offset} \\(line 2\\).*--encoding ${encoding}`,
      ),
    );
    const [row] = await read('data.csv', content, encoding);
    expect(JSON.stringify(row)).not.toContain('\ufffd');
  });

  it.each([
    ['jsonl', '{"prompt":"a","response":"b"}\n{"prompt":"M\u00fcller","response":"b"}\n', 42, 2],
    ['ndjson', '{"prompt":"a","response":"b"}\n{"prompt":"M\u00fcller","response":"b"}\n', 42, 2],
    ['json', '[{"prompt":"a"},\n{"prompt":"M\u00fcller"}]', 29, 2],
    ['tsv', 'prompt\tresponse\na\tM\u00fcller\n', 19, 2],
  ])('are refused in .%s', async (ending, text, offset, line) => {
    await expect(open(`data.${ending}`, Buffer.from(text, 'latin1'))).rejects.toThrow(
      `byte 0xFC at offset ${offset} (line ${line})`,
    );
  });

  it('are found at the end of a large file, before any row is given', async () => {
    const line = `${JSON.stringify({ prompt: 'x'.repeat(500), response: 'é' })}\n`;
    const content = Buffer.concat([
      Buffer.from(line.repeat(1500)),
      Buffer.from('{"prompt":"caf\xe9"}\n', 'latin1'),
    ]);
    await expect(open('data.jsonl', content)).rejects.toThrow(
      /\(line 1,501\).*The rest of the file looks like UTF-8/,
    );
  });

  it('are distinguished from truncated characters, lone surrogates and UTF-32', async () => {
    const cut = Buffer.from('{"prompt":"日本語で日本"}').subarray(0, -3);
    await expect(open('a.jsonl', cut)).rejects.toThrow(/offset 26 .*damaged at this place/);
    const half = Buffer.concat([Buffer.from('{"prompt":"'), bytes('ed a0 bd'), Buffer.from('"}')]);
    await expect(open('b.jsonl', half)).rejects.toThrow(/half of a surrogate pair/);
    const utf32 = bytes('ff fe 00 00 7b 00 00 00 22 00 00 00');
    await expect(open('c.jsonl', utf32)).rejects.toThrow(/is UTF-32/);
  });

  it('are UTF-16 without a mark where every second byte is 0', async () => {
    const text = utf16('prompt,response\na,b\n', false);
    await expect(open('data.csv', text)).rejects.toThrow(/looks like utf-16le.*--encoding utf-16le/);
    await expect(open('data.csv', text.swap16())).rejects.toThrow(/looks like utf-16be/);
  });

  it('may be wrong for the encoding that was named, too', async () => {
    await expect(open('a.csv', bytes('61 0a 82 20 0a'), 'shift_jis')).rejects.toThrow(
      /is not shift_jis.*offset 3/,
    );
  });
});

describe('text in other encodings', () => {
  const row = { prompt: 'Größe? €', response: '日本 😀' };
  const texts = {
    csv: `prompt,response\n${row.prompt},${row.response}\n`,
    tsv: `prompt\tresponse\n${row.prompt}\t${row.response}\n`,
    json: JSON.stringify([row]),
    jsonl: JSON.stringify(row),
  };
  it.each(Object.entries(texts))('is read as UTF-16 from .%s', async (ending, text) => {
    expect(await read(`a.${ending}`, utf16(text))).toEqual([row]);
    expect(await read(`a.${ending}`, utf16(text).swap16())).toEqual([row]);
    expect(await read(`a.${ending}`, utf16(text, false), 'utf-16le')).toEqual([row]);
    expect(await read(`a.${ending}`, utf16(text, false).swap16(), 'utf-16be')).toEqual([row]);
    expect(await read(`a.${ending}`, `\ufeff${text}`)).toEqual([row]);
  });

  it('keeps U+FFFD and U+FEFF inside a cell', async () => {
    const odd = [{ prompt: '\ufeffHello \ufffd', response: '\ufeff' }];
    expect(await read('a.json', JSON.stringify(odd))).toEqual(odd);
    expect(await read('a.jsonl', JSON.stringify(odd[0]))).toEqual(odd);
    expect(await read('a.csv', '\ufeffprompt,response\n\ufeffHello \ufffd,\ufeff\n')).toEqual(odd);
  });

  it.each([
    ['latin-1', 'windows-1252'],
    ['ISO-8859-1', 'windows-1252'],
    ['cp1252', 'windows-1252'],
    ['utf8', 'utf-8'],
    ['UTF-8-SIG', 'utf-8'],
    ['utf_16', 'utf-16le'],
    ['utf_16_be', 'utf-16be'],
    ['cp932', 'shift_jis'],
    ['GBK', 'gbk'],
    ['mac_roman', 'macintosh'],
  ])('may be called %s', (label, name) => {
    expect(encodingNamed(label)).toBe(name);
  });

  it('of no known name is a wrong command line', () => {
    expect(() => encodingNamed('klingon')).toThrow(/--encoding klingon is not a known encoding/);
  });

  it('is the same wherever the file is split', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'text');
    const text = fc
      .string({ unit: 'grapheme', maxLength: 40 })
      .map((one) => one.toWellFormed().replaceAll(/[\r\ufeff]/g, ''));
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.integer({ min: (1 << 18) - 12, max: 1 << 18 }),
        fc.constantFrom('utf-8', 'utf-16le', 'utf-16be'),
        async (value, before, encoding) => {
          const whole = 'x'.repeat(encoding === 'utf-8' ? before : before >> 1) + value;
          const encoded = Buffer.from(whole, encoding === 'utf-8' ? 'utf8' : 'utf16le');
          writeFileSync(path, encoding === 'utf-16be' ? encoded.swap16() : encoded);
          const lines: string[] = [];
          for await (const some of textLines({ path, shown: path, encoding }))
            lines.push(...some.map((line) => line.bytes.toString('utf8')));
          expect(lines.join('\n')).toBe(whole.replace(/\n$/, ''));
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('CSV', () => {
  it.each<[string, string, string, unknown[]]>([
    [
      'a delimiter in a quoted header',
      'a.csv',
      '"Frage, lang";Antwort\nWas?;Das',
      [{ 'Frage, lang': 'Was?', Antwort: 'Das' }],
    ],
    [
      'a comma in a tab file’s header',
      'a.tsv',
      'question\tanswer, short\nWhat?\tThat',
      [{ question: 'What?', 'answer, short': 'That' }],
    ],
    ['tabs in a .csv file', 'a.csv', 'q\ta, b\nWhat?\tThat', [{ q: 'What?', 'a, b': 'That' }]],
    ['a bar', 'a.csv', 'q|a\nWhat?|That', [{ q: 'What?', a: 'That' }]],
    ['sep=', 'a.csv', 'sep=;\r\nq;a\r\nA, b?;x\r\n', [{ q: 'A, b?', a: 'x' }]],
    [
      'a bare quote',
      'a.csv',
      'q,a\nA 5" pipe?,12 cm\n"Next" one?,"x" y',
      [
        { q: 'A 5" pipe?', a: '12 cm' },
        { q: 'Next one?', a: 'x y' },
      ],
    ],
    [
      'line ends of an old Mac',
      'a.csv',
      'q,a\rA?,x\rB?,y',
      [
        { q: 'A?', a: 'x' },
        { q: 'B?', a: 'y' },
      ],
    ],
    [
      'several lines in a cell',
      'a.csv',
      'q,a\r\n"A?\r\nsecond",x\r\n\r\nB?,\r\n',
      [
        { q: 'A?\r\nsecond', a: 'x' },
        { q: 'B?', a: '' },
      ],
    ],
    ['the index of pandas', 'a.csv', ',q,a\n0,A?,x', [{ 'Unnamed: 0': '0', q: 'A?', a: 'x' }]],
    [
      'a comma at the end of rows',
      'a.csv',
      'q,a\nA?,x,\nB?,y,,',
      [
        { q: 'A?', a: 'x' },
        { q: 'B?', a: 'y' },
      ],
    ],
    ['missing cells', 'a.csv', 'q,a\nA?', [{ q: 'A?', a: null }]],
    ['backslashes before quotes', 'a.csv', 'q,a\n"say \\"hi\\", then",x', [{ q: 'say "hi", then', a: 'x' }]],
    ['a path at the end of quotes', 'a.csv', 'q,a\n"C:\\dir\\",x', [{ q: 'C:\\dir\\', a: 'x' }]],
    ['one column', 'a.csv', 'prompt\nA?\n"B, c?"', [{ prompt: 'A?' }, { prompt: 'B, c?' }]],
    [
      'a name like a prototype’s',
      'a.csv',
      '__proto__,q\nx,A?',
      [
        Object.fromEntries([
          ['__proto__', 'x'],
          ['q', 'A?'],
        ]),
      ],
    ],
  ])('with %s is read as spreadsheets and pandas do', async (_, name, text, expected) => {
    expect(await read(name, text)).toEqual(expected);
  });

  it('names the line of a row that is too long, of an unclosed quote, and of missing cells', async () => {
    expect(await read('a.csv', 'q,a\n"x\ny",z\nA, b?,x\n')).toEqual([
      { q: 'x\ny', a: 'z' },
      expect.stringMatching(/line 4 .*3 cells, the header 2/),
    ]);
    await expect(open('a.csv', 'q,a\n"x\ny",z\nA?,"open\n\n')).rejects.toThrow(
      /quote that opens at line 4 is never closed/,
    );
    const short = await open('a.csv', 'q,a\nA?,x\nB?\nC?\n');
    expect(short.warnings).toEqual([expect.stringMatching(/2 rows of a\.csv have fewer cells .*line 3/)]);
    const mixed = await open('a.csv', 'q,a\n"C:\\",x\n"say \\"hi\\"",y');
    expect(mixed.warnings).toEqual([expect.stringMatching(/Line 3 of a\.csv has \\" inside quotes/)]);
  });

  it('reports columns with the same name', async () => {
    expect((await open('a.csv', 'q,a,a\nA?,x,y')).repeatedColumns).toEqual(['a']);
  });

  it('gives back what was written, for any escapes, delimiter and chunks', () => {
    const cellText = fc.string({ unit: fc.constantFrom('a', '"', ',', ';', '\n', '\r', ' ', 'é', '\\') });
    const table = fc.array(fc.tuple(cellText, cellText), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        table,
        fc.constantFrom(',', ';', '\t'),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.nat(7),
        fc.boolean(),
        (records, delimiter, end, size, backslash) => {
          const escaped = (text: string): string =>
            backslash ? text.replaceAll('\\', '').replaceAll('"', '\\"') : text.replaceAll('"', '""');
          const quoted = (text: string): string => `"${escaped(text)}"`;
          const text = records.map((cells) => cells.map(quoted).join(delimiter) + end).join('');
          const reader = new CsvReader({ delimiter, backslash });
          const found: string[][] = [];
          for (let at = 0; at < text.length; at += size + 1)
            found.push(...reader.push(text.slice(at, at + size + 1)).map((record) => record.cells));
          found.push(...reader.end().map((record) => record.cells));
          const expected = backslash
            ? records.map((cells) => cells.map((cell) => cell.replaceAll('\\', '')))
            : records;
          expect(found).toEqual(expected);
        },
      ),
    );
  });
});

describe('a row that is too much', () => {
  const huge = 'x'.repeat(25 << 20);
  const many = `[${'0,'.repeat(500_001)}0]`;

  it.each<[string, string, RegExp[]]>([
    [
      'a.jsonl',
      `{"q":"one"}\n{"q":"${huge}"}\n{"q":${many}}\n${'['.repeat(2_000_001)}\n{"q":"five"}\n`,
      [
        /line 2 of a\.jsonl is longer than 24 MB .*\{"q":"xxx/,
        /line 3 .* more than 500,000 values/,
        /line 4/,
      ],
    ],
    [
      'a.json',
      `[{"q":"one"},{"q":"\\"${huge}"},{"q":${many}},[[0]],{"q":"five"}]`,
      [/row 1 of a\.json is longer than 24 MB/, /row 2 .* more than 500,000 values/, /row 3/],
    ],
    [
      'a.csv',
      `q,r\none,1\n"${huge}""\n",1\n${','.repeat(100_001)}\nx,1,2\nfive,1\n`,
      [/line 3 of a\.csv is longer than 24 MB/, /has more than 100,000 cells/, /has 3 cells, the header 2/],
    ],
  ])('fails alone: %s', async (name, content, problems) => {
    const rows = await rowsOf(await open(name, content));
    expect(rows[0]).toMatchObject({ index: 0, value: { q: 'one' } });
    expect(rows.slice(1, -1)).toEqual(
      problems.map((problem, place) => ({
        index: place + 1,
        problem: expect.stringMatching(problem) as string,
      })),
    );
    expect(rows.at(-1)).toMatchObject({ index: 4, value: { q: 'five' } });
  });

  it('is one whose header is longer than a piece of the file, too, and has all its columns', async () => {
    const names = Array.from({ length: 12_000 }, (_, index) => `a rather long name of a column ${index}`);
    const dataset = await open(
      'wide.csv',
      `${names.join(',')}\n${names.map((_, index) => index).join(',')}\n`,
    );
    expect(dataset.columns).toEqual(names.slice(0, MOST_COLUMNS));
    expect(dataset.warnings).toEqual([expect.stringMatching(/more than 10,000 different columns/)]);
    const [row] = await rowsOf(dataset);
    expect(row).toMatchObject({ value: { [names[9999] ?? '']: '9999' } });
  });

  it('is passed over wherever its pieces are cut', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 4 }),
        fc.constantFrom(',', ']', ' ', '}'),
        fc.nat(5),
        (json, after, size) => {
          const text = Buffer.from(`${json}${after}`);
          const scanner = new ValueScanner();
          let found = -1;
          for (let at = 0; at < text.length && found === -1; at += size + 1) {
            const end = scanner.endIn(text.subarray(at, at + size + 1), 0);
            if (end !== -1) found = at + end;
          }
          expect(found).toBe(Buffer.byteLength(json));
        },
      ),
    );
  });
});

describe('JSON', () => {
  it('keeps the spelling of numbers that JavaScript would change, and reads NaN as null', async () => {
    const text =
      '{"a":12345678901234567890,"b":1.0,"c":1e3,"d":-0,"e":NaN,"f":[-Infinity,{"g":9007199254740993,"h":"NaN 1.0"}],"i":7,"j":"\\"1.0"}';
    for (const [name, content] of [
      ['a.jsonl', text],
      ['a.json', `[${text}]`],
    ] as const) {
      const [row] = (await read(name, content)) as Record<string, unknown>[];
      expect(jsonText(row)).toBe(
        '{"a":12345678901234567890,"b":1.0,"c":1e3,"d":-0,"e":null,"f":[null,{"g":9007199254740993,"h":"NaN 1.0"}],"i":7,"j":"\\"1.0"}',
      );
      expect(row?.['i']).toBe(7);
    }
  });

  it('means the same as JSON.parse makes of it', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseLenient(text)).toEqual(JSON.parse(text));
        const plain = (value: unknown): unknown =>
          JSON.parse(
            JSON.stringify(value, (_, inner: unknown) =>
              inner instanceof ExactNumber ? Number(inner.text) : inner,
            ),
          );
        expect(plain(parseExact(text))).toEqual(plain(JSON.parse(text)));
      }),
    );
  });

  it('of the same rows is an array, splits, or objects one after the other', async () => {
    const rows = [
      { q: 'a "b" [c]', a: '\\' },
      { q: '{', a: '}\n' },
    ];
    const text = JSON.stringify(rows, null, 1);
    expect(await read('a.json', text)).toEqual(rows);
    expect(await read('a.json', ` {"test":[1,{"x":[]}],"info":{"a":1},"train":${text},"n":3}\n`)).toEqual(
      rows,
    );
    expect(await read('a.json', rows.map((row) => JSON.stringify(row)).join('\n'))).toEqual(rows);
    expect(await read('a.json', JSON.stringify(rows[0]))).toEqual([rows[0]]);
  });

  it.each([
    ['[{"q":"a"},{"q":"b"', /not complete JSON: it ends after row 1/],
    ['[{"q":"a"} {"q":"b"}]', /not JSON: "\]" is missing before/],
    ['[{"q":"a"}] x', /there is text after its end/],
    ['[{"q":"a"},]', /a value is missing/],
    ['[{"q":"a"},{"q":oops}]', /row 1 is not JSON/],
    ['{"test":[]}', /no split "train"; it has test/],
    ['"text"', /not JSON: it begins with/],
    ['', /is empty/],
  ])('that is broken is refused: %s', async (text, message) => {
    await expect(open('a.json', text).then(rowsOf)).rejects.toThrow(message);
  });

  it('may hold a row larger than what is read at a time', async () => {
    const rows = [
      { q: 'x"'.repeat(400_000), a: 1 },
      { q: 'y', a: 2 },
    ];
    expect(await read('a.json', JSON.stringify(rows))).toEqual(rows);
    expect(await read('a.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))).toEqual(rows);
  });

  it('nested too deeply fails one row', async () => {
    const deep = `{"q":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    expect(await read('a.jsonl', `${deep}\n{"q":"a"}`)).toEqual([
      expect.stringMatching(/line 1 .*nested too deeply/),
      { q: 'a' },
    ]);
  });

  it('has the columns of all rows, in any order', async () => {
    const rows = Array.from({ length: 300 }, (_, index) =>
      index === 250 ? { late: 'x', q: '' } : index % 2 === 0 ? { q: 'a', a: 'b' } : { a: 'b', q: 'a' },
    );
    expect((await open('a.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))).columns).toEqual([
      'q',
      'a',
      'late',
    ]);
    expect((await open('a.json', JSON.stringify(rows))).columns).toEqual(['q', 'a', 'late']);
  });

  it('with a name for every row is bounded', () => {
    const names = new ColumnNames();
    for (let index = 0; index < MOST_COLUMNS + 50; index++) names.learn(Buffer.from(`{"id${index}":1}`));
    expect(names.names).toHaveLength(MOST_COLUMNS);
    expect(names.isFull).toBe(true);
  });

  it('gives the names that parsing gives', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.string({ maxLength: 3 }), fc.jsonValue()), { maxLength: 8 }),
        (objects) => {
          const names = new ColumnNames();
          for (const one of objects) names.learn(Buffer.from(JSON.stringify(one, null, objects.length % 3)));
          expect(new Set(names.names)).toEqual(new Set(objects.flatMap((one) => Object.keys(one))));
        },
      ),
    );
  });
});
