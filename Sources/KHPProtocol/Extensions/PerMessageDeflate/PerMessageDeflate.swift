// permessage-deflate (RFC 7692, R-X): its offers, its answers, and the check of a server's answer.

/// Compression of messages, negotiated in either handshake (RFC 7692).
///
/// ```swift
/// var configuration = WebSocketClient.Configuration()
/// configuration.extensions = [PerMessageDeflate()]
/// ```
///
/// Nothing is compressed unless it is asked for: whoever sends secrets beside text that somebody else can choose gives
/// them away by the length of what is sent. The messages of the extended handshake, which carry credentials, are never
/// compressed; any other message can be left out with ``SendOptions/uncompressed``.
///
/// A received message may be as large as the message limit once it is inflated; more ends the connection with 1009
/// before it is inflated. Messages that are delivered or sent in chunks are never whole in memory.
///
/// **Memory.** A connection holds nothing before its first compressed message. Then, with context takeover, what it
/// compresses with takes 2^(`windowBits` + 2) + 2^(`memoryLevel` + 9) bytes, 32 KiB by default (256 KiB with zlib's own
/// defaults, 15 and 8), and what it inflates with takes 7 KiB and the peer's window of at most 32 KiB
/// (2^`peerWindowBits`). Without context takeover neither is held between messages.
public struct PerMessageDeflate: WebSocketExtension {
    /// `permessage-deflate`.
    public let name = "permessage-deflate"

    /// The largest window to compress with, 8 to 15: the base-2 logarithm of its bytes. 4 KiB by default: most of what
    /// a larger one gains on small messages, for an eighth of the memory.
    public var windowBits = 12
    /// `true` when earlier messages help to compress later ones. Small messages that are like each other gain most.
    public var contextTakeover = true
    /// The largest window that the peer should compress with, 8 to 15. A server can ask for it of clients that allow
    /// it.
    public var peerWindowBits = 15
    /// `true` when the peer may keep its context between messages.
    public var peerContextTakeover = true
    /// Client: whether the server may limit the window that this end compresses with (`client_max_window_bits`).
    public var allowsWindowLimit = true
    /// zlib's memory level, 1 to 9.
    public var memoryLevel = 5
    /// zlib's effort, 1 to 9.
    public var level = 6
    /// Whole messages of fewer bytes are sent as they are, since there is little to gain.
    public var threshold = 64
    /// The handshakes in which it may be negotiated.
    public var layers: Set<HandshakeLayer> = [.opening, .extended]

    private let pool = ZlibPool()

    /// Compression with the defaults.
    public init() {}

    /// RSV1 marks a compressed message (RFC 7692 section 6).
    public var reservedBits: ReservedBits { .rsv1 }

    private static func valid(_ bits: Int) -> Int { min(max(bits, 8), 15) }

    // MARK: Negotiation

    /// The offer of a client (sections 7.1.1 and 7.1.2).
    public func offer() -> ExtensionParameters {
        var offer = DeflateParameters()
        offer.serverNoContextTakeover = !self.peerContextTakeover
        offer.clientNoContextTakeover = !self.contextTakeover
        if self.peerWindowBits < 15 { offer.serverWindow = .bits(Self.valid(self.peerWindowBits)) }
        if self.allowsWindowLimit {
            offer.clientWindow = self.windowBits < 15 ? .bits(Self.valid(self.windowBits)) : .unlimited
        }
        return offer.parameters
    }

    /// The answer of a server; offers with anything that RFC 7692 does not know are declined (section 7.1).
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        guard let offer = DeflateParameters(offer, isOffer: true) else { return nil }
        var answer = DeflateParameters()
        answer.serverNoContextTakeover = offer.serverNoContextTakeover || !self.contextTakeover
        answer.clientNoContextTakeover = offer.clientNoContextTakeover || !self.peerContextTakeover
        if case .bits(let bits) = offer.serverWindow {
            answer.serverWindow = .bits(min(bits, Self.valid(self.windowBits)))
        }
        // A client that does not mention its window cannot be told anything about it (section 7.1.2.2).
        if offer.clientWindow != .absent {
            let bits = min(offer.clientWindow.limit, Self.valid(self.peerWindowBits))
            if bits < 15 || offer.clientWindow != .unlimited { answer.clientWindow = .bits(bits) }
        }
        return answer.parameters
    }

    /// Returns `true` when the server's answer fits the offer (sections 7.1.1 and 7.1.2).
    public func judge(_ answer: ExtensionParameters) -> Bool {
        guard let answer = DeflateParameters(answer, isOffer: false) else { return false }
        // The server has to promise everything that was asked of it.
        if !self.peerContextTakeover, !answer.serverNoContextTakeover { return false }
        if self.peerWindowBits < 15 {
            guard case .bits(let bits) = answer.serverWindow, bits <= Self.valid(self.peerWindowBits) else {
                return false
            }
        }
        return self.allowsWindowLimit || answer.clientWindow == .absent
    }

    /// The streams of one connection.
    public func makeFrameTransform(
        role: Role,
        parameters: ExtensionParameters
    ) -> (any FrameTransform)? {
        // The answer was ours, or has been judged.
        let agreed = DeflateParameters(parameters, isOffer: false) ?? DeflateParameters()
        let (own, peer) =
            role == .client ? (agreed.clientWindow, agreed.serverWindow) : (agreed.serverWindow, agreed.clientWindow)
        let noContext =
            role == .client
            ? (own: agreed.clientNoContextTakeover, peer: agreed.serverNoContextTakeover)
            : (own: agreed.serverNoContextTakeover, peer: agreed.clientNoContextTakeover)
        // zlib cannot deflate with a window of 2^8: with one of 2^9 it looks back at most 250 bytes, which fits. It can
        // inflate with any that is large enough.
        let settings = DeflateTransform.Settings(
            deflater: Deflater.Settings(
                windowBits: Int32(max(9, min(own.limit, Self.valid(self.windowBits)))),
                memoryLevel: Int32(min(max(self.memoryLevel, 1), 9)),
                level: Int32(min(max(self.level, 1), 9))
            ),
            inflateWindowBits: max(9, peer.limit),
            keepsContext: self.contextTakeover && !noContext.own,
            peerKeepsContext: !noContext.peer,
            threshold: self.threshold
        )
        return DeflateTransform(settings, pool: self.pool)
    }
}
