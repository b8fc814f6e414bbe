// Everything that a client decides before it writes its opening request.

package import HTTPTypes

/// The contents of one opening request.
package struct OpeningClientPlan: Sendable {
    /// Where to. Host and resource come from it.
    package var url: WebSocketURL

    /// Sec-WebSocket-Key, from ``AcceptKey/makeKey(using:)``.
    package var key: String

    /// Sec-WebSocket-Protocol in its order, x-kaazing-handshake first unless the extended handshake is off
    /// (``Subprotocols/offered(_:extendedHandshake:)``; KHP-O1).
    package var subprotocols: [String]

    /// The extensions to ask for.
    package var extensions: OfferedExtensions

    /// Origin, for clients that act for a browser.
    package var origin: String?

    /// The application's own fields.
    package var extraFields: HTTPFields

    /// Cookie.
    package var cookies: String?

    /// Authorization.
    package var authorization: String?

    package var dialect = Dialect.rfc6455

    /// The value of Sec-WebSocket-Version, where the dialect has one. Drafts 07 to 12 of RFC 6455, which called
    /// themselves 7 and 8, frame alike and name the origin differently up to draft 10.
    package var version: Int
    /// The keys of the dialects that have two.
    package var keys: HixieKeys?
    /// True on a stream of HTTP/2: no key is sent and none is answered, since CONNECT has said it (RFC 8441 section 5).
    var opensByConnect = false

    package init(
        url: WebSocketURL,
        key: String,
        subprotocols: [String] = [Subprotocols.extendedHandshake],
        extensions: OfferedExtensions = OfferedExtensions(),
        origin: String? = nil,
        extraFields: HTTPFields = [:],
        cookies: String? = nil,
        authorization: String? = nil,
        version: Int = 13
    ) {
        self.url = url
        self.key = key
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.origin = origin
        self.extraFields = extraFields
        self.cookies = cookies
        self.authorization = authorization
        self.version = version
    }

    /// The request's head in its fixed order. Throws for what an API user may have put in wrong (threat A7).
    func makeHead() throws(WebSocketError) -> RequestHead {
        try Subprotocols.validate(self.subprotocols.filter { $0 != Subprotocols.extendedHandshake }, in: self.dialect)
        guard self.dialect.opening == .acceptKey else { return try self.makeDialectHead() }
        var fields = HeadFields()
        fields.append("Host", self.url.authority)
        fields.append("Upgrade", "websocket")
        fields.append("Connection", "Upgrade")
        if !self.opensByConnect { fields.append("Sec-WebSocket-Key", self.key) }
        if let current = self.dialect.version {
            fields.append("Sec-WebSocket-Version", self.version == 13 ? current : String(self.version))
        }
        if !self.subprotocols.isEmpty {
            fields.append("Sec-WebSocket-Protocol", self.subprotocols.joined(separator: ", "))
        }
        let offers = self.extensions.offers(in: .opening)
        if !offers.isEmpty {
            fields.append("Sec-WebSocket-Extensions", offers.map(\.description).joined(separator: ", "))
        }
        if let origin {
            try FieldValidation.validate(name: "Origin", value: origin)
            fields.append(self.version < 13 ? "Sec-WebSocket-Origin" : "Origin", origin)
        }
        try ApplicationFields.validate(self.extraFields)
        for field in self.extraFields {
            // A field that the plan sets replaces the application's: two of them would be refused.
            switch field.name {
            case .origin where self.origin != nil, .cookie where self.cookies != nil,
                .authorization where self.authorization != nil:
                continue
            default:
                fields.append(field.name.rawName, field.text)
            }
        }
        if let cookies {
            try FieldValidation.validate(name: "Cookie", value: cookies)
            fields.append("Cookie", cookies)
        }
        if let authorization {
            try FieldValidation.validate(name: "Authorization", value: authorization)
            fields.append("Authorization", authorization)
        }
        return RequestHead(method: "GET", target: self.url.resource, minorVersion: 1, fields: fields)
    }
}

/// A plan that has been checked, with its request.
struct PreparedOpening: Sendable {
    let plan: OpeningClientPlan
    let head: RequestHead

    /// - Throws: `invalidArgument` for a plan that cannot be written (threat A7).
    init(_ plan: OpeningClientPlan) throws(WebSocketError) {
        self.head = try plan.makeHead()
        self.plan = plan
    }

    /// The same on a stream of HTTP/2.
    func onStream() throws(WebSocketError) -> PreparedOpening {
        var plan = self.plan
        plan.opensByConnect = true
        return try PreparedOpening(plan)
    }
}

extension OpeningClientPlan: CustomReflectable {
    /// Shows none of the fields, cookies and credentials.
    package var customMirror: Mirror { Mirror(self, children: ["url": self.url, "dialect": self.dialect]) }
}
