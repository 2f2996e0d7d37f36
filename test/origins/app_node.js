// SPDX-License-Identifier: Apache-2.0
// The application of applications.py with Node's http module, and what only Node can do here:
// trailers and early hints. With the files of a certificate and its key it speaks TLS. Prints its
// port.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const {Readable, pipeline} = require('node:stream');

const line = Buffer.from('0123456789abcde\n');
const lines = Buffer.alloc(65536, line);

function text(response, status, data, fields = {}) {
  response.writeHead(status, {'Content-Length': Buffer.byteLength(data), ...fields});
  response.end(data);
}

function* repeat(data, count) {
  for (let i = 0; i < count; ++i) yield data;
}

function digest(request, response) {
  const sha = crypto.createHash('sha256');
  let size = 0;
  request.on('data', (data) => { sha.update(data); size += data.length; });
  request.on('end', () => text(response, 200, `${size} ${sha.digest('hex')}`));
}

function trailers(request, response) {
  const sha = crypto.createHash('sha256');
  response.writeHead(200, {Trailer: 'X-Sha256, X-Received'});
  request.on('data', (data) => { sha.update(data); response.write(data); });
  request.on('end', () => {
    const received = request.trailers['x-sent'] || 'none';
    response.addTrailers({'X-Sha256': sha.digest('hex'), 'X-Received': received});
    response.end();
  });
}

const application = {
  size: (request, response, [size]) => text(response, 200, Buffer.alloc(+size, line)),
  pieces: (request, response, [count]) =>
      pipeline(Readable.from(repeat(lines.subarray(0, 1024), +count)), response, () => {}),
  echo: (request, response) => pipeline(request, response, () => {}),
  digest,
  seen: (request, response, _, url) => text(response, 200, JSON.stringify({
    method: request.method, path: url.pathname, query: url.search.slice(1),
    headers: request.headers})),
  status: (request, response, [status]) => { response.writeHead(+status); response.end(); },
  cookies: (request, response) =>
      text(response, 200, 'two\n', {'Set-Cookie': ['a=1; Path=/', 'b=2']}),
  unread: (request, response) => text(response, 413, 'too much\n', {Connection: 'close'}),
  gated: (request, response, _, url) => {
    response.write('first\n');
    fs.readFile(url.searchParams.get('gate'), () => response.end('last\n'));
  },
  endless: (request, response, _, url) => {
    response.on('close', () => fs.writeFileSync(url.searchParams.get('gate'), ''));
    pipeline(Readable.from(repeat(lines, Infinity)), response, () => {});
  },
  trailers,
  hints: (request, response) => {
    response.writeEarlyHints({link: ['</style.css>; rel=preload; as=style', '</x.js>; rel=preload']},
                             () => text(response, 200, 'hinted\n'));
  },
};

const files = process.argv.slice(2).map((file) => fs.readFileSync(file));
const create = files.length ? (handler) => https.createServer({cert: files[0], key: files[1]}, handler)
                            : http.createServer;
const server = create((request, response) => {
  const url = new URL(request.url, 'http://any');
  const [, name, ...rest] = url.pathname.split('/');
  if (application[name]) application[name](request, response, rest, url);
  else text(response, 404, 'nothing\n');
});
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.pipe(socket);
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
