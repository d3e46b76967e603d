// Answers every chat completion at once with the same kilobyte; prints its address.
import { createServer } from 'node:http';
import { answer, words } from './support.js';

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
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`);
});
