# A client of Ruby's websocket. Arguments: hixie-75 or hixie-76, the URL, a subprotocol or nothing.
# Sends the messages that standard input has as a JSON array, one after the other's echo, and prints what came as JSON.
require 'json'
require 'socket'
require 'uri'
require 'websocket'

dialect, url, subprotocol = ARGV
version = dialect == 'hixie-75' ? 75 : 76
messages = JSON.parse($stdin.read.force_encoding('UTF-8'))
address = URI.parse(url)
socket = TCPSocket.new(address.host, address.port)
protocols = subprotocol.to_s.empty? ? [] : [subprotocol]
handshake = WebSocket::Handshake::Client.new(url: url, version: version, origin: 'http://desk.example', protocols: protocols)
WebSocket.should_raise = true
socket.write(handshake.to_s)
# Its parser takes the head for the whole answer: the 16 bytes behind it in 76 are for us to wait for.
answer = +''.b
needed = lambda do
  head = answer.index("\r\n\r\n")
  head.nil? ? 1 : head + 4 + (version == 76 ? 16 : 0) - answer.bytesize
end
answer << socket.readpartial(needed.call) while needed.call.positive?
handshake << answer
raise 'the handshake is not valid' unless handshake.valid?

incoming = WebSocket::Frame::Incoming::Client.new(version: version)
receive = lambda do
  loop do
    frame = incoming.next
    return frame if frame
    incoming << socket.readpartial(65_536)
  end
end

echoes = messages.map do |message|
  socket.write(WebSocket::Frame::Outgoing::Client.new(version: version, data: message, type: :text).to_s)
  receive.call.to_s
end
clean = false
if version == 76
  socket.write(WebSocket::Frame::Outgoing::Client.new(version: version, type: :close).to_s)
  begin
    clean = receive.call.type == :close
  rescue EOFError, SystemCallError
    clean = false
  end
end
socket.close
name = version == 75 ? 'websocket-protocol' : 'sec-websocket-protocol'
puts JSON.generate({ messages: echoes, subprotocol: handshake.headers[name], clean: clean })
