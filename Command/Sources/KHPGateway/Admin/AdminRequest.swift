// A request to the admin address, cut into what routes are made of.

import HTTPTypes

struct AdminRequest: Sendable {
    let method: HTTPRequest.Method
    /// The segments of the path, percent-encoding undone.
    let path: [String]
    let query: [String: String]
    /// The names of the query, in its order; one that stands there twice stands here twice.
    private let names: [String]
    /// Something that would have to be read beside the query.
    private let hasBody: Bool

    init(_ request: HTTPRequest) {
        self.method = request.method
        let target = request.path ?? "/"
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        self.path = parts[0].split(separator: "/").map { Self.decoded($0) }
        var query: [String: String] = [:]
        var names: [String] = []
        for pair in parts.dropFirst().joined().split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = Self.decoded(sides[0])
            names.append(name)
            query[name] = sides.count > 1 ? Self.decoded(sides[1]) : ""
        }
        self.query = query
        self.names = names
        let fields = request.headerFields
        self.hasBody = fields[.transferEncoding] != nil || (fields[.contentLength] ?? "0") != "0"
    }

    /// An operator who has misspelt a part of a choice must not get a wider one.
    /// - Parameter known: the names that the query may have.
    /// - Returns: a sentence about its fault, or `nil`.
    func fault(_ known: [String]) -> String? {
        for name in self.names where !known.contains(name) {
            let list = known.isEmpty ? "it takes none" : "it takes \(known.joined(separator: ", "))"
            return "\(name.shown) is no parameter of this path; \(list)" + NearestName.question(name, among: known)
        }
        if let twice = self.names.first(where: { name in self.names.count { $0 == name } > 1 }) {
            return "\(twice) stands there twice"
        }
        return self.hasBody ? "parameters stand in the query; a body is not read" : nil
    }

    /// A number of the query.
    /// - Returns: `usual` where it is not given, `nil` where it is no number of the range.
    func number(_ name: String, _ range: ClosedRange<Int>, usual: Int) -> Int? {
        guard let text = self.query[name] else { return usual }
        guard let number = Int(text), text.utf8.allSatisfy(\.isDigit), range.contains(number) else { return nil }
        return number
    }

    /// Percent-encoding undone; what is none stays as it is.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
