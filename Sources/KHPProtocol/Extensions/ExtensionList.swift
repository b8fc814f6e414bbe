// The grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1), read in one linear pass (threat A11):
//
//     extension-list  = 1#extension
//     extension       = extension-token *( ";" extension-param )
//     extension-param = token [ "=" ( token / quoted-string ) ]     what was quoted must be a token once unquoted

/// Reads all values of Sec-WebSocket-Extensions in one head, in order. Empty list elements are ignored, as RFC 9110
/// section 5.6.1 asks.
package func parseExtensions(_ values: [String]) throws(GrammarError) -> [ExtensionOffer] {
    var result: [ExtensionOffer] = []
    for value in values {
        var scanner = FieldScanner(value)
        while true {
            scanner.skipWhitespace()
            if scanner.isAtEnd { break }
            if scanner.take(Bytes.comma) { continue }
            result.append(try scanner.extensionElement())
            guard scanner.isAtEnd || scanner.take(Bytes.comma) else { throw scanner.expected("a comma") }
        }
    }
    return result
}

extension FieldScanner {
    /// One extension with its parameters and the white space behind it.
    fileprivate mutating func extensionElement() throws(GrammarError) -> ExtensionOffer {
        guard let name = self.token() else { throw self.expected("an extension name") }
        var parameters = ExtensionParameters()
        self.skipWhitespace()
        while self.take(Bytes.semicolon) {
            self.skipWhitespace()
            guard let parameter = self.token() else { throw self.expected("a parameter name") }
            self.skipWhitespace()
            if self.take(Bytes.equals) {
                self.skipWhitespace()
                guard let value = try self.tokenOrQuotedString(), Token.isToken(value) else {
                    throw self.expected("a parameter value that is a token")
                }
                parameters.append(parameter, value)
                self.skipWhitespace()
            } else {
                parameters.append(parameter)
            }
        }
        return ExtensionOffer(name: name, parameters: parameters)
    }

    fileprivate func expected(_ what: String) -> GrammarError {
        GrammarError("Sec-WebSocket-Extensions: \(what) is expected", at: self.position)
    }
}
