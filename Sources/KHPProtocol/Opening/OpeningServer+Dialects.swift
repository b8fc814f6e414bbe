// The server's opening in the dialects before RFC 6455: the requests that belong to them, the fields these need, and
// the answers (H69-9, H69-10, W10-6, W10-7, X76-1).

import HTTPTypes
import NIOCore

extension OpeningServer {
    /// How a request of an old dialect opens; `nil` for RFC 6455, and where no endpoint speaks such a dialect: then it
    /// is refused as a request without a version. D1: by its fields.
    static func oldOpening(
        of head: RequestHead,
        among dialects: [Dialect]
    ) throws(Refusal) -> Dialect.Opening? {
        let fields = head.fields
        let isNumbered = fields.contains(.numberedKey)
        guard isNumbered || dialects.contains(where: { $0.opening != .acceptKey }) else { return nil }
        if fields.contains(.version) || fields.contains(.key) {
            // Threat D8: no client speaks two dialects at once.
            guard !isNumbered else {
                throw .badRequest("The request has the keys of two dialects.")
            }
            return nil
        }
        let opening: Dialect.Opening = isNumbered ? .twoKeys : .invariant
        return dialects.contains { $0.opening == opening } ? opening : nil
    }

    /// A request of an old dialect, whose head ends as every head does (D3). Unlike their texts, which would rather
    /// drop such a client, we tell it why.
    static func checkOld(
        _ request: CheckedRequest,
        _ opening: Dialect.Opening
    ) throws(Refusal) -> OpeningRequest {
        let head = request.head
        let fields = head.fields
        guard !fields.contains(.transferEncoding) else { throw .badRequest("Transfer-Encoding is not allowed.") }
        // Some clients count the eight bytes behind the head as content.
        let length = fields.contentLength
        guard length == .absent || length == .bytes(0) || opening == .twoKeys && length == .bytes(8) else {
            throw .badRequest("Content is not allowed.")
        }
        // H69-10
        guard head.method == "GET" else { throw .methodNotAllowed(head.method) }
        guard head.minorVersion == 1 else { throw Refusal(505, "A WebSocket is opened with HTTP/1.1.") }
        guard fields.count(of: "Upgrade") == 1, fields.value(of: "Upgrade", equalsIgnoringCase: "websocket") else {
            throw .badRequest("The request has no Upgrade: WebSocket.")
        }
        guard fields.hasToken("upgrade", in: .connection) else {
            throw .badRequest("The request has no Connection: Upgrade.")
        }
        guard let authority = request.authority else { throw .badRequest("There is no Host field.") }
        guard head.target.utf8.first == Bytes.slash else { throw .badRequest("The request target is no path.") }
        guard fields.contains(.origin) else {
            throw .badRequest("The request has no Origin, which its dialect requires.")
        }
        let numbers = opening == .twoKeys ? try numbers(in: fields) : nil
        var subprotocols = Self.subprotocols(in: fields, opening)
        let offered = subprotocols.count
        subprotocols.removeAll { $0 == Subprotocols.extendedHandshake }
        return OpeningRequest(
            request,
            authority: authority,
            opening: opening,
            numbers: numbers,
            version: 0,
            spellsUpgradeOldStyle: fields.withValues { $0.value(of: .upgrade, equals: "WebSocket") },
            subprotocols: subprotocols,
            offersExtendedHandshake: subprotocols.count < offered,
            extensionOffers: []
        )
    }

    /// W10-6, threat D2.
    private static func numbers(in fields: HeadFields) throws(Refusal) -> OpeningRequest.Numbers {
        var numbers: [UInt32] = []
        for name in ["Sec-WebSocket-Key1", "Sec-WebSocket-Key2"] {
            guard fields.count(of: name) == 1, let key = fields.first(name) else {
                throw .badRequest("The request does not have \(name) once.")
            }
            do throws(HixieKeys.Invalid) {
                numbers.append(try HixieKeys.number(of: key))
            } catch {
                let what =
                    switch error {
                    case .malformed: "too long, or holds what is not printable"
                    case .withoutDigits: "a key without digits"
                    case .numberTooLarge: "a key of more than 32 bits"
                    case .withoutSpaces: "a key without spaces"
                    case .notDivisible: "a key whose spaces do not divide its number"
                    }
                throw .badRequest("\(name) is \(what).")
            }
        }
        return OpeningRequest.Numbers(first: numbers[0], second: numbers[1])
    }

    /// Names separated by spaces (W10-1) or, as some clients have it, by commas; under the name of either dialect. In
    /// hixie-75 a value without commas is one name first of all (D42).
    private static func subprotocols(in fields: HeadFields, _ opening: Dialect.Opening) -> [String] {
        var names = DistinctNames()
        for field in ["Sec-WebSocket-Protocol", "WebSocket-Protocol"] {
            fields.forEachValue(of: field) { value in
                if opening == .invariant, !value.contains(Bytes.comma),
                    Subprotocols.isName(FieldText.string(value), in: .hixie75)
                {
                    names.append(value)
                }
                for name in value.split(whereSeparator: { Bytes.isWhitespace($0) || $0 == Bytes.comma }) {
                    names.append(UnsafeRawBufferPointer(rebasing: name))
                }
                return true
            }
        }
        return names.names
    }

    /// The 101 of an old dialect, without the sixteen bytes (H69-9, W10-7).
    static func acceptance(
        of request: OpeningRequest,
        in dialect: Dialect,
        location: WebSocketURL,
        subprotocol: String?,
        fields: HTTPFields
    ) -> ResponseHead {
        var head = ResponseHead(status: 101, reason: StatusReason.switchingProtocols)
        head.fields.append("Upgrade", "WebSocket")
        head.fields.append("Connection", "Upgrade")
        let origin = (dialect.originField, Bytes.lowercasedASCII(request.origin ?? "null"))
        let place = (dialect.locationField, location.description)
        for (name, value) in dialect.opening == .invariant ? [origin, place] : [place, origin] {
            head.fields.append(name, value)
        }
        if let subprotocol { head.fields.append(dialect.subprotocolField, subprotocol) }
        for field in fields where !ApplicationFields.isReservedInAnswer(field.name, status: 101) {
            guard !field.name.canonicalName.hasPrefix("websocket-") else { continue }
            head.fields.append(field.name.rawName, field.text)
        }
        return head
    }
}
