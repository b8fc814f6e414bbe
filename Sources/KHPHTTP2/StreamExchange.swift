// A stream of HTTP/2 as the bytes of a connection of HTTP/1.1 of its own, so that all that is decided about a handshake holds
// for it too: heads are written as HTTP/1.1 would have them, and content in the way that it has there. Sans-I/O.
//
//   server:  CONNECT, :protocol websocket ──▶ GET, Upgrade: websocket, without a key    101 ──▶ :status 200, then a tunnel
//            any other request            ──▶ the same request, chunked where its length is not known
//   client:  the other way round (RFC 8441 section 5)

import KHPProtocol
import NIOCore
import NIOHPACK

protocol StreamExchange: SendableMetatype {
    /// The head that the peer has sent, as bytes.
    /// - Parameter isLast: true where nothing follows it.
    mutating func receive(_ head: HPACKHeaders, isLast: Bool) throws(StreamFault) -> ByteBuffer
    /// Some of the content that the peer has sent, as bytes.
    mutating func receive(_ content: ByteBuffer) -> ByteBuffer
    /// The end of the content, as bytes.
    mutating func receiveEnd() -> ByteBuffer
    /// True once a tunnel is open: what is sent and received goes through as it is.
    var isTunnel: Bool { get }
    /// Some bytes to be sent, as what goes into frames.
    mutating func send(_ bytes: ByteBuffer) throws(StreamFault) -> [StreamPiece]
    /// The answer to what cannot be received; `nil` where none is owed.
    static func answer(to fault: StreamFault) -> [StreamPiece]?
}

extension HeadLimits {
    /// The limits of a head that this side has written: none that it can reach.
    static var ownHeads: HeadLimits { HeadLimits(lineBytes: 1 << 20, headBytes: 1 << 20, fieldCount: 1 << 16) }
}

/// The content of a frame.
enum StreamPiece: Equatable {
    case head(HPACKHeaders, isLast: Bool)
    case content(ByteBuffer, isLast: Bool)
}

/// A head that has no counterpart on the other side.
struct StreamFault: Error, Equatable {
    /// The status to answer it with.
    let status: Int
    /// A sentence.
    let what: String

    init(_ status: Int, _ what: String) {
        self.status = status
        self.what = what
    }
}

/// The fields that speak of one connection of HTTP/1.1, and have no place in HTTP/2 (RFC 9113 section 8.2.2); and those of
/// the proof that `:protocol` takes the place of (RFC 8441 section 5).
enum ConnectionField {
    private static let ofConnection: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    ]
    private static let ofProof: Set<String> = ["sec-websocket-key", "sec-websocket-accept"]

    /// True for a name in lower case that stays behind.
    static func contains(_ name: String, isHandshake: Bool) -> Bool {
        self.ofConnection.contains(name) || isHandshake && self.ofProof.contains(name)
    }
}

extension HPACKHeaders {
    /// Adds the fields of a head of HTTP/1.1. Credentials stay out of the tables of compression (RFC 7541 section 7.1.3).
    mutating func add(_ fields: HeadFields, isHandshake: Bool, besides left: String? = nil) {
        fields.forEach { name, value in
            let name = Bytes.lowercasedASCII(name)
            guard name != left, !ConnectionField.contains(name, isHandshake: isHandshake) else { return }
            let isSecret = name == "authorization" || name == "cookie" || name == "set-cookie"
            self.add(name: name, value: FieldText.readable(value), indexing: isSecret ? .neverIndexed : .indexable)
        }
    }
}

extension ByteBuffer {
    /// Writes one field, unless it could be taken for more than one: lengths say where it ends in HTTP/2, line ends say so
    /// here (RFC 9113 section 10.3, threat A20).
    mutating func writeStreamField(_ name: String, _ value: String) throws(StreamFault) {
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }), !name.isEmpty,
            value.utf8.allSatisfy({ $0 != 0x0D && $0 != 0x0A && $0 != 0 })
        else { throw StreamFault(400, "A header field cannot be read.") }
        self.writeString(name)
        self.writeStaticString(": ")
        self.writeString(value)
        self.writeStaticString("\r\n")
    }
}
