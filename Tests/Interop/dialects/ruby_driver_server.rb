# An echo server of Ruby's websocket-driver for hixie-75 and hixie-76; it knows no subprotocols in these.
# The dialect is what the request says. Prints its port, then serves until it is killed.
require 'socket'
require 'websocket/driver'

Thread.report_on_exception = false
listener = TCPServer.new('127.0.0.1', 0)
$stdout.sync = true
puts listener.addr[1]

# The transport that the driver writes to.
Connection = Struct.new(:socket) do
  def write(bytes)
    socket.write(bytes)
  end
end

def serve(socket)
  is_open = true
  driver = WebSocket::Driver.server(Connection.new(socket))
  driver.on(:connect) { driver.start }
  driver.on(:message) { |event| driver.text(event.data) }
  driver.on(:close) { is_open = false }
  driver.parse(socket.readpartial(65_536)) while is_open
rescue EOFError, SystemCallError
  nil
ensure
  socket.close
end

loop { Thread.new(listener.accept) { |socket| serve(socket) } }
