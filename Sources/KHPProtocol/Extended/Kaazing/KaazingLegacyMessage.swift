// The exchange that deployed Kaazing clients and gateways speak around the extended handshake, and that no
// specification describes (D7), and the messages that it adds.
//
//   client                                        server
//     opening, its query holds `.kl=Y`      ──▶
//                                           ◀──   101, then balancer message 1:  EF 83 BF 4E
//     extended request                      ──▶
//                                           ◀──   extended response, then an empty message: its end
//                                           ◀──   after a completing one balancer message 2:  EF 83 BF 4E
//     only now the WebSocket is open
//
//   balancer message   EF 83 BF 'N'         no balancer: go on
//                      EF 83 BF 'R' url     a balancer: close, connect there
//                      EF 83 BF 'R'         a balancer, and it has no member to name

package import NIOCore

/// A message that the Kaazing legacy exchange adds to the extended handshake.
public enum KaazingLegacyMessage: Sendable, Hashable, CustomStringConvertible {
    /// `N`: there is no balancer, go on here.
    case noBalancer
    /// `R` with a URL: connect there instead. As the peer wrote it.
    case redirect(to: String)
    /// `R` alone: there is a balancer, and none of its members can take the connection.
    case noMember
    /// An empty message: the extended response is complete.
    case endOfResponse

    /// U+F0FF in UTF-8: the beginning of each balancer message.
    private static let mark: [UInt8] = [0xEF, 0x83, 0xBF]

    /// Reads a balancer message; `nil` for anything else.
    package init?(balancer payload: ByteBuffer) {
        guard Self.isBalancer(payload) else { return nil }
        let text = payload.readableBytesView.dropFirst(Self.mark.count)
        switch text.first {
        case UInt8(ascii: "N") where text.count == 1: self = .noBalancer
        case UInt8(ascii: "R") where text.count == 1: self = .noMember
        case UInt8(ascii: "R"):
            guard let url = String(validating: text.dropFirst(), as: UTF8.self) else { return nil }
            self = .redirect(to: url)
        default: return nil
        }
    }

    /// Returns `true` when a message claims to be a balancer message.
    package static func isBalancer(_ payload: ByteBuffer) -> Bool {
        payload.readableBytesView.starts(with: Self.mark)
    }

    /// The payload of the message.
    package var payload: ByteBuffer {
        var buffer = ByteBuffer()
        switch self {
        case .endOfResponse:
            return buffer
        case .noBalancer:
            buffer.writeBytes(Self.mark)
            buffer.writeStaticString("N")
        case .redirect(let url):
            buffer.writeBytes(Self.mark)
            buffer.writeStaticString("R")
            buffer.writeString(url)
        case .noMember:
            buffer.writeBytes(Self.mark)
            buffer.writeStaticString("R")
        }
        return buffer
    }

    /// A server's redirect as a balancer message (D7): an absolute URL with the opening's query behind its own. Without
    /// a location the balancer names no member. `nil` when the location is no URL.
    package static func balancing(
        _ location: String?,
        at url: WebSocketURL?,
        query: String?
    ) -> KaazingLegacyMessage? {
        guard let location else { return .noMember }
        guard let target = url.map({ try? $0.resolving(location) }) ?? (try? WebSocketURL(location)) else { return nil }
        return .redirect(to: target.merging(query: query).description)
    }

    /// `balancer N`, `balancer R <url>`, `balancer R` or `end-of-response`, as transcripts have it; the URL as
    /// ``WebSocketURL/redacted`` has it.
    public var description: String {
        switch self {
        case .noBalancer: "balancer N"
        case .redirect(let url): "balancer R \(Redaction.shown(url))"
        case .noMember: "balancer R"
        case .endOfResponse: "end-of-response"
        }
    }
}

extension KaazingLegacyMessage: CustomReflectable {
    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["message": self.description]) }
}

extension WebSocketURL {
    /// With `.kl=Y` in the query, once (D7).
    package var askingForKaazingLegacy: WebSocketURL {
        guard KaazingLegacy(query: self.query) != .full else { return self }
        return self.merging(query: KaazingLegacy.parameter)
    }

    /// Without any `.kl=Y`: balancers return it, some of them several times.
    package var withoutKaazingLegacy: WebSocketURL {
        guard let query else { return self }
        let rest = query.split(separator: "&", omittingEmptySubsequences: false).filter {
            $0 != KaazingLegacy.parameter
        }
        return self.replacing(query: rest.isEmpty ? nil : rest.joined(separator: "&"))
    }

    /// With the parameters of another query behind its own, each once, as balancers append the opening's.
    package func merging(query other: String?) -> WebSocketURL {
        guard let other, !other.isEmpty else { return self }
        var parameters = Self.parameters(of: self.query ?? "")
        var known = Set(parameters)
        // Both are a peer's, and may be of thousands.
        for parameter in Self.parameters(of: other) where known.insert(parameter).inserted {
            parameters.append(parameter)
        }
        return self.replacing(query: parameters.joined(separator: "&"))
    }

    private static func parameters(of query: String) -> [Substring] {
        query.utf8.split(separator: UInt8(ascii: "&")).map { Substring($0) }
    }
}
