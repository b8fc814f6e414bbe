// All that the command tells, as values: what each looks like as JSON, on the ladder or as a line is the business of
// renderers, and where it goes that of the console.

import KHPGateway
import KHPProtocol
import NIOCore

/// One thing that the command tells.
enum Report: Sendable {
    /// An event of a connection, as the library's observer has it.
    case connection(ConnectionEvent, ConnectionInfo)
    /// A message that `connect` received.
    case message(WebSocketMessage)
    /// The end of a connection of `connect`, behind its last message.
    case closed(CloseInfo)
    /// `serve` listens.
    case listening(host: String, port: Int, isSecure: Bool)
    /// `tunnel` accepts byte streams, or `serve` connections on a Unix domain socket.
    case accepting(TunnelAddress)
    /// `gateway` listens, at each of these addresses.
    case serving([Gateway.Listening])
    /// A line that a command was asked for: it goes to standard output.
    case result(String)
    /// A remark on a connection, for the ladder alone.
    case remark(String)
    /// A line for the person who watches.
    case note(String)
    /// Something that somebody should know, in one sentence.
    case warning(String)
    /// The failure that ends the command.
    case failure(CommandFailure)
    /// Lines that nobody read in time.
    case dropped(Int, from: Console.Stream)
}

/// Turns reports into lines. Which reports it takes is its own rule; for the others it returns none.
protocol Renderer: Sendable {
    mutating func lines(for report: Report, at time: Duration) -> [Line]
}

/// A line, or some bytes, with the stream that it is for.
struct Line: Sendable, Equatable {
    var bytes: [UInt8]
    var stream: Console.Stream

    /// A line of text; its end is added.
    init(_ text: String, to stream: Console.Stream) {
        self.init(bytes: Array((text + "\n").utf8), to: stream)
    }

    init(bytes: [UInt8], to stream: Console.Stream) {
        self.bytes = bytes
        self.stream = stream
    }
}

extension FrameInfo {
    /// True for data of the application, as opposed to a control frame.
    var isMessage: Bool { self.kind == .text || self.kind == .binary }

    /// The message in it.
    var message: WebSocketMessage {
        self.kind == .text ? .text(String(buffer: self.payload)) : .binary(self.payload)
    }
}
