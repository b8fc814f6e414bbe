// Everything that a client decides before it writes its extended request.

package import HTTPTypes
package import NIOCore

/// The contents of one extended request.
package struct ExtendedClientPlan: Sendable {
    /// Where the WebSocket goes to; the request names its resource.
    package var url: WebSocketURL
    package var method: String
    /// The application's subprotocols (KHP-E4).
    package var subprotocols: [String]
    /// The extensions, with those that the opening negotiated; the rest is asked for (KHP-E5).
    package var extensions: OfferedExtensions
    /// The application's own fields (KHP-E6).
    package var extraFields: HTTPFields
    /// Content, held back until the server asks for it with 100.
    package var body: ByteBuffer?
    /// Authorization to send without being asked.
    package var authorization: String?
    /// The opening's Sec-WebSocket-Accept (KHP-E14).
    package var acceptValue: String
    /// True where the opening had none, so that one in the response says nothing.
    var ignoresAcceptValue = false
    /// `true` when 308 is followed as a permanent redirect (D4).
    package var followsPermanentRedirect: Bool
    /// The part of the Kaazing legacy exchange that the opening asked for (D7).
    package var legacy: KaazingLegacy

    package init(
        url: WebSocketURL,
        method: String = "GET",
        subprotocols: [String] = [],
        extensions: OfferedExtensions = OfferedExtensions(),
        extraFields: HTTPFields = [:],
        body: ByteBuffer? = nil,
        authorization: String? = nil,
        acceptValue: String,
        followsPermanentRedirect: Bool = false,
        legacy: KaazingLegacy = .off
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
        self.legacy = legacy
    }

    /// Throws for a mistake of the API's user (threat A7). Call it before anything is dialled.
    package func validate() throws(WebSocketError) {
        try FieldValidation.validate(token: self.method, what: "The method of the extended request")
        try Subprotocols.validate(self.subprotocols)
        try ApplicationFields.validate(self.extraFields, inside: self.url)
        if let authorization {
            try FieldValidation.validate(name: "Authorization", value: authorization)
        }
    }

    /// Throws for content that messages of this dialect cannot carry: in W10-8 they are UTF-8 and nothing else.
    package func validateContent(in dialect: Dialect) throws(WebSocketError) {
        guard dialect.framing == .whatwg2010, let body else { return }
        guard body.withUnsafeReadableBytes({ UTF8Validator.isValid($0) }) else {
            throw WebSocketError(
                .invalidArgument,
                "\(dialect) has no binary messages; the content of the extended request must be UTF-8."
            )
        }
    }

    /// The extended request as the bytes of one message, without any field that deployed gateways refuse (D9): request
    /// line, subprotocols, extensions, the application's fields, the announcement of a body, Authorization last.
    func writeRequest(authorization: String?) -> ByteBuffer {
        let fields = self.extraFields.filter { authorization == nil || $0.name != .authorization }
        let offers = self.extensions.offers(in: .extended).map(\.description)
        let bodyLength = self.body.map { String($0.readableBytes) }
        var capacity = 192 + self.method.utf8.count + self.url.path.utf8.count + (self.url.query?.utf8.count ?? 0)
        capacity += authorization?.utf8.count ?? 0
        for item in self.subprotocols { capacity += item.utf8.count + 2 }
        for item in offers { capacity += item.utf8.count + 2 }
        for field in fields { capacity += field.name.rawName.utf8.count + field.text.utf8.count + 4 }
        var buffer = ByteBufferAllocator().buffer(capacity: capacity)
        buffer.writeText(capacity: capacity) { text in
            text.write(self.method)
            text.write(" ")
            text.write(self.url.path)
            if let query = self.url.query {
                text.write("?")
                text.write(query)
            }
            text.write(" HTTP/1.1\r\n")
            text.writeList("Sec-WebSocket-Protocol: ", self.subprotocols)
            text.writeList("Sec-WebSocket-Extensions: ", offers)
            for field in fields {
                text.write(field.name.rawName)
                text.write(": ", field.text)
            }
            if let bodyLength {
                text.write("Expect: 100-continue\r\n")
                text.write("Content-Length: ", bodyLength)
            }
            if let authorization {
                text.write("Authorization: ", authorization)
            }
            text.write("\r\n")
        }
        return buffer
    }
}

extension TextWriter {
    /// One field line with a comma list; none at all when there is nothing to list (KHP-E5).
    fileprivate mutating func writeList(_ name: StaticString, _ elements: [String]) {
        guard !elements.isEmpty else { return }
        self.write(name)
        var isFirst = true
        for element in elements {
            if !isFirst { self.write(", ") }
            self.write(element)
            isFirst = false
        }
        self.write("\r\n")
    }
}

extension ExtendedClientPlan: CustomReflectable {
    /// Shows none of the fields and credentials.
    package var customMirror: Mirror { Mirror(self, children: ["url": self.url, "method": self.method]) }
}
