// The server's half of the opening handshake (RFC 6455 section 4.2): one request head in, a valid WebSocket request or
// a refusal out. Paths, origins and answers are the caller's.
//
// States × events:
//            bytes
//   idle     a part of a head: reading; a whole one: the request, or the refusal that is owed
//   reading  the same
//   refused  left where they are
// A head that cannot be read is refused in either of the first two: refused.
//
// - our own bug: none possible here;
// - the client's violation: a ``Refusal`` with the answer that is owed, then the connection is closed (threat A4);
// - ignored: every field that the protocol does not know, empty list elements, subprotocols named twice.

package import HTTPTypes
package import NIOCore

package struct OpeningServer {
    private var decoder: RequestHeadDecoder
    /// `true` once a head has come that cannot be read.
    private(set) var refused = false

    package init(limits: Limits = Limits()) {
        self.decoder = RequestHeadDecoder(limits: limits.openingHead)
    }

    package enum StateName: String, CaseIterable, Sendable { case idle, reading, refused }

    package var stateName: StateName { self.refused ? .refused : self.isIdle ? .idle : .reading }

    /// `true` until the first byte of a request has arrived.
    package var isIdle: Bool { self.decoder.isEmpty }

    /// Bytes of memory for the part of a request that has come.
    var heldBytes: Int { self.decoder.heldBytes }

    /// Reads a WebSocket request from `input`; `nil` when it needs more. Throws the refusal of any other. Bytes behind
    /// the head stay in `input`.
    package mutating func receive(_ input: inout ByteBuffer) throws(Refusal) -> OpeningRequest? {
        guard let head = try self.receiveHead(&input) else { return nil }
        return try Self.check(head)
    }

    /// The first part of ``receive(_:)``. ``CheckedRequest`` follows for every request, then
    /// ``check(_:dialects:isUpgrade:)`` for the requests of a WebSocket.
    package mutating func receiveHead(_ input: inout ByteBuffer) throws(Refusal) -> RequestHead? {
        guard !self.refused else { return nil }
        do throws(HeadError) {
            return try self.decoder.decode(&input)
        } catch {
            self.refused = true
            throw Refusal(error.status, "The head cannot be read: \(error.message).")
        }
    }

    /// The bytes that were taken of a head that cannot be read; those behind it were left in the input.
    mutating func takeUndecoded() -> ByteBuffer { self.decoder.takeUndecoded() }

    /// Returns `true` when a request wants a WebSocket, valid or not: it names the protocol in Upgrade.
    package static func isWebSocketRequest(_ head: RequestHead) -> Bool {
        head.fields.hasToken("websocket", in: .upgrade)
    }

    /// Returns `true` when a request offers x-kaazing-handshake, as RFC 6455 writes lists.
    static func offersExtendedHandshake(_ head: RequestHead) -> Bool {
        head.fields.hasToken("x-kaazing-handshake", in: .subprotocol)
    }

    /// The last two parts of ``receive(_:)``.
    package static func check(
        _ head: RequestHead,
        dialects: [Dialect] = [.rfc6455]
    ) throws(Refusal) -> OpeningRequest {
        try check(CheckedRequest(head), dialects: dialects)
    }

    /// The last part of ``receive(_:)``: RFC 6455 section 4.2.1, in the order of what is most useful to be told.
    /// - Parameters:
    ///   - dialects: all that some endpoint of this server speaks.
    ///   - isUpgrade: the result of ``isWebSocketRequest(_:)``.
    ///   - isConnect: true for a CONNECT of HTTP/2, which has no key and speaks no older dialect (RFC 8441 section 5).
    package static func check(
        _ request: CheckedRequest,
        dialects: [Dialect] = [.rfc6455],
        isUpgrade: Bool = false,
        isConnect: Bool = false
    ) throws(Refusal) -> OpeningRequest {
        let head = request.head
        let fields = head.fields
        if !isConnect, let opening = try oldOpening(of: head, among: dialects) {
            return try checkOld(request, opening)
        }
        // A WebSocket request has no content, and a field that frames one can smuggle a request (threat A3).
        guard !fields.contains(.transferEncoding) else { throw .badRequest("Transfer-Encoding is not allowed.") }
        guard !fields.contains(.contentLength) || fields.contentLength == .bytes(0) else {
            throw .badRequest("Content is not allowed.")
        }
        guard head.method == "GET" else { throw .methodNotAllowed(head.method) }
        guard isUpgrade || isWebSocketRequest(head) else {
            throw .upgradeRequired("This is a WebSocket endpoint, and the request has no Upgrade: websocket.")
        }
        guard head.minorVersion == 1 else { throw Refusal(505, "A WebSocket is opened with HTTP/1.1.") }
        let marks = Marks(of: fields)
        guard marks.upgradesConnection else {
            throw .badRequest("The request has no Connection: Upgrade.")
        }
        guard let authority = request.authority else { throw .badRequest("There is no Host field.") }
        guard let version = marks.version else {
            throw .upgradeRequired(
                fields.contains(.version)
                    ? "The Sec-WebSocket-Version is not one that this server speaks."
                    : "The request has no Sec-WebSocket-Version."
            )
        }
        if version == 8 { try checkOrigins(in: fields) }
        guard isConnect || marks.hasValidKey else {
            throw .badRequest("Sec-WebSocket-Key is not the base64 of sixteen bytes.")
        }
        var offer = Subprotocols.Offer()
        guard !fields.contains(.subprotocol) || offer.read(fields) else {
            throw .badRequest("Sec-WebSocket-Protocol is not a list of tokens.")
        }
        if offer.isEmpty, KaazingLegacy(query: request.query) != .off {
            // D7: old Kaazing clients name the field as the drafts did.
            for name in LegacyFields.subprotocol where !offer.read(fields, named: name) {
                throw .badRequest("\(name) is not a list of tokens.")
            }
        }
        var offers: [ExtensionOffer] = []
        if fields.contains(.extensions) {
            do throws(GrammarError) {
                offers = try parseExtensions(fields.all(.extensions))
            } catch {
                throw .badRequest("\(error.message).")
            }
        }
        return OpeningRequest(
            request,
            authority: authority,
            version: version,
            spellsUpgradeOldStyle: marks.spellsUpgradeOldStyle,
            subprotocols: offer.names,
            offersExtendedHandshake: offer.offersExtendedHandshake,
            extensionOffers: offers
        )
    }

    /// The 101 to a request (D10).
    ///
    /// - Parameters:
    ///   - acceptValue: the request's, if the caller has it already.
    ///   - fields: the application's own.
    package static func acceptance(
        of request: OpeningRequest,
        acceptValue: AcceptValue? = nil,
        subprotocol: String?,
        extensions: [NegotiatedExtension] = [],
        date: String,
        server: String,
        fields: HTTPFields? = nil
    ) -> Acceptance {
        Acceptance(
            acceptValue: acceptValue ?? request.acceptValue,
            negotiated: Agreement(subprotocol: subprotocol, extensions: extensions),
            echoesOldUpgrade: request.spellsUpgradeOldStyle,
            date: date,
            server: server,
            fields: fields ?? HTTPFields()
        )
    }

    /// Host must be there once (the decoder sees to "once") and be a host with or without a port (threat A12).
    static func authority(of head: RequestHead) throws(Refusal) -> Authority {
        if let common = head.fields.withFirst(.host, { Authority(common: $0) }), let common { return common }
        guard let host = head.fields.first(.host) else { throw .badRequest("There is no Host field.") }
        do throws(GrammarError) {
            return try Authority(host)
        } catch {
            throw .badRequest("The Host field is invalid: \(error.message).")
        }
    }

    /// A page has one origin, in whichever field it is named: drafts 08 to 10 of version 8 have Sec-WebSocket-Origin,
    /// drafts 11 and 12 have Origin (threat A13).
    private static func checkOrigins(in fields: HeadFields) throws(Refusal) {
        guard fields.contains("Sec-WebSocket-Origin") else { return }
        guard fields.count(of: "Sec-WebSocket-Origin") == 1 else {
            throw .badRequest("Sec-WebSocket-Origin is there twice.")
        }
        guard let origin = fields.first(.origin), !fields.value(of: "Sec-WebSocket-Origin", equals: origin) else {
            return
        }
        throw .badRequest("Origin and Sec-WebSocket-Origin name two origins.")
    }

    /// The answers to all that is asked of a request's fixed fields.
    private struct Marks {
        var upgradesConnection: Bool
        /// `nil` for one that is missing or not spoken here.
        var version: Int?
        var hasValidKey: Bool
        var spellsUpgradeOldStyle: Bool

        init(of fields: HeadFields) {
            self = fields.withValues { Self($0) }
        }

        private init(_ values: HeadFields.Values) {
            self.upgradesConnection = values.hasToken("upgrade", in: .connection)
            self.hasValidKey = values[.key].map { AcceptKey.isValidKey($0) } ?? false
            self.spellsUpgradeOldStyle = values.value(of: .upgrade, equals: "WebSocket")
            self.version =
                values.value(of: .version, equals: "13") ? 13 : values.value(of: .version, equals: "8") ? 8 : nil
        }
    }
}
