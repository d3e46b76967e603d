import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RawFile } from '../../src/batches/raw-files.js';
import { openFile, removeLeftovers, replaceFile, replaceQuickly } from '../../src/lib/files.js';
import { LogFile } from '../../src/terminal/log.js';
import { requireOwnFolder } from '../../src/lib/own-folder.js';
import { runFolder } from '../../src/run/folder.js';
import { JournalWriter } from '../../src/run/journal.js';
import { requireOwnRun } from '../../src/run/own-run.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { foldersIn, runCli, temporaryFolder } from '../support/cli.js';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

/** A folder of a run, private as the program makes it, with a file in it. */
function privateFolder(): string {
  const folder = join(temporaryFolder(), 'run');
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, 'output.jsonl'), '', { mode: 0o600 });
  return folder;
}

describe.skipIf(process.platform === 'win32')('folders that others own or can write to', () => {
  it('accepts a private folder below one that everybody can write to, and one that is not there', () => {
    const parent = temporaryFolder();
    chmodSync(parent, 0o777);
    mkdirSync(join(parent, 'run'), { mode: 0o700 });
    requireOwnFolder(join(parent, 'run'));
    requireOwnFolder(join(parent, 'other'));
  });

  it.each([0o770, 0o720, 0o707, 0o702, 0o777, 0o1777, 0o2770])('refuses mode %o', (mode) => {
    const folder = privateFolder();
    chmodSync(folder, mode);
    expect(() => {
      requireOwnFolder(folder);
    }).toThrow(`Other users can write to ${folder} (mode ${mode.toString(8).padStart(4, '0')})`);
    expect(readdirSync(folder)).toEqual(['output.jsonl']);
  });

  it.each([0o666, 0o620, 0o602])('refuses a file of mode %o that others can reach', (mode) => {
    const folder = privateFolder();
    chmodSync(join(folder, 'output.jsonl'), mode);
    requireOwnFolder(folder);
    chmodSync(folder, 0o755);
    expect(() => {
      requireOwnFolder(folder);
    }).toThrow(`chmod go-w ${join(folder, 'output.jsonl')}`);
  });

  it('accepts folders and files that others can only read', () => {
    const folder = privateFolder();
    chmodSync(folder, 0o755);
    chmodSync(join(folder, 'output.jsonl'), 0o644);
    requireOwnFolder(folder);
  });

  it('refuses a named pipe, which would block the reader', () => {
    const folder = privateFolder();
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    expect(() => {
      requireOwnFolder(folder);
    }).toThrow('pipe is neither a file nor a folder');
    expect(() => openFile(join(folder, 'pipe'), 'read')).toThrow('it is a named pipe, not a file');
  });

  it('follows a link of the user to a folder of the user', () => {
    const folder = privateFolder();
    const link = join(temporaryFolder(), 'link');
    symlinkSync(folder, link);
    requireOwnFolder(link);
  });

  it.runIf(isRoot)('refuses folders, files and links of another user', () => {
    const [first, second] = [privateFolder(), privateFolder()];
    chownSync(first, NOBODY, NOBODY);
    const link = join(temporaryFolder(), 'link');
    symlinkSync(second, link);
    lchownSync(link, NOBODY, NOBODY);
    const third = privateFolder();
    chownSync(join(third, 'output.jsonl'), NOBODY, NOBODY);
    for (const folder of [first, link, third]) {
      expect(() => {
        requireOwnFolder(folder);
      }).toThrow(/belongs to another user \(id 65534; you are 0\)/);
    }
  });
});

