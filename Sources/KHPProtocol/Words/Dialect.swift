// Which wire protocol a connection speaks. A dialect is a value given to one machine, never a subclass of one: the
// extended handshake leaves the opening to it (KHP-O3).

/// A WebSocket wire protocol: how its opening handshake is written and checked, how its frames look, how it closes.
///
/// Only ``rfc6455`` masks what a client sends. The three older ones are for peers that speak nothing else, and neither
/// side uses them unless told to.
public struct Dialect: Sendable, Hashable, CustomStringConvertible {
    /// The dialect's name, as options and diagnostics write it.
    public let name: String

    /// The value of Sec-WebSocket-Version, for dialects that have one.
    package let version: String?

    package let opening: Opening
    package let framing: Framing
    package let closing: Closing

    /// `true` where either side may ask the other for a sign of life (RFC 6455 section 5.5.2).
    public var hasPings: Bool { self.framing == .rfc6455 }

    /// `true` where clients mask their frames, so that no proxy takes them for requests (RFC 6455 section 10.3).
    package var isMasked: Bool { self.framing == .rfc6455 }

    /// `true` where a connection may be a stream of HTTP/2 (RFC 8441).
    package var runsOnStreams: Bool { self.opening == .acceptKey }

    /// The exchange that proves that both sides speak WebSocket.
    package enum Opening: UInt8, Sendable {
        /// Sec-WebSocket-Key and Sec-WebSocket-Accept.
        case acceptKey
        /// Three invariant lines.
        case invariant
        /// Two keys among the fields, eight bytes behind them, sixteen bytes behind the answer.
        case twoKeys
    }

    /// How frames look.
    package enum Framing: UInt8, Sendable {
        /// Opcodes, lengths, masks, fragments (RFC 6455 section 5).
        case rfc6455
        /// 0x00 text 0xFF (H69-6).
        case hixie
        /// 0xFF, eight bytes of length, text (W10-8).
        case whatwg2010
    }

    /// How a connection ends.
    package enum Closing: UInt8, Sendable {
        /// A close frame with a code each way.
        case codes
        /// A close frame without a code each way.
        case frames
        /// TCP ends, and that is all (H69-8).
        case none
    }

    /// RFC 6455, the protocol of today (Sec-WebSocket-Version 13).
    public static let rfc6455 = Dialect(
        name: "rfc6455",
        version: "13",
        opening: .acceptKey,
        framing: .rfc6455,
        closing: .codes
    )

    /// draft-hixie-thewebsocketprotocol-69 to 75: text only, no keys, no closing handshake.
    public static let hixie75 = Dialect(
        name: "hixie-75",
        version: nil,
        opening: .invariant,
        framing: .hixie,
        closing: .none
    )

    /// draft-hixie-thewebsocketprotocol-76, published as draft-ietf-hybi-thewebsocketprotocol-00: what browsers shipped
    /// in 2010.
    public static let hixie76 = Dialect(
        name: "hixie-76",
        version: nil,
        opening: .twoKeys,
        framing: .hixie,
        closing: .frames
    )

    /// The WHATWG text of 2 September 2010. Its opening cannot be told from that of ``hixie76``, so a server has to be
    /// told which of them it serves.
    public static let whatwg2010 = Dialect(
        name: "whatwg-2010",
        version: nil,
        opening: .twoKeys,
        framing: .whatwg2010,
        closing: .frames
    )

    /// Every dialect, the newest first.
    public static let all: [Dialect] = [.rfc6455, .hixie76, .hixie75, .whatwg2010]

    /// The dialect of that name, if there is one.
    public init?(name: String) {
        guard let dialect = Self.all.first(where: { $0.name == name }) else { return nil }
        self = dialect
    }

    private init(name: String, version: String?, opening: Opening, framing: Framing, closing: Closing) {
        self.name = name
        self.version = version
        self.opening = opening
        self.framing = framing
        self.closing = closing
    }

    /// The dialect's name.
    public var description: String { self.name }
}
