// Answers every chat completion immediately with the same kilobyte; prints its address.
import { createServer } from 'node:http';
import { answer, listen, words } from './support.js';

const body = Buffer.from(JSON.stringify(answer(words(150, 1), 1)));
const server = createServer((request, response) => {
  request.on('data', () => undefined);
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
});
// The SDK leaves connections idle for longer than the usual five seconds, and fails where it then writes to one of them.
server.keepAliveTimeout = 10 * 60_000;
process.stdout.write(`${await listen(server)}\n`);
