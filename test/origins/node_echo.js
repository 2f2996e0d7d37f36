// SPDX-License-Identifier: Apache-2.0
// A server by Node's http module: pipes a request's body back, with its SHA-256 as a trailer.
'use strict';
const crypto = require('node:crypto');
const http = require('node:http');

const server = http.createServer((request, response) => {
  const hash = crypto.createHash('sha256');
  response.writeHead(200, {Trailer: 'X-Sha256', 'Content-Type': 'application/octet-stream'});
  request.on('data', (data) => {
    hash.update(data);
    if (!response.write(data)) {
      request.pause();
      response.once('drain', () => request.resume());
    }
  });
  request.on('end', () => {
    response.addTrailers({'X-Sha256': hash.digest('hex')});
    response.end();
  });
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
