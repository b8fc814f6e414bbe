# An echo server of Ruby's em-websocket for hixie-75 and hixie-76; in 76 it takes any subprotocol.
# The dialect is what the request says. Prints its port, then serves until it is killed.
require 'em-websocket'

$stdout.sync = true
EM.run do
  listener = EM::WebSocket.run(host: '127.0.0.1', port: 0) do |connection|
    connection.onmessage { |message| connection.send(message) }
    connection.onerror { |error| warn(error.message) }
  end
  puts Socket.unpack_sockaddr_in(EM.get_sockname(listener))[0]
end
