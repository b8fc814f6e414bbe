// The path of an endpoint, with parameters: which requests it serves, and which of two endpoints a request goes to.
//
//   /rooms            this path alone, compared byte for byte
//   /rooms/{id}       one segment, not empty
//   /files/{path...}  the rest of the path, slashes included; it may be empty
//
// Paths are cut into segments before percent-encoding is undone: a %2F stays inside its segment. Of two patterns that
// both match, the more exact one counts: text before {name}, {name} before {name...}, segment by segment.

struct EndpointPattern: Sendable {
    enum Segment: Sendable, Equatable {
        case literal(String)
        case parameter(String)
        case rest(String)

        /// The lower, the more exact.
        var rank: Int {
            switch self {
            case .literal: 0
            case .parameter: 1
            case .rest: 2
            }
        }
    }

    let path: String
    let segments: [Segment]

    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a path that does not begin with `/` or whose braces make no
    ///   parameter.
    init(_ path: String) throws(WebSocketError) {
        guard path.hasPrefix("/") else {
            throw WebSocketError(.invalidArgument, "The endpoint path \(quoted(path)) does not begin with /.")
        }
        var segments: [Segment] = []
        var names: Set<String> = []
        for text in Self.segments(of: path) {
            if case .rest? = segments.last { throw Self.invalid(path, "has a segment behind its rest") }
            guard text.contains("{") || text.contains("}") else {
                segments.append(.literal(String(text)))
                continue
            }
            guard text.first == "{", text.last == "}" else {
                throw Self.invalid(path, "has braces that are not around a whole segment")
            }
            var name = text.dropFirst().dropLast()
            let isRest = name.hasSuffix("...")
            if isRest { name = name.dropLast(3) }
            guard !name.isEmpty, name.utf8.allSatisfy({ Token.isTokenByte($0) }) else {
                throw Self.invalid(path, "has a parameter without a proper name")
            }
            guard names.insert(String(name)).inserted else { throw Self.invalid(path, "names a parameter twice") }
            segments.append(isRest ? .rest(String(name)) : .parameter(String(name)))
        }
        self.path = path
        self.segments = segments
    }

    private static func invalid(_ path: String, _ fault: String) -> WebSocketError {
        WebSocketError(.invalidArgument, "The endpoint path \(quoted(path)) \(fault).")
    }

    /// `true` for a path without parameters.
    var isLiteral: Bool { self.segments.allSatisfy { $0.rank == 0 } }

    static func segments(of path: String) -> [Substring] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    }

    // MARK: Order

    /// The order among two patterns; `nil` where no request matches both.
    enum Order: Equatable {
        case before, behind, none
    }

    func order(to other: EndpointPattern) -> Order? {
        var isBefore = false
        var isBehind = false
        func settled() -> Order { isBefore == isBehind ? .none : isBefore ? .before : .behind }
        for (one, two) in zip(self.segments, other.segments) {
            if case .literal(let one) = one, case .literal(let two) = two, one != two { return nil }
            if one.rank < two.rank { isBefore = true }
            if one.rank > two.rank { isBehind = true }
            if one.rank == 2 || two.rank == 2 { return settled() }
        }
        return self.segments.count == other.segments.count ? settled() : nil
    }

    /// Sorts the more exact of two patterns that overlap first.
    static func sorted(_ one: EndpointPattern, _ two: EndpointPattern) -> Bool {
        one.segments.lazy.map(\.rank).lexicographicallyPrecedes(two.segments.lazy.map(\.rank))
    }

    // MARK: Matching

    /// The parameters of a path; `nil` where it does not match.
    /// - Throws: 400 for a parameter that is no UTF-8.
    func match(_ segments: [Substring], of path: String) throws(Refusal) -> PathParameters? {
        var found: [(name: String, text: Substring)] = []
        for (index, segment) in self.segments.enumerated() {
            guard index < segments.count else { return nil }
            switch segment {
            case .literal(let text):
                guard segments[index] == text else { return nil }
            case .parameter(let name):
                guard !segments[index].isEmpty else { return nil }
                found.append((name, segments[index]))
            case .rest(let name):
                found.append((name, path[segments[index].startIndex...]))
                return try Self.decoded(found)
            }
        }
        return self.segments.count == segments.count ? try Self.decoded(found) : nil
    }

    private static func decoded(_ found: [(name: String, text: Substring)]) throws(Refusal) -> PathParameters {
        var parameters = PathParameters()
        for (name, text) in found {
            guard let value = PercentEncoding.decoded(text) else {
                throw .badRequest("The request target has percent-encoding that is no UTF-8.")
            }
            parameters.append(name, value)
        }
        return parameters
    }
}
