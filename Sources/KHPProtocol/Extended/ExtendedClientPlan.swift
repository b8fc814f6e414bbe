// Everything that a client decides before it writes its extended request.

package import HTTPTypes
package import NIOCore

/// What one extended request asks for.
package struct ExtendedClientPlan: Sendable {
    /// Where the WebSocket goes to; the request names its resource.
    package var url: WebSocketURL
    package var method: String
    /// The application's subprotocols (KHP-E4).
    package var subprotocols: [String]
    /// The extensions with what the opening negotiated; the rest is asked for (KHP-E5).
    package var extensions: ExtensionNegotiation
    /// The application's own fields (KHP-E6).
    package var extraFields: HTTPFields
    /// Content, held back until the server asks for it with 100.
    package var body: ByteBuffer?
    /// Authorization to send without being asked.
    package var authorization: String?
    /// The opening's Sec-WebSocket-Accept (KHP-E14).
    package var acceptValue: String
    /// Whether 308 is followed as a permanent redirect (D4).
    package var followsPermanentRedirect: Bool

    package init(
        url: WebSocketURL,
        method: String = "GET",
        subprotocols: [String] = [],
        extensions: ExtensionNegotiation = ExtensionNegotiation(),
        extraFields: HTTPFields = [:],
        body: ByteBuffer? = nil,
        authorization: String? = nil,
        acceptValue: String,
        followsPermanentRedirect: Bool = false
    ) {
        self.url = url
        self.method = method
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.extraFields = extraFields
        self.body = body
        self.authorization = authorization
        self.acceptValue = acceptValue
        self.followsPermanentRedirect = followsPermanentRedirect
    }

    /// Throws for what an API user may have put in wrong (A7). To be called before anything is dialled.
    package func validate() throws(WebSocketError) {
        try FieldValidation.validate(token: method, what: "The method of the extended request")
        try Subprotocols.validate(subprotocols)
        try ApplicationFields.validate(extraFields)
        if let authorization {
            try FieldValidation.validate(name: "Authorization", value: authorization)
        }
    }

    /// The extended request as the bytes of one message, and nothing in it that deployed gateways refuse (D9): request
    /// line, subprotocols, extensions, the application's fields, what announces a body, Authorization last.
    func writeRequest(authorization: String?) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(256)
        buffer.writeString(method)
        buffer.writeInteger(Bytes.space)
        buffer.writeString(url.path)
        if let query = url.query {
            buffer.writeInteger(UInt8(ascii: "?"))
            buffer.writeString(query)
        }
        buffer.writeStaticString(" HTTP/1.1\r\n")
        buffer.writeList("Sec-WebSocket-Protocol", subprotocols)
        buffer.writeList("Sec-WebSocket-Extensions", extensions.offers.map(\.description))
        for field in extraFields where authorization == nil || field.name != .authorization {
            buffer.writeField(field.name.rawName, field.value)
        }
        if let body {
            buffer.writeStaticString("Expect: 100-continue\r\n")
            buffer.writeField("Content-Length", String(body.readableBytes))
        }
        if let authorization {
            buffer.writeField("Authorization", authorization)
        }
        buffer.writeStaticString("\r\n")
        return buffer
    }
}

extension ByteBuffer {
    /// One field line with a comma list; none at all when there is nothing to list (KHP-E5).
    fileprivate mutating func writeList(_ name: String, _ elements: [String]) {
        guard !elements.isEmpty else { return }
        writeString(name)
        writeStaticString(": ")
        var isFirst = true
        for element in elements {
            if !isFirst { writeStaticString(", ") }
            writeString(element)
            isFirst = false
        }
        writeStaticString("\r\n")
    }
}
