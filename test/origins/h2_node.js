// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server by Node's http2 module, by prior knowledge, or over TLS with the files of a
// certificate and its key. Prints its port.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const http2 = require('node:http2');

const files = process.argv.slice(2).map((file) => fs.readFileSync(file));
const server = files.length ? http2.createSecureServer({cert: files[0], key: files[1]})
                            : http2.createServer();

function report(stream, fields) {
  const hash = crypto.createHash('sha256');
  let size = 0;
  let trailers = {};
  stream.on('data', (piece) => {
    hash.update(piece);
    size += piece.length;
  });
  stream.on('trailers', (given) => { trailers = given; });
  stream.on('end', () => {
    stream.respond({':status': 200, 'content-type': 'application/json'});
    stream.end(JSON.stringify({fields, trailers, size, sha256: hash.digest('hex')}));
  });
}

function bulk(stream, size) {
  stream.respond({':status': 200, 'content-length': size});
  const block = Buffer.alloc(65536, 'weir');
  let left = size;
  const more = () => {
    while (left > 0) {
      const piece = block.subarray(0, Math.min(left, block.length));
      left -= piece.length;
      if (!stream.write(piece)) return stream.once('drain', more);
    }
    stream.end();
  };
  more();
}

server.on('stream', (stream, fields) => {
  const path = fields[':path'];
  stream.on('error', () => {});
  if (fields.expect === '100-continue') stream.additionalHeaders({':status': 100});
  if (path === '/report') return report(stream, fields);
  if (path === '/echo') {
    stream.respond({':status': 200});
    return stream.pipe(stream);
  }
  if (path.startsWith('/bulk/')) return bulk(stream, Number(path.slice(6)));
  if (path.startsWith('/status/')) {
    return stream.respond({':status': Number(path.slice(8)), 'x-of': 'node'}, {endStream: true});
  }
  if (path === '/hints') {
    stream.additionalHeaders({':status': 103, link: '</style.css>; rel=preload; as=style'});
    stream.respond({':status': 200});
    return stream.end('hinted');
  }
  if (path === '/trailers') {
    stream.respond({':status': 200}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'x-sum': 'abc', 'x-more': 'def'}));
    return stream.end('behind this');
  }
  stream.respond({':status': 200, 'content-type': 'text/plain'});
  stream.end(`node says ${path}`);
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
