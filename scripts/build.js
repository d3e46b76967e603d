// Bundles src/ into dist/ and makes the two commands executable.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

/**
 * Packages that are looked for in node_modules when they are needed: those in `dependencies`, but for the ones that every
 * run loads, since finding and reading their many files would take longer than starting Node. Everything else is bundled,
 * the large ones into files that are loaded when they are needed; it is a development dependency then.
 */
const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const BUNDLED_ANYWAY = new Set(['commander', 'yaml', 'p-limit', 'openai']);
const INSTALLED = Object.keys(dependencies).filter((name) => !BUNDLED_ANYWAY.has(name));

/**
 * Modules that every command loads, those that every run loads, and those that the Parquet process does; known once the
 * graph is.
 */
let starting;
let running;
let decoding;

/** What a run over a local file imports later, besides what its command imports at its start. */
const RUN_ENTRIES = [
  'src/commands/reannotate.ts',
  'src/session/next-command.ts',
  'src/datasets/local.ts',
  'src/datasets/local-jsonl.ts',
];

/**
 * What packages that every command loads import, and this program never calls: finding and running it would take a tenth
 * of the time to start. undici speaks HTTP/2 only where a client allows it, and needs the parts of fetch only for forms and
 * blobs as bodies; commander starts programs only for commands that are programs of their own.
 */
const LEFT_OUT = {
  undici: ['./client-h2.js', '../web/fetch/body.js'],
  commander: ['node:child_process'],
};
const isLeftOut = (source, importer = '') =>
  Object.entries(LEFT_OUT).some(
    ([name, sources]) => importer.split(/[\\/]/).includes(name) && sources.includes(source),
  );
const leavingOut = {
  name: 'leaving out',
  resolveId: (source, importer) => (isLeftOut(source, importer) ? resolve('scripts/left-out.cjs') : null),
};

rmSync('dist', { recursive: true, force: true });
const bundle = await rolldown({
  // The last one is a process that the program starts, so it has its own file.
  input: {
    cli: 'src/cli/reannotate.ts',
    'watch-batch': 'src/cli/watch-batch.ts',
    library: 'src/library/index.ts',
    'parquet-decoder': 'src/datasets/parquet-decoder.ts',
  },
  platform: 'node',
  plugins: [leavingOut],
  resolve: { alias: { '@huggingface/xetchunk-wasm': resolve('scripts/no-xet.js') } },
  preserveEntrySignatures: 'allow-extension',
  external: (name, importer) =>
    (name.startsWith('node:') && !isLeftOut(name, importer)) ||
    INSTALLED.some((one) => name === one || name.startsWith(`${one}/`)),
  onLog: (level, log) => {
    // demo.ts is loaded when it is needed, and so is what it imports.
    if (log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT') process.stderr.write(`${level}: ${log.message}\n`);
  },
});
const written = await bundle.write({
  dir: 'dist',
  chunkFileNames: '[name].js',
  comments: { legal: true, jsdoc: false },
  // Texts of one byte a character are compiled sooner.
  charset: 'ascii',
  codeSplitting: {
    groups: [{ name: groupOf, debugName: 'start or run' }],
    includeDependenciesRecursively: false,
  },
});
await bundle.close();
// The page of a report: one script and one style sheet, which the command puts into each page.
const page = await rolldown({ input: 'src/report/page/main.ts', platform: 'browser' });
const pageWritten = await page.write({
  file: 'dist/report-page/page.js',
  format: 'iife',
  minify: true,
  comments: { legal: true },
});
await page.close();
const styles = ['node_modules/uplot/dist/uPlot.min.css', 'src/report/page/page.css'];
writeFileSync('dist/report-page/page.css', styles.map((path) => readFileSync(path, 'utf8')).join('\n'));

writeTypes('src/library/index.ts', 'dist/types');

const modules = [...written.output, ...pageWritten.output]
  .flatMap((output) => (output.type === 'chunk' ? output.moduleIds : []))
  .concat(styles);
writeFileSync('THIRD_PARTY_NOTICES', noticesOf(modules));

for (const command of ['dist/cli.js', 'dist/watch-batch.js']) chmodSync(command, 0o755);

/**
 * What every command loads at its start goes into one file, and what every run loads into another, since reading thirty
 * small ones takes longer. What the Parquet process needs as well stays apart, because it starts often and needs little
 * else.
 */
function groupOf(id, graph) {
  starting ??= closureOf(['src/cli/main.ts'], graph);
  running ??= closureOf(RUN_ENTRIES, graph);
  decoding ??= closureOf(['src/datasets/parquet-decoder.ts'], graph);
  if (decoding.has(id)) return null;
  if (starting.has(id)) return 'start';
  return running.has(id) ? 'run' : null;
}

/** Modules and all that they import statically. */
function closureOf(paths, graph) {
  const found = new Set();
  const visit = (id) => {
    if (found.has(id)) return;
    found.add(id);
    for (const next of graph.getModuleInfo(id)?.importedIds ?? []) visit(next);
  };
  for (const path of paths) visit(resolve(path));
  return found;
}

/** Writes the declarations of a module and of all that it names. */
function writeTypes(path, folder) {
  const all = mkdtempSync(join(tmpdir(), 'reannotate-types-'));
  try {
    const compiler = fileURLToPath(import.meta.resolve('typescript/package.json')).replace(
      /package\.json$/,
      'bin/tsc',
    );
    const options = ['--declaration', '--emitDeclarationOnly', '--declarationMap', 'false', '--outDir', all];
    execFileSync(process.execPath, [compiler, '-p', 'tsconfig.json', ...options], { stdio: 'inherit' });
    const visit = (name) => {
      const to = join(folder, name);
      if (existsSync(to)) return;
      mkdirSync(dirname(to), { recursive: true });
      copyFileSync(join(all, name), to);
      for (const [, other] of readFileSync(to, 'utf8').matchAll(
        /(?:from|import\()\s*["'](\.[^"']+)\.js["']/g,
      ))
        visit(join(dirname(name), `${other}.d.ts`));
    };
    visit(path.replace(/^src\//, '').replace(/\.ts$/, '.d.ts'));
  } finally {
    rmSync(all, { recursive: true, force: true });
  }
}

/** The licences of all packages that the files of a bundle come from, as these licences ask for. */
function noticesOf(paths) {
  const folders = new Set(
    paths.flatMap((path) => /^.*node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(path)?.[0] ?? []),
  );
  const notices = [...folders].map((folder) => {
    const { name, version, license, homepage } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file));
    // A few packages leave their licence out of what they publish.
    const ours = `scripts/licences/${name.replace('/', '+')}.txt`;
    const texts = [
      ...files.sort().map((file) => `${folder}/${file}`),
      ...(existsSync(ours) ? [ours] : []),
    ].map((file) => readFileSync(file, 'utf8').trim());
    if (texts.length === 0) throw new Error(`${name} is bundled, and its licence is nowhere in ${folder}`);
    const title = `${name} ${version} (${license})${homepage === undefined ? '' : `\n${homepage}`}`;
    return [title, ...texts].join('\n\n');
  });
  const head = 'The files in dist/ contain the following packages.';
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  return `${[head, ...[...new Set(notices)].sort()].join(rule)}\n`;
}
