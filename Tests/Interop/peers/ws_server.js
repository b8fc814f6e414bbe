// An echo server of Node's ws with permessage-deflate as its first argument says, in JSON. When the second says `khp`, it
// agrees to x-kaazing-handshake and completes it at once. Prints its port, and a line for each connection that is over.
'use strict';

const { WebSocketServer } = require('ws');

const KHP = 'x-kaazing-handshake';
const perMessageDeflate = JSON.parse(process.argv[2]);
const handleProtocols = (offered) => (process.argv[3] === 'khp' && offered.has(KHP) ? KHP : false);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate,
  handleProtocols,
  maxPayload: 1 << 24,
});

server.on('listening', () => console.log(server.address().port));
server.on('connection', (socket) => {
  const saw = { extensions: socket.extensions, parameters: {}, messages: [] };
  // The library has no other way to tell what it agreed on.
  saw.parameters = socket._extensions['permessage-deflate']?.params ?? null;
  let isOpen = socket.protocol !== KHP;
  socket.on('message', (data, isBinary) => {
    if (!isOpen) {
      isOpen = true;
      const head = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n';
      socket.send(Buffer.from(`${head}X-Padding: ${'x'.repeat(2000)}\r\n\r\n`));
      return;
    }
    saw.messages.push(isBinary ? { base64: data.toString('base64') } : { text: data.toString() });
    socket.send(data, { binary: isBinary });
  });
  socket.on('error', (error) => {
    saw.error = error.message;
  });
  socket.on('close', (code) => {
    saw.code = code;
    console.log(JSON.stringify(saw));
  });
});
