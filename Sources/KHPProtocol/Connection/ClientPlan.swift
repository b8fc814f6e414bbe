// The request of one hop of a client, as the caller and the hops before it have planned it.

package import HTTPTypes
package import NIOCore

/// The plan of one hop of a client.
package struct ClientPlan: Sendable {
    package var url: WebSocketURL
    package var dialect = Dialect.rfc6455
    /// The keys of hixie-76 and of the text of 2010; `nil` in other dialects.
    package var keys: HixieKeys?
    /// The application's subprotocols, without x-kaazing-handshake.
    package var subprotocols: [String] = []
    package var extensions: [any WebSocketExtension] = []
    /// The names of the extensions without which the socket does not open.
    package var requiredExtensions: Set<String> = []
    package var extended = Extended()
    package var origin: String?
    /// The caller's fields that may go to this hop's origin.
    package var headers = HTTPFields()
    /// The value of Cookie, from the client's store.
    package var cookies: String?
    /// `true` when cookies that the server sets count.
    package var takesCookies = false
    /// The value of Sec-WebSocket-Version: 13, or 8 or 7 after a 426 that wants one of these.
    package var version = 13
    /// The credentials of the opening request: the answer to its 401, or those that are sent unasked.
    package var authorization: RequestAuthorization?
    /// The redirects on the way here.
    package var redirects: [RedirectStep] = []
    /// The number of challenges that the connect has answered so far.
    package var challenges = 0

    /// The extended handshake of the hop.
    package struct Extended: Sendable {
        package var policy = ExtendedHandshakePolicy.preferred
        /// `true` to ask for the Kaazing legacy exchange (D7).
        package var kaazingLegacy = false
        package var method = "GET"
        package var headers = HTTPFields()
        package var body: ByteBuffer?
        /// Credentials that are sent unasked.
        package var authorization: RequestAuthorization?
        /// `true` when 308 counts as a redirect (D4).
        package var followsPermanentRedirect = false

        package init() {}
    }

    package init(url: WebSocketURL) {
        self.url = url
    }

    /// The plan with fresh random keys, where its dialect has any.
    package func withKeys(using generator: inout some RandomNumberGenerator) -> ClientPlan {
        guard self.dialect.opening == .twoKeys else { return self }
        var plan = self
        plan.keys = HixieKeys(using: &generator)
        return plan
    }
}

extension ClientPlan {
    /// The URL of the opening request: with `.kl=Y` where the Kaazing legacy exchange is asked for, on every hop (D7).
    /// A caller's own URL can ask for it as well.
    var openingURL: WebSocketURL {
        self.extended.kaazingLegacy && self.extended.policy != .off ? self.url.askingForKaazingLegacy : self.url
    }
}

/// The parts of an opening request that change when it is sent again after its 401.
package struct OpeningReplay: Sendable {
    let authorization: RequestAuthorization
    /// The credentials of the extended request.
    let extended: RequestAuthorization?
    /// The value of Cookie: the 401 may have set some (D44).
    package var cookies: String?
    /// How many challenges the connect has answered with this one.
    let challenges: Int

    package init(
        authorization: RequestAuthorization,
        extended: RequestAuthorization? = nil,
        cookies: String? = nil,
        challenges: Int
    ) {
        self.authorization = authorization
        self.extended = extended
        self.cookies = cookies
        self.challenges = challenges
    }
}

extension ClientPlan: CustomReflectable {
    /// Shows none of the fields, cookies and credentials.
    package var customMirror: Mirror { Mirror(self, children: ["url": self.url, "dialect": self.dialect]) }
}

extension ClientPlan.Extended: CustomReflectable {
    /// Shows none of the fields and credentials.
    package var customMirror: Mirror { Mirror(self, children: ["policy": self.policy, "method": self.method]) }
}
