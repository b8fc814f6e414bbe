// Places where secrets could be shown, and the secrets that are looked for in each.

import KHPClient
import KHPProtocol
import Logging
import NIOCore
import Synchronization

/// The kinds of secrets that a connect, or a server, has.
enum SecretKind: String, CaseIterable {
    case basicPassword, digestPassword, bearerToken
    /// Kaazing's `Application Token`, by which its older gateways let clients in.
    case legacyAuthorization
    case preemptivePassword
    /// In `headers`.
    case headers
    /// In the store of the client.
    case cookie
    /// That a server sets.
    case setCookie
    case query
    case clientKey
    /// A token that the server has from a file.
    case usersFile
    case proxyPassword
    case socksPassword

    /// True where nothing but a proxy gets it.
    var isForProxy: Bool { self == .proxyPassword || self == .socksPassword }

    /// True where a 401 comes before it is sent.
    var isAskedFor: Bool {
        switch self {
        case .basicPassword, .digestPassword, .bearerToken, .legacyAuthorization, .usersFile: true
        default: false
        }
    }
}

/// Places that show text, as somebody who looks for a fault would print them.
enum Place: Hashable {
    case log(Role, Logger.Level)
    /// Printed, reflected and dumped.
    case events(Role)
    case error
    case socket(Role)
    /// The client with its configuration, or the server with its endpoints.
    case end(Role)
    case request
    /// The bytes that another origin gets.
    case otherOrigin
    /// The heads that a proxy gets for a tunnel.
    case proxyHeads

    static let all: [Place] =
        [.error, .request, .otherOrigin, .proxyHeads]
        + Role.allCases.flatMap { role in
            Logger.Level.allCases.map { .log(role, $0) } + [.events(role), .socket(role), .end(role)]
        }
}

/// All that each place shows.
final class ShownPlaces: Sendable {
    private let texts = Mutex<[Place: ByteBuffer]>([:])

    func add(_ value: Any, at place: Place) {
        var dumped = ""
        dump(value, to: &dumped)
        self.add(text: "\(value)\n\(String(reflecting: value))\n\(dumped)\n", at: place)
    }

    func add(text: String, at place: Place) {
        self.texts.withLock { _ = $0[place, default: ByteBuffer()].writeString(text) }
    }

    subscript(place: Place) -> ByteBuffer { self.texts.withLock { $0[place] ?? ByteBuffer() } }

    func logger(_ role: Role) -> Logger {
        var logger = Logger(label: "places") { _ in Handler(places: self, role: role) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let places: ShownPlaces
        let role: Role
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let metadata = self.metadata.merging(event.metadata ?? [:]) { $1 }
            self.places.add("\(event.message) \(metadata)", at: .log(self.role, event.level))
        }
    }
}

/// Watches the bytes of a client in clear, and ends its connection where a cell says so.
final class WireTap: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    /// The bytes that clients sent, by the port that they went to; of frames what their masks hide.
    final class Notes: Sendable {
        private let sent = Mutex<[Int: ByteBuffer]>([:])
        func add(_ bytes: ByteBuffer, to port: Int) {
            self.sent.withLock { _ = $0[port, default: ByteBuffer()].writeImmutableBuffer(bytes) }
        }
        subscript(port: Int) -> ByteBuffer { self.sent.withLock { $0[port] ?? ByteBuffer() } }
        var all: ByteBuffer {
            self.sent.withLock { $0.values.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) } }
        }
    }

    private let notes: Notes
    private let port: Int
    /// The read at which the connection is lost, of those that come when these texts have been sent.
    private let loss: (sent: [String], read: Int)?
    private var sent = ByteBuffer()
    private var reads = 0
    private var isOpened = false
    /// The frames that go out, from the first bytes on that begin no head.
    private var frames: (reader: MessageReader, input: ByteBuffer)?

    init(_ notes: Notes, port: Int, loss: (sent: [String], read: Int)?) {
        self.notes = notes
        self.port = port
        self.loss = loss
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = self.unwrapOutboundIn(data)
        self.note(bytes)
        if self.loss != nil { self.sent.writeImmutableBuffer(bytes) }
        context.write(data, promise: promise)
    }

    /// Heads are noted as they are, and so is what a proxy of SOCKS or a server of TLS gets; frames are unmasked.
    private func note(_ bytes: ByteBuffer) {
        if self.frames == nil {
            // A client's frame has its last bit set, or is a fragment; a head begins with a letter.
            let first = bytes.readableBytesView.first ?? 0
            guard self.isOpened, first & 0x80 != 0 || first < 0x03 else {
                if Canary.contains(bytes, "\r\nSec-WebSocket-Key: ") { self.isOpened = true }
                return self.notes.add(bytes, to: self.port)
            }
            self.frames = (MessageReader(role: .server), ByteBuffer())
        }
        guard var frames = self.frames else { return }
        self.frames = nil
        frames.input.writeImmutableBuffer(bytes)
        while let event = try? frames.reader.next(&frames.input) {
            if case .message(_, let payload, _) = event { self.notes.add(payload, to: self.port) }
        }
        self.frames = frames
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if let loss, loss.sent.allSatisfy({ Canary.contains(self.sent, $0) }) {
            self.reads += 1
            if self.reads >= loss.read { return context.close(promise: nil) }
        }
        context.fireChannelRead(data)
    }
}
