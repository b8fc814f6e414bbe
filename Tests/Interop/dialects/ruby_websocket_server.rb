# An echo server of Ruby's websocket for hixie-75. Arguments: the subprotocol that it takes, if any. (Its 76 strips white
# space from the eight bytes of the key, so that it fails about once in twenty times.) Prints its port, then serves until it is killed.
require 'socket'
require 'websocket'

Thread.report_on_exception = false
wanted = ARGV.fetch(0, '')
listener = TCPServer.new('127.0.0.1', 0)
$stdout.sync = true
puts listener.addr[1]

def serve(socket, wanted)
  handshake = WebSocket::Handshake::Server.new(protocols: wanted.empty? ? [] : [wanted])
  handshake << socket.readpartial(65_536) until handshake.finished?
  return unless handshake.valid?

  socket.write(handshake.to_s)
  incoming = WebSocket::Frame::Incoming::Server.new(version: handshake.version)
  incoming << handshake.leftovers if handshake.leftovers
  loop do
    while (frame = incoming.next)
      answer = WebSocket::Frame::Outgoing::Server.new(version: handshake.version, data: frame.to_s, type: frame.type)
      socket.write(answer.to_s)
      return if frame.type == :close
    end
    incoming << socket.readpartial(65_536)
  end
rescue EOFError, SystemCallError
  nil
ensure
  socket.close
end

loop { Thread.new(listener.accept) { |socket| serve(socket, wanted) } }
