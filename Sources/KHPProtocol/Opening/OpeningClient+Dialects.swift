// The client's opening in the dialects before RFC 6455: the request's bytes, and the answers that are believed (H69-1
// to H69-4, W10-1 to W10-4, X76-1). The machine is `OpeningClient`.

import HTTPTypes
import NIOCore

extension OpeningClientPlan {
    /// The page that the client stands in for; one of the server's own where the caller named none, since the old
    /// dialects always have one.
    var writtenOrigin: String { Bytes.lowercasedASCII(self.origin ?? self.url.origin) }

    /// The subprotocols in the request. hixie has room for one name: the extended handshake's, inside which the
    /// application's follow.
    var writtenSubprotocols: [String] {
        guard self.dialect.framing == .hixie, self.subprotocols.first == Subprotocols.extendedHandshake else {
            return self.subprotocols
        }
        return [Subprotocols.extendedHandshake]
    }

    /// The request's head in an old dialect. Throws as `makeHead` does.
    func makeDialectHead() throws(WebSocketError) -> RequestHead {
        let written = self.writtenSubprotocols
        guard self.dialect.framing != .hixie || written.count <= 1 else {
            throw WebSocketError(
                .invalidArgument,
                "\(self.dialect) has room for one subprotocol, and \(written.count) are asked for."
            )
        }
        let origin = self.writtenOrigin
        try FieldValidation.validate(name: "Origin", value: origin)
        var fields = [
            ("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("Host", self.url.authority), ("Origin", origin),
        ]
        if !written.isEmpty {
            fields.append((self.dialect.subprotocolField, written.joined(separator: " ")))
        }
        if let cookies {
            try FieldValidation.validate(name: "Cookie", value: cookies)
            fields.append(("Cookie", cookies))
        }
        try ApplicationFields.validate(self.extraFields)
        for field in self.extraFields {
            switch field.name {
            // It is there in any case.
            case .origin: continue
            case .cookie where self.cookies != nil, .authorization where self.authorization != nil: continue
            default: fields.append((field.name.rawName, field.text))
            }
        }
        if let authorization {
            try FieldValidation.validate(name: "Authorization", value: authorization)
            fields.append(("Authorization", authorization))
        }
        if self.dialect.opening == .twoKeys {
            guard let keys else { throw WebSocketError(.invalidArgument, "\(self.dialect) needs keys.") }
            fields.append(("Sec-WebSocket-Key1", keys.key1))
            fields.append(("Sec-WebSocket-Key2", keys.key2))
            fields = keys.ordered(fields)
        }
        var head = RequestHead(method: "GET", target: self.url.resource)
        for (name, value) in fields { head.fields.append(name, value) }
        return head
    }
}

extension Dialect {
    /// H69-1, W10-1.
    var subprotocolField: String { self.opening == .invariant ? "WebSocket-Protocol" : "Sec-WebSocket-Protocol" }
    var originField: String { self.opening == .invariant ? "WebSocket-Origin" : "Sec-WebSocket-Origin" }
    var locationField: String { self.opening == .invariant ? "WebSocket-Location" : "Sec-WebSocket-Location" }
}

extension OpeningClientPlan {
    /// Checks the fields of a 101 of an old dialect (H69-4, W10-3).
    /// - Returns: the subprotocol that the server selected.
    func check(_ head: ResponseHead) throws(HixieResponse.Invalid) -> String? {
        let fields = head.fields
        if self.dialect.opening == .twoKeys {
            guard fields.count(of: "Upgrade") == 1, fields.value(of: "Upgrade", equalsIgnoringCase: "websocket") else {
                throw .init("its 101 does not upgrade to WebSocket")
            }
            guard fields.count(of: "Connection") == 1, fields.value(of: "Connection", equalsIgnoringCase: "upgrade")
            else { throw .init("its 101 has no Connection: Upgrade") }
        }
        // Threat D7.
        for (name, expected) in [
            (self.dialect.originField, self.writtenOrigin), (self.dialect.locationField, self.url.description),
        ] {
            guard fields.count(of: name) == 1 else { throw .init("its 101 does not have \(name) once") }
            guard fields.value(of: name, equals: expected) else { throw .init("its \(name) is not what was asked for") }
        }
        return try self.subprotocol(in: fields)
    }

    private func subprotocol(in fields: HeadFields) throws(HixieResponse.Invalid) -> String? {
        let name = self.dialect.subprotocolField
        let asked = self.writtenSubprotocols
        let count = fields.count(of: name)
        // W10-3: looked at there even when nothing was asked for; the drafts pass over it.
        if self.dialect.framing == .whatwg2010,
            !fields.all(name).allSatisfy({ Subprotocols.isName($0, in: self.dialect) })
        {
            throw .init("its \(name) is malformed")
        }
        guard !asked.isEmpty else { return nil }
        if count == 0, asked == [Subprotocols.extendedHandshake], self.subprotocols.count == 1 {
            // Old servers that know no subprotocols answer none. They may decline our own, as newer servers do, but not
            // the application's.
            return nil
        }
        guard count == 1, let value = fields.first(name), asked.contains(value) else {
            throw .init("its \(name) is not what was asked for")
        }
        guard Subprotocols.isName(value, in: self.dialect) else { throw .init("its \(name) is malformed") }
        return value
    }
}
