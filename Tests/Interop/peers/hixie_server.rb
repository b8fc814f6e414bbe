# An echo server of Ruby's websocket-driver, for hixie-76 and hixie-75 alike.
require 'socket'
require 'websocket/driver'

Wire = Struct.new(:socket) do
  def write(bytes)
    socket.write(bytes)
  end
end

$stdout.sync = true
listener = TCPServer.new('127.0.0.1', 0)
puts "listening #{listener.addr[1]}"
loop do
  socket = listener.accept
  Thread.new do
    driver = WebSocket::Driver.server(Wire.new(socket), protocols: ['amqp'])
    driver.on(:connect) { driver.start }
    driver.on(:open) { puts "version #{driver.version}" }
    driver.on(:message) { |event| driver.text(event.data) }
    driver.on(:close) do
      puts 'closed'
      socket.close
    end
    begin
      loop { driver.parse(socket.readpartial(65_536)) }
    rescue IOError, SystemCallError
      puts 'ended'
    end
  end
end
