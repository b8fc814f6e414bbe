// The server's half of the opening handshake (RFC 6455 section 4.2): one request head in, a valid WebSocket request or
// a refusal out. Paths, origins and answers are the caller's.
//
// - our own bug: none possible here;
// - the client's violation: a ``Refusal`` with the answer that is owed, then the connection is closed (A4);
// - ignored: every field that the protocol does not know, empty list elements, subprotocols named twice.

package import NIOCore

package struct OpeningServer {
    private var decoder: RequestHeadDecoder
    private var refused = false

    package init(limits: Limits = Limits()) {
        decoder = RequestHeadDecoder(limits: limits.openingHead)
    }

    /// Whether no byte of a request has arrived.
    package var isIdle: Bool { decoder.isEmpty }

    /// Takes what has arrived: a WebSocket request, a refusal, or `nil` for more. Bytes behind the head stay in `input`.
    package mutating func receive(_ input: inout ByteBuffer) throws(Refusal) -> OpeningRequest? {
        guard let head = try receiveHead(&input) else { return nil }
        return try Self.check(head)
    }

    /// The first half of ``receive(_:)``, for callers that hand other requests to an ordinary HTTP handler.
    package mutating func receiveHead(_ input: inout ByteBuffer) throws(Refusal) -> RequestHead? {
        guard !refused else { return nil }
        do throws(HeadError) {
            return try decoder.decode(&input)
        } catch {
            refused = true
            throw Refusal(error.status, "The head cannot be read: \(error.message).")
        }
    }

    /// Whether a request wants a WebSocket, valid or not: it names the protocol in Upgrade.
    package static func isWebSocketRequest(_ head: RequestHead) -> Bool {
        head.fields.hasToken("websocket", in: "Upgrade")
    }

    /// The second half of ``receive(_:)``: RFC 6455 section 4.2.1, in the order of what is most useful to be told.
    /// - Parameters:
    ///   - dialects: all that some endpoint of this server speaks.
    ///   - isUpgrade: whether ``isWebSocketRequest(_:)`` has said so.
    package static func check(
        _ head: RequestHead,
        dialects: [Dialect] = [.rfc6455],
        isUpgrade: Bool = false
    ) throws(Refusal) -> OpeningRequest {
        let fields = head.fields
        let known = KnownFields(in: fields)
        if let opening = try oldOpening(of: head, known, among: dialects) {
            return try checkOld(head, known, opening)
        }
        // A WebSocket request has no content, and whatever frames one is a way to smuggle (A3).
        guard !known.contains(.transferEncoding) else { throw .badRequest("Transfer-Encoding is not allowed.") }
        guard !known.contains(.contentLength) || fields.contentLength == .bytes(0) else {
            throw .badRequest("Content is not allowed.")
        }
        guard head.method == "GET" else { throw .methodNotAllowed(head.method) }
        guard isUpgrade || isWebSocketRequest(head) else {
            throw .upgradeRequired("This is a WebSocket endpoint, and the request has no Upgrade: websocket.")
        }
        guard head.minorVersion == 1 else { throw Refusal(505, "A WebSocket is opened with HTTP/1.1.") }
        guard fields.hasToken("upgrade", in: "Connection") else {
            throw .badRequest("The request has no Connection: Upgrade.")
        }
        let authority = try authority(of: head)
        let (path, query) = try resource(of: head, at: authority)
        let version = try version(of: fields)
        guard let key = fields.first("Sec-WebSocket-Key"), AcceptKey.isValidKey(key) else {
            throw .badRequest("Sec-WebSocket-Key is not the base64 of sixteen bytes.")
        }
        var subprotocols: [String] = []
        guard !known.contains(.subprotocol) || Subprotocols.parse(fields, into: &subprotocols) else {
            throw .badRequest("Sec-WebSocket-Protocol is not a list of tokens.")
        }
        if subprotocols.isEmpty, KaazingLegacy(query: query) != .off {
            // D7: old Kaazing clients name the field as the drafts did.
            for name in LegacyFields.subprotocol where !Subprotocols.parse(fields, named: name, into: &subprotocols) {
                throw .badRequest("\(name) is not a list of tokens.")
            }
        }
        let offered = subprotocols.count
        subprotocols.removeAll { $0 == Subprotocols.extendedHandshake }
        var offers: [ExtensionOffer] = []
        if known.contains(.extensions) {
            do throws(GrammarError) {
                offers = try parseExtensions(fields.all("Sec-WebSocket-Extensions"))
            } catch {
                throw .badRequest("\(error.message).")
            }
        }
        return OpeningRequest(
            head: head,
            path: path,
            query: query,
            authority: authority,
            key: key,
            version: version,
            subprotocols: subprotocols,
            offersExtendedHandshake: subprotocols.count < offered,
            extensionOffers: offers
        )
    }

    /// The 101 to a request (D10).
    ///
    /// - Parameters:
    ///   - acceptValue: from ``AcceptKey/accept(for:)``, if the caller has it already.
    package static func acceptance(
        of request: OpeningRequest,
        acceptValue: String? = nil,
        subprotocol: String?,
        extensions: [NegotiatedExtension] = [],
        date: String,
        server: String
    ) -> Acceptance {
        Acceptance(
            acceptValue: acceptValue ?? AcceptKey.accept(for: request.key),
            negotiated: Negotiated(subprotocol: subprotocol, extensions: extensions),
            echoesOldUpgrade: request.spellsUpgradeOldStyle,
            date: date,
            server: server
        )
    }

    /// Host must be there once (the decoder sees to "once") and be a host with or without a port (A12).
    static func authority(of head: RequestHead) throws(Refusal) -> Authority {
        guard let host = head.fields.first("Host") else { throw .badRequest("There is no Host field.") }
        do throws(GrammarError) {
            return try Authority(host)
        } catch {
            throw .badRequest("The Host field is invalid: \(error.message).")
        }
    }

    /// Path and query of the target: origin-form, or an absolute http(s) URI of the same authority.
    static func resource(
        of head: RequestHead,
        at authority: Authority
    ) throws(Refusal) -> (path: String, query: String?) {
        var target = Substring(head.target)
        if target.utf8.first == UInt8(ascii: "?"), KaazingLegacy(query: String(target.dropFirst())) != .off {
            // Kaazing's Java client leaves an empty path out (KI 2.2).
            target = "/" + target
        }
        if target.utf8.first != Bytes.slash {
            guard let start = target.range(ofScheme: "http://") ?? target.range(ofScheme: "https://") else {
                throw .badRequest("The request target is neither a path nor an http or https URI.")
            }
            let rest = target[start...]
            let end = rest.utf8.firstIndex { $0 == Bytes.slash || $0 == UInt8(ascii: "?") } ?? rest.endIndex
            guard let named = try? Authority(rest[..<end]), named.isSame(as: authority) else {
                throw .badRequest("The request target names another authority than the Host field.")
            }
            target = rest[end...]
            if target.utf8.first != Bytes.slash { target = "/" + target }
        }
        guard !target.utf8.contains(UInt8(ascii: "#")) else {
            throw .badRequest("The request target has a fragment.")
        }
        return splitTarget(target)
    }

    private static func version(of fields: HeadFields) throws(Refusal) -> Int {
        switch fields.first("Sec-WebSocket-Version") {
        case "13": return 13
        case "8": return 8
        case nil: throw .upgradeRequired("The request has no Sec-WebSocket-Version.")
        default: throw .upgradeRequired("The Sec-WebSocket-Version is not one that this server speaks.")
        }
    }
}

/// An origin-form target as path and query.
func splitTarget(_ target: Substring) -> (path: String, query: String?) {
    guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (String(target), nil) }
    return (String(target[..<mark]), String(target[target.utf8.index(after: mark)...]))
}

extension Substring {
    /// Where the rest begins, if this begins with `scheme` in any case.
    fileprivate func range(ofScheme scheme: String) -> Substring.Index? {
        var index = utf8.startIndex
        for byte in scheme.utf8 {
            guard index < utf8.endIndex, Bytes.lowercased(utf8[index]) == byte else { return nil }
            index = utf8.index(after: index)
        }
        return index
    }
}

extension Authority {
    /// Whether both name the same host and port, where no port is as good as a scheme's default (D14, D23).
    package func isSame(as other: Authority) -> Bool {
        guard host == other.host else { return false }
        guard port != other.port else { return true }
        guard let written = port ?? other.port, port == nil || other.port == nil else { return false }
        return written == 80 || written == 443
    }
}
