// The server's half of a Digest login: rspauth, by which it shows that it knows the password too (RFC 7616 section 3.5,
// threat G14).

package import NIOCore

/// The proof that an answer to Digest credentials owes, if it holds one at all. Shows nothing of itself.
package struct DigestProof: Sendable {
    private let exchange: DigestExchange
    private let key: String

    package init(exchange: DigestExchange, key: String) {
        self.exchange = exchange
        self.key = key
    }

    /// Checks Authentication-Info or Proxy-Authentication-Info.
    /// - Parameters:
    ///   - values: of all fields of that name; without one, or without rspauth, nothing is claimed and nothing checked.
    ///   - entity: the answer's content, for auth-int; `nil` where it was not read whole, and cannot be judged.
    /// - Returns: `nextnonce`, where there is one.
    /// - Throws: ``WebSocketError/Code/authenticationFailed`` where what the server says is not so.
    @discardableResult
    package func check(_ values: [String], entity: ByteBuffer? = ByteBuffer()) throws(WebSocketError) -> String? {
        if values.isEmpty { return nil }
        var parameters: [String: String] = [:]
        do throws(GrammarError) {
            for parameter in try parseAuthenticationParameters(values) { parameters[parameter.name] = parameter.value }
        } catch {
            throw Self.failure("its Authentication-Info cannot be read: \(error.message)")
        }
        if let given = parameters["rspauth"] {
            var exchange = self.exchange
            if let name = parameters["qop"], exchange.protection != nil {
                guard let protection = DigestProtection(rawValue: Bytes.lowercasedASCII(name)) else {
                    throw Self.failure("its qop is unknown")
                }
                exchange.protection = protection
            }
            if let clientNonce = parameters["cnonce"], clientNonce != exchange.clientNonce {
                throw Self.failure("it answers another request")
            }
            if let count = parameters["nc"], Bytes.lowercasedASCII(count) != exchange.nonceCountText {
                throw Self.failure("it answers another request")
            }
            let isJudged = entity != nil || exchange.protection != .integrity
            let expected = exchange.responseAuthentication(key: self.key, entity: entity ?? ByteBuffer())
            guard !isJudged || !expected.isEmpty && constantTimeEquals(Bytes.lowercasedASCII(given), expected) else {
                throw Self.failure("its rspauth is wrong")
            }
        }
        return parameters["nextnonce"]
    }

    private static func failure(_ what: String) -> WebSocketError {
        WebSocketError(
            .authenticationFailed,
            "The server took the credentials and did not prove that it knows them too: \(what)."
        )
    }
}

extension DigestProof: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The credentials in a request. Never shows itself.
package struct RequestAuthorization: Sendable {
    /// The value of Authorization.
    package var value: String
    /// For Digest: the proof that the answer may owe.
    package var proof: DigestProof?

    package init(_ value: String, proof: DigestProof? = nil) {
        self.value = value
        self.proof = proof
    }
}

extension RequestAuthorization: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}
