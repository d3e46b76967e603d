/** Files: how they are opened, read and written, and what their errors mean. */

export * from './file-errors.js';
export * from './open-file.js';
export * from './write-file.js';
export * from './read-lines.js';
export * from './event-loop.js';
