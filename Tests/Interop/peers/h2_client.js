// A client of Node's http2: opens a WebSocket by extended CONNECT on a connection that has asked for something else before,
// has one text frame echoed, closes, and says what it saw, in JSON. Arguments: port, path, authority's certificate.
'use strict';

const fs = require('fs');
const http2 = require('http2');

const [port, path, authority] = process.argv.slice(2);
const session = http2.connect(`https://localhost:${port}`, { ca: fs.readFileSync(authority) });
const saw = { settings: null, page: null, status: null, frames: '', reset: null };
session.on('error', (error) => {
  saw.error = error.message;
  console.log(JSON.stringify(saw));
});

const masked = (opcode, payload) => Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload]);

session.once('remoteSettings', (settings) => {
  saw.settings = settings.enableConnectProtocol;
  const page = session.request({ ':path': '/nothing-there' });
  page.on('response', (head) => {
    saw.page = head[':status'];
    page.close();
    open();
  });
  page.end();
});

function open() {
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': path,
    'sec-websocket-version': '13',
  });
  stream.on('response', (head) => {
    saw.status = head[':status'];
    if (saw.status !== 200) return;
    stream.write(masked(1, Buffer.from('from Node')));
  });
  let isClosing = false;
  stream.on('data', (data) => {
    saw.frames += data.toString('hex');
    if (!isClosing) {
      isClosing = true;
      stream.write(masked(8, Buffer.from([0x03, 0xe8])));
    }
  });
  stream.on('end', () => stream.end());
  stream.on('close', () => {
    saw.reset = stream.rstCode;
    console.log(JSON.stringify(saw));
    session.close();
  });
}
