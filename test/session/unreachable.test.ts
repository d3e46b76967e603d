import { expect, it } from 'vitest';
import { describeUnreachable } from '../../src/session/unreachable.js';

const ADDRESS = 'http://gpu1:8000/v1/chat/completions';

it.each([
  [
    'no answer (ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:9)',
    /^Cannot connect to http:\/\/gpu1.*: connection refused \(ECONNREFUSED\)\. Is the server running\?$/,
  ],
  ['no answer (ENOTFOUND: getaddrinfo ENOTFOUND gpu1)', /^Cannot find the host of .* \(ENOTFOUND\)/],
  ['no answer (EAI_AGAIN: getaddrinfo EAI_AGAIN gpu1)', /^Cannot find the host of/],
  ['no answer (EHOSTUNREACH: connect EHOSTUNREACH)', /^No route to/],
  ['no answer (UND_ERR_CONNECT_TIMEOUT: Connect Timeout Error)', /timed out \(UND_ERR_CONNECT_TIMEOUT\)/],
  ['no answer (UND_ERR_HEADERS_TIMEOUT: Headers Timeout Error)', /took too long .* --request_timeout/],
  ['no answer (ECONNRESET: read ECONNRESET)', /closed the connection \(ECONNRESET\)/],
  ['500 Internal Server Error', /gave no usable answer \(500 Internal Server Error\)\. Check the network/],
])('%s is described in words', (said, sentence) => {
  expect(describeUnreachable(ADDRESS, said)).toMatch(sentence);
});
