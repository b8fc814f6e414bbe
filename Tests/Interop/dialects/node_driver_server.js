// An echo server of Node's websocket-driver for hixie-75 and hixie-76; it knows no subprotocols in these.
// The dialect is what the request says. Prints its port, then serves until it is killed.
'use strict';

const net = require('net');
const driver = require('websocket-driver');

const server = net.createServer((connection) => {
  const peer = driver.server();
  peer.on('connect', () => {
    if (driver.isWebSocket(peer)) peer.start();
  });
  peer.on('message', (event) => peer.text(event.data));
  peer.on('close', () => connection.end());
  connection.on('error', () => {});
  connection.pipe(peer.io);
  peer.io.pipe(connection);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
