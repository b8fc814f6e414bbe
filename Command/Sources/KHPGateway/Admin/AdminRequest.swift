// A request to the admin address, cut into what routes are made of.

import HTTPTypes
import NIOCore

struct AdminRequest: Sendable {
    let method: HTTPRequest.Method
    /// The segments of the path, percent-encoding undone.
    let path: [String]
    private(set) var query: [String: String]
    /// The names of the query, in its order; one that stands there twice stands here twice.
    private var names: [String]
    /// A sentence about a body that cannot be taken.
    private var bodyFault: String?

    /// - Parameter body: an object in JSON, with the parameters in the place of a query, or nothing.
    init(_ request: HTTPRequest, body: ByteBuffer = ByteBuffer()) {
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
        if body.readableBytes > 0 { self.bodyFault = self.take(body) }
    }

    // MARK: A body

    /// - Returns: a sentence about its fault, or `nil`.
    private mutating func take(_ body: ByteBuffer) -> String? {
        guard self.method == .post || self.method == .delete else {
            return "parameters stand in the query; a body is not read"
        }
        guard self.names.isEmpty else { return "parameters stand in the query or in a body, and not in both" }
        let value: ParsedJSON
        do throws(JSONText.Failure) {
            value = try JSONText.read(Array(body.readableBytesView))
        } catch {
            return "the body \(error.sentence)"
        }
        guard let object = value.object else { return "the body is no object" }
        return self.take(object, in: nil)
    }

    /// - Parameter group: the member that holds the object; `nil` for the whole.
    private mutating func take(_ object: ParsedObject, in group: String?) -> String? {
        let choice = SessionFilter.parameters
        for (name, value) in object.members.sorted(by: { $0.key < $1.key }) {
            if let group {
                guard choice.contains(name) else {
                    return "\(name.shown) is no parameter of \(group); it takes \(choice.joined(separator: ", "))"
                        + NearestName.question(name, among: choice)
                }
            } else if name == "filter" {
                guard let filter = value.object else {
                    return "filter is an object of \(choice.joined(separator: ", "))"
                }
                if let fault = self.take(filter, in: name) { return fault }
                continue
            }
            self.names.append(name)
            switch value {
            case .string(let text), .number(let text): self.query[name] = text
            case .boolean(let isTrue) where name == "all": self.query[name] = isTrue ? "true" : "false"
            case .boolean, .null, .array, .object: return "\(name.shown) is a text or a number"
            }
        }
        return nil
    }

    // MARK: Parameters

    /// An operator who has misspelt a part of a choice must not get a wider one.
    /// - Parameter known: the names that the query may have.
    /// - Returns: a sentence about its fault, or `nil`.
    func fault(_ known: [String]) -> String? {
        if let bodyFault { return bodyFault }
        for name in self.names where !known.contains(name) {
            let list = known.isEmpty ? "it takes none" : "it takes \(known.joined(separator: ", "))"
            return "\(name.shown) is no parameter of this path; \(list)" + NearestName.question(name, among: known)
        }
        return self.names.first { name in self.names.count { $0 == name } > 1 }.map { "\($0) stands there twice" }
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
