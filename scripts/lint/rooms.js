/**
 * A rule of lint: imports point downwards. The folders of `src/` are rooms in one order, and a file may import its own
 * room and those below it, so that no two rooms depend on each other.
 */
import { dirname, relative, resolve, sep } from 'node:path';

/** From the bottom to the top. A new folder of `src/` gets its place here. */
const ROOMS = [
  'lib',
  'types',
  'secrets',
  'http',
  'terminal',
  'models',
  'requests',
  'formats',
  'datasets',
  'exports',
  'run',
  'batches',
  'judge',
  'compare',
  'publishing',
  'report',
  'shards',
  'session',
  'simulator',
  'commands',
  'cli',
  'library',
];

const SRC = resolve(import.meta.dirname, '../../src');

/** The room of a file; null for one outside `src/`. */
function roomOf(path) {
  const [room = ''] = relative(SRC, path).split(sep);
  return room === '..' ? null : room.replace(/\.[jt]s$/, '');
}

function check(context, source) {
  if (typeof source?.value !== 'string' || !source.value.startsWith('.')) return;
  const own = roomOf(context.filename);
  const other = roomOf(resolve(dirname(context.filename), source.value));
  if (own === null || other === null || own === other) return;
  const [from, to] = [ROOMS.indexOf(own), ROOMS.indexOf(other)];
  if (from === -1 || to === -1) {
    context.report({
      node: source,
      message: `src/${from === -1 ? own : other} has no place in the order of rooms (scripts/lint/rooms.js).`,
    });
  } else if (to > from) {
    context.report({
      node: source,
      message: `src/${own} may not import src/${other}, which is above it (scripts/lint/rooms.js): move what both need down.`,
    });
  }
}

export default {
  meta: { name: 'rooms' },
  rules: {
    downwards: {
      create: (context) => ({
        ImportDeclaration: ({ source }) => check(context, source),
        ExportNamedDeclaration: ({ source }) => check(context, source),
        ExportAllDeclaration: ({ source }) => check(context, source),
        ImportExpression: ({ source }) => check(context, source),
      }),
    },
  },
};
