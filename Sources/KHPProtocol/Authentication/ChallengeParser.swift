/// The challenges of all fields of one name, in order: several may stand in one field (RFC 9110 section 11.6.1).
///
/// The comma separates challenges and parameters alike; a challenge starts where a token is not followed by `=`.
/// Throws when a field is malformed or names a parameter twice in one challenge: what belongs to which challenge must
/// never be a guess (threat G3).
package func parseChallenges(fieldValues: [String]) throws(GrammarError) -> [Challenge] {
    var challenges: [Challenge] = []
    for value in fieldValues {
        var parser = ChallengeParser(value)
        while let challenge = try parser.next() {
            guard challenges.count < ChallengeParser.maximumCount else {
                throw GrammarError("there are too many challenges", at: 0)
            }
            challenges.append(challenge)
        }
    }
    return challenges
}

/// The parameters of Authentication-Info and Proxy-Authentication-Info (RFC 9110 section 11.6.3), in order.
package func parseAuthenticationParameters(_ values: [String]) throws(GrammarError) -> [Challenge.Parameter] {
    // The parameters of a challenge without its scheme.
    let challenges = try parseChallenges(fieldValues: ["Info " + values.joined(separator: ", ")])
    guard challenges.count == 1, let parameters = challenges.first?.parameters, !parameters.isEmpty else {
        throw GrammarError("it holds something other than parameters", at: 0)
    }
    return parameters
}

private struct ChallengeParser {
    /// Challenges of one response, and parameters of one challenge: more than any scheme has.
    static let maximumCount = 32

    private var scanner: FieldScanner

    init(_ value: String) {
        self.scanner = FieldScanner(value)
    }

    mutating func next() throws(GrammarError) -> Challenge? {
        self.skipSeparators()
        if self.scanner.isAtEnd { return nil }
        guard let scheme = self.scanner.token() else {
            throw GrammarError("a challenge does not start with a scheme", at: self.scanner.position)
        }
        var challenge = Challenge(scheme: scheme)
        if challenge.isScheme("Application") { try self.takePrefixedScheme(into: &challenge) }
        guard let next = self.scanner.peek, next != Bytes.comma else { return challenge }
        guard Bytes.isWhitespace(next) else {
            throw GrammarError("\(Bytes.shown(next)) is not allowed after a scheme", at: self.scanner.position)
        }
        self.scanner.skipWhitespace()
        if let parameter = try parameter() {
            challenge.parameters = [parameter]
            try self.takeParameters(into: &challenge)
        } else if let token68 = self.scanner.token68() {
            challenge.token68 = token68
        }
        self.scanner.skipWhitespace()
        guard self.scanner.isAtEnd || self.scanner.peek == Bytes.comma else {
            throw GrammarError("a challenge is malformed", at: self.scanner.position)
        }
        return challenge
    }

    /// Kaazing's `Application Basic realm="…"`: the scheme is the second word, unless that is a parameter.
    private mutating func takePrefixedScheme(into challenge: inout Challenge) throws(GrammarError) {
        let start = self.scanner.position
        guard let space = self.scanner.peek, Bytes.isWhitespace(space) else { return }
        self.scanner.skipWhitespace()
        if try self.parameter() == nil, let scheme = self.scanner.token() {
            challenge.scheme = scheme
            challenge.isApplication = true
        } else {
            self.scanner.back(to: start)
        }
    }

    private mutating func takeParameters(into challenge: inout Challenge) throws(GrammarError) {
        while true {
            let end = self.scanner.position
            self.scanner.skipWhitespace()
            guard self.scanner.peek == Bytes.comma else { return }
            self.skipSeparators()
            let start = self.scanner.position
            guard let parameter = try parameter() else {
                // The next challenge.
                self.scanner.back(to: end)
                return
            }
            guard challenge[parameter.name] == nil else {
                throw GrammarError("the parameter \(parameter.name) is there twice in one challenge", at: start)
            }
            guard challenge.parameters.count < Self.maximumCount else {
                throw GrammarError("a challenge has too many parameters", at: start)
            }
            challenge.parameters.append(parameter)
        }
    }

    /// `auth-param = token BWS "=" BWS ( token / quoted-string )`; nil, and nothing taken, when none is next.
    private mutating func parameter() throws(GrammarError) -> Challenge.Parameter? {
        let start = self.scanner.position
        if let name = self.scanner.token() {
            self.scanner.skipWhitespace()
            if self.scanner.take(Bytes.equals) {
                self.scanner.skipWhitespace()
                if let value = try self.scanner.tokenOrQuotedString() {
                    return Challenge.Parameter(name: name, value: value)
                }
            }
        }
        self.scanner.back(to: start)
        return nil
    }

    private mutating func skipSeparators() {
        self.scanner.skipWhitespace()
        while self.scanner.take(Bytes.comma) { self.scanner.skipWhitespace() }
    }
}
