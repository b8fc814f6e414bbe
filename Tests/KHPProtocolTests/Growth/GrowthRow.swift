// Input of a peer, in the shapes that cost most: repetition, nesting, all distinct, the worst order. The tests
// hold each row's growth, and `Benchmarks` counts its instructions (`./run.sh growth`): one list for both. The tests of
// KHPServer have rows of their own, and this file by a link.

import KHPProtocol
import NIOCore

/// One kind of input, at any size.
struct GrowthRow: Sendable {
    /// A parser or a look-up, then the shape of its input.
    var name: String
    /// The largest input that the default limits accept, in bytes.
    var limit: Int
    /// The bound that ends the work before the input does; `nil` where four times the input is at least twice the work.
    var bound: String?
    /// Why the input is refused in the end, where a refused one costs most; `nil` where one at the limit is accepted.
    var refusal: String?
    /// Makes an input of so many bytes.
    /// - Returns: the work that it causes, which throws where the input is refused.
    var prepare: @Sendable (_ bytes: Int) throws -> () throws -> Void

    init(
        _ name: String,
        limit: Int,
        bound: String? = nil,
        refusal: String? = nil,
        _ prepare: @escaping @Sendable (_ bytes: Int) throws -> () throws -> Void
    ) {
        self.name = name
        self.limit = limit
        self.bound = bound
        self.refusal = refusal
        self.prepare = prepare
    }

    /// The bound of short inputs: what comes with any of them costs more than their bytes.
    static let fixed = "most of it is the same for any input"

    /// Milliseconds of processor time within which a release build is done with any input at its limit.
    static let milliseconds = 5.0

    /// Most work for four times the input, in times of the work for one.
    static let ratio = 4.6

    /// The work of an input of so many bytes, refused or not.
    func work(_ bytes: Int) -> () -> Void {
        let work = try? self.prepare(bytes)
        return { try? work?() }
    }

    /// The error of an input at the limit; `nil` where it is accepted.
    func outcome() throws -> String? {
        let work = try self.prepare(self.limit)
        do { try work() } catch { return "\(error)" }
        return nil
    }

    /// An input was refused by a function that says so without an error.
    struct Refused: Error {}

    /// Returns a value that is there, and throws where there is none.
    static func accepted<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw Refused() }
        return value
    }

    /// Throws unless the answer is yes.
    static func accepted(_ answer: Bool) throws {
        guard answer else { throw Refused() }
    }
}

/// The text repeated up to a length, behind a beginning.
func repeated(_ text: String, _ bytes: Int, behind start: String = "") -> String {
    let count = max(0, bytes - start.utf8.count) / max(1, text.utf8.count)
    return start + String(repeating: text, count: count)
}

/// Different words of a few letters with a separator between them, up to a length.
func distinct(
    _ bytes: Int,
    separator: String,
    from first: Int = 0,
    _ word: (Int) -> String = { "p" + String($0, radix: 36) }
) -> String {
    var text = ""
    var number = first
    while true {
        let next = (text.isEmpty ? "" : separator) + word(number)
        guard text.utf8.count + next.utf8.count <= bytes else { return text }
        text += next
        number += 1
    }
}

/// A text in so many parts that are as long as all of them together allow.
func shares(_ count: Int, of bytes: Int, _ part: (_ number: Int, _ padding: String) -> String) -> [String] {
    let without = (0..<count).reduce(0) { $0 + part($1, "").utf8.count }
    let padding = String(repeating: "v", count: max(0, bytes - without) / count)
    return (0..<count).map { part($0, padding) }
}

/// The lines of a head with one field of this name, none above the longest line, that take so many bytes together.
/// - Parameter shape: the value of a line, of at most so many bytes; and the bytes of the lines before it.
func lines(_ name: String, _ bytes: Int, _ shape: (_ bytes: Int, _ before: Int) -> String) -> [(String, String)] {
    stride(from: 0, to: bytes, by: 8000).map { start in
        (name, shape(max(0, min(8000, bytes - start) - name.utf8.count - 4), start))
    }
}

/// As many different fields as most heads allow, which take so many bytes together.
func differentFields(_ bytes: Int) -> [(String, String)] {
    shares(90, of: bytes) { "x\($0): \($1)\r\n" }.enumerated().map { number, line in
        ("x\(number)", String(line.dropFirst("x\(number): ".count).dropLast(1)))
    }
}

/// A head with these fields.
func head(_ fields: [(String, String)]) -> HeadFields {
    var head = HeadFields()
    for (name, value) in fields { head.append(name, value) }
    return head
}

/// A head as it stands on the wire.
func written(_ start: String, _ fields: [(String, String)]) -> String {
    fields.reduce(into: start + "\r\n") { $0 += "\($1.0): \($1.1)\r\n" } + "\r\n"
}
