// A server of Node's http2 that takes WebSockets: echoes short frames as they come, and a close frame, behind which it ends
// the stream. Arguments: certificate, key, and whether it says that it takes them (`yes`). Prints its port, and a line for
// each connection.
'use strict';

const fs = require('fs');
const http2 = require('http2');

const [certificate, key, takes] = process.argv.slice(2);
const server = http2.createSecureServer({
  cert: fs.readFileSync(certificate),
  key: fs.readFileSync(key),
  allowHTTP1: false,
  settings: { enableConnectProtocol: takes === 'yes' },
});

server.on('session', () => console.log('session'));

server.on('stream', (stream, head) => {
  stream.on('error', () => {});
  if (head[':method'] !== 'CONNECT' || head[':protocol'] !== 'websocket' || head['sec-websocket-key']) {
    stream.respond({ ':status': 400 }, { endStream: true });
    return;
  }
  stream.respond({ ':status': 200 });
  let kept = Buffer.alloc(0);
  stream.on('data', (data) => {
    kept = Buffer.concat([kept, data]);
    // Masked, and no longer than 125 bytes.
    while (kept.length >= 6 && kept.length >= 6 + (kept[1] & 0x7f)) {
      const length = kept[1] & 0x7f;
      const payload = Buffer.from(kept.subarray(6, 6 + length));
      payload.forEach((byte, index) => (payload[index] = byte ^ kept[2 + (index % 4)]));
      const opcode = kept[0] & 0x0f;
      kept = kept.subarray(6 + length);
      stream.write(Buffer.concat([Buffer.from([0x80 | opcode, length]), payload]));
      if (opcode === 8) stream.end();
    }
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
