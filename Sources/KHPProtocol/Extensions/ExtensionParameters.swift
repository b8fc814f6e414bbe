// The parameters of one extension as they stand in Sec-WebSocket-Extensions: ordered, each with or without a value
// (RFC 6455 section 9.1).

/// The ordered parameters of one WebSocket extension, as offered or as answered.
///
/// A parameter is a name with or without a value; both are HTTP tokens (RFC 6455 section 9.1). Some extensions put a
/// bare value there: `x-kaazing-ping-pong; 01010102` has one parameter that is named `01010102` and has no value.
///
/// A literal has names and values: `["level": "2", "flag": nil]` is `level=2; flag`.
public struct ExtensionParameters: Sendable, Hashable, CustomStringConvertible, ExpressibleByDictionaryLiteral {
    /// One parameter.
    public struct Parameter: Sendable, Hashable {
        /// The name, an HTTP token. Compared exactly, case included.
        public var name: String

        /// The value, an HTTP token, or `nil` when the name stands alone.
        public var value: String?

        /// Creates a parameter.
        public init(_ name: String, _ value: String? = nil) {
            self.name = name
            self.value = value
        }
    }

    /// All parameters in their order.
    public var all: [Parameter]

    /// Creates a list of parameters; without an argument an empty one.
    public init(_ parameters: [Parameter] = []) {
        self.all = parameters
    }

    /// Creates a list of parameters in the order of the literal.
    public init(dictionaryLiteral elements: (String, String?)...) {
        self.all = elements.map { Parameter($0, $1) }
    }

    /// `true` when there are no parameters.
    public var isEmpty: Bool { self.all.isEmpty }

    /// Adds a parameter behind the others.
    public mutating func append(_ name: String, _ value: String? = nil) {
        self.all.append(Parameter(name, value))
    }

    /// Returns `true` when there is a parameter of this name, with or without a value.
    public func contains(_ name: String) -> Bool {
        self.all.contains { $0.name == name }
    }

    /// The value of the first parameter of this name; `nil` when there is none or when it has no value.
    public subscript(name: String) -> String? {
        self.all.first { $0.name == name }?.value
    }

    /// The parameters in header form without the extension's name: `timeout=1000; flag`.
    public var description: String {
        self.all.map { parameter in
            guard let value = parameter.value else { return parameter.name }
            return "\(parameter.name)=\(value)"
        }.joined(separator: "; ")
    }

    /// `true` when a name stands there twice. No extension that we know gives that a meaning (threat A11).
    package var hasDuplicates: Bool {
        guard self.all.count > 1 else { return false }
        var seen = Set<String>()
        return self.all.contains { !seen.insert($0.name).inserted }
    }
}

/// An extension's name with parameters: one element of Sec-WebSocket-Extensions, as an offer or as an answer.
public struct ExtensionOffer: Sendable, Hashable, CustomStringConvertible {
    /// The extension's registered or agreed name, an HTTP token.
    public var name: String

    /// Its parameters.
    public var parameters: ExtensionParameters

    /// Creates an offer.
    public init(name: String, parameters: ExtensionParameters = ExtensionParameters()) {
        self.name = name
        self.parameters = parameters
    }

    /// Reads one element of Sec-WebSocket-Extensions, such as `x-example; level=1`, as configuration has it.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` where the text is not one element (RFC 6455 section 9.1).
    public init(_ text: String) throws(WebSocketError) {
        let elements: [ExtensionOffer]
        do throws(GrammarError) {
            elements = try parseExtensions([text])
        } catch {
            throw WebSocketError(.invalidArgument, "\(quoted(text)) is no extension: \(error.message).")
        }
        guard elements.count == 1, let element = elements.first else {
            throw WebSocketError(.invalidArgument, "\(quoted(text)) is not one extension.")
        }
        self = element
    }

    /// The element in header form: `x-example; level=1`.
    public var description: String {
        self.parameters.isEmpty ? self.name : "\(self.name); \(self.parameters)"
    }

    /// Throws unless the name and every parameter are tokens, so that what is written can be read (threat A7).
    package func validate() throws(WebSocketError) {
        guard Token.isToken(self.name) else {
            throw WebSocketError(.invalidArgument, "The extension name \(quoted(self.name)) is not an HTTP token.")
        }
        for parameter in self.parameters.all {
            guard Token.isToken(parameter.name), parameter.value.map({ Token.isToken($0) }) ?? true else {
                throw WebSocketError(
                    .invalidArgument,
                    "The parameter \(quoted(parameter.name)) of the extension \(self.name) is not made of HTTP tokens."
                )
            }
        }
    }
}
