/// One challenge of a WWW-Authenticate or Proxy-Authenticate field (RFC 9110 section 11.3, KHP-E19).
package struct Challenge: Sendable, Hashable {
    /// The scheme as it was sent, without Kaazing's "Application " before it.
    package var scheme: String
    /// `true` when the scheme had Kaazing's prefix "Application ": a challenge that browsers leave to the page.
    package var isApplication: Bool
    /// The value that some schemes have in place of parameters.
    package var token68: String?
    /// In their order.
    package var parameters: [Parameter]

    package struct Parameter: Sendable, Hashable {
        /// In lower case.
        package var name: String
        /// Quotes and escapes resolved.
        package var value: String

        package init(name: String, value: String) {
            self.name = Bytes.lowercasedASCII(name)
            self.value = value
        }
    }

    package init(
        scheme: String,
        isApplication: Bool = false,
        token68: String? = nil,
        parameters: [Parameter] = []
    ) {
        self.scheme = scheme
        self.isApplication = isApplication
        self.token68 = token68
        self.parameters = parameters
    }

    /// The value of the parameter of that name in lower case.
    package subscript(name: String) -> String? {
        self.parameters.first { $0.name == name }?.value
    }

    package var realm: String? { self["realm"] }

    /// All parameters by name.
    package var values: [String: String] {
        Dictionary(self.parameters.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// Returns `true` when the scheme is `name`, in any case.
    package func isScheme(_ name: String) -> Bool {
        Bytes.lowercasedASCII(self.scheme) == Bytes.lowercasedASCII(name)
    }

    /// The challenge as a server sends it. The realm is always quoted, other values only when they are not tokens.
    package var fieldValue: String {
        var value = self.isApplication ? "Application \(self.scheme)" : self.scheme
        if let token68 { value += " \(token68)" }
        for (index, parameter) in self.parameters.enumerated() {
            let text = parameter.name == "realm" ? quoted(parameter.value) : tokenOrQuoted(parameter.value)
            value += "\(index == 0 ? " " : ", ")\(parameter.name)=\(text)"
        }
        return value
    }
}
