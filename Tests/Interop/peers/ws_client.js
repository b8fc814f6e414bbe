// A client of Node's ws with permessage-deflate. Reads from standard input
//   {url, options, protocols, greeting, messages}
// where a message is {text}, {base64} or {fragments: [text, …]}; `greeting` is sent first and its answer awaited, as the
// extended handshake wants it. Sends all messages, waits for as many, closes, and prints what it saw as one line.
'use strict';

const { WebSocket } = require('ws');
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));

const socket = new WebSocket(asked.url, asked.protocols, asked.options);
const saw = { agreed: null, extensions: '', protocol: '', greeting: null, messages: [], error: null };
const wanted = asked.messages.length;

function sendAll() {
  for (const message of asked.messages) {
    if (message.fragments) {
      message.fragments.forEach((text, i, all) => {
        socket.send(text, { fin: i === all.length - 1 });
        socket.ping('between');
      });
    } else if (message.text !== undefined) {
      socket.send(message.text);
    } else {
      socket.send(Buffer.from(message.base64, 'base64'));
    }
  }
}

socket.on('upgrade', (response) => {
  saw.agreed = response.headers['sec-websocket-extensions'] ?? null;
});
socket.on('open', () => {
  saw.extensions = socket.extensions;
  saw.protocol = socket.protocol;
  if (asked.greeting) socket.send(asked.greeting);
  else sendAll();
});
socket.on('message', (data, isBinary) => {
  if (asked.greeting && saw.greeting === null) {
    saw.greeting = data.toString();
    sendAll();
    return;
  }
  saw.messages.push(isBinary ? { base64: data.toString('base64') } : { text: data.toString() });
  if (saw.messages.length === wanted) socket.close(1000);
});
socket.on('error', (error) => {
  saw.error = error.message;
});
socket.on('close', (code) => {
  saw.code = code;
  console.log(JSON.stringify(saw));
});