describe.skipIf(process.platform === 'win32')('links in the place of files', () => {
  /** A link to a file that must not change. */
  function linkTo(): { path: string; victim: string } {
    const folder = temporaryFolder();
    const [path, victim] = [join(folder, 'file'), join(folder, 'victim')];
    writeFileSync(victim, 'precious');
    symlinkSync(victim, path);
    return { path, victim };
  }
  const quiet = { info() {}, warning() {}, error() {}, debug() {} };

  it.each<[string, (path: string) => unknown]>([
    [
      'replaceFile',
      (path) =>
        replaceFile(path, (file) => {
          file.write('new');
        }),
    ],
    [
      'replaceQuickly',
      (path) => {
        replaceQuickly(path, 'new');
      },
    ],
    ['openFile to append', (path) => openFile(path, 'append')],
    ['openFile to change', (path) => openFile(path, 'change')],
    ['openFile to create', (path) => openFile(path, 'create')],
    ['openFile to read', (path) => openFile(path, 'read')],
    ['the journal', (path) => new JournalWriter(path, () => undefined)],
    ['--output_file', (path) => new RawFile(path, '--output_file', quiet)],
  ])('%s does not follow one', async (_, write) => {
    const { path, victim } = linkTo();
    await expect(
      (async () => {
        await write(path);
      })(),
    ).rejects.toThrow(/symbolic link|ELOOP|EEXIST/);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(readdirSync(join(path, '..'))).toHaveLength(2);
  });

  it('a log loses its lines rather than follow one', () => {
    const { path, victim } = linkTo();
    const log = new LogFile(path, 'info', new Redactor([]));
    log.write('info', 'a line');
    expect(log.problem).toContain(path);
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });

  it('a run with one among its files is refused, also where it leads nowhere', () => {
    const folder = temporaryFolder();
    const run = runFolder(join(folder, 's'), join(folder, 't'), 'run');
    mkdirSync(run.temp, { recursive: true, mode: 0o700 });
    symlinkSync(join(folder, 'nowhere'), run.counters);
    expect(() => {
      requireOwnRun(run);
    }).toThrow('Remove the link');
  });
});

describe('temporary files', () => {
  it('have a name that differs every time, and do not write into one that is there', async () => {
    const folder = temporaryFolder();
    const names = new Set<string>();
    for (let time = 0; time < 3; time++) {
      await replaceFile(join(folder, 'report.html'), (file) => {
        file.write('page');
        names.add(file.path);
        expect(statSync(file.path).mode & 0o077).toBe(0);
      });
    }
    expect(names.size).toBe(3);
    expect(readdirSync(folder)).toEqual(['report.html']);
  });

  it('are removed beside a file outside a run once they are an hour old, and nothing else is', () => {
    const folder = temporaryFolder();
    const old = '.report.html.0123456789abcdef.reannotate-tmp';
    const kept = [
      '.report.html.fedcba9876543210.reannotate-tmp',
      '.other.html.0123456789abcdef.reannotate-tmp',
      'report.html.reannotate-tmp',
      '.report.html.x.reannotate-tmp',
    ];
    for (const name of [old, ...kept]) {
      writeFileSync(join(folder, name), '');
      if (name !== kept[0]) utimesSync(join(folder, name), 1, 1);
    }
    removeLeftovers(join(folder, 'report.html'));
    expect(readdirSync(folder).sort()).toEqual([...kept].sort());
  });
});

it.runIf(isRoot)(
  'a run folder that another user planted is refused before anything is sent or written',
  async () => {
    const folder = temporaryFolder();
    const data = join(folder, 'd.jsonl');
    writeFileSync(data, '{"instruction":"a","input":"","output":"b"}\n');
    const planted = join(folder, 'temp', 'd.jsonl_m');
    mkdirSync(planted, { recursive: true, mode: 0o777 });
    chownSync(planted, NOBODY, NOBODY);
    const args = [
      '--dataset',
      'd.jsonl',
      '--annotator',
      'openai/m',
      '--base_url',
      'http://127.0.0.1:9/v1',
      ...foldersIn(folder),
    ];
    const { code, stderr } = await runCli(args, { cwd: folder, env: { OPENAI_API_KEY: 'sk-test-key-0001' } });
    expect(code).toBe(1);
    expect(stderr).toContain(`${planted} belongs to another user`);
    expect(readdirSync(planted)).toEqual([]);
    expect(existsSync(join(folder, 'saved'))).toBe(false);
  },
);
