import ArgumentParser
import Foundation

/// A field as it is typed: `Name: value`. The parser shows what it cannot read, and this may hold a secret: so text
/// without a name and a colon is read as well, and is a mistake only where the fields are taken.
struct FieldArgument: ExpressibleByArgument, Sendable, Equatable {
    /// Empty where there is none.
    var name = ""
    var value = ""

    init(argument: String) {
        guard let colon = argument.firstIndex(of: ":") else { return }
        self.name = String(argument[..<colon])
        self.value = String(argument[argument.index(after: colon)...].trimmingSpaces())
    }
}

extension String {
    /// True where the text holds no control character of ASCII.
    var isPrintable: Bool { self.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } }
}

extension Substring {
    /// Without the spaces and tabs at both ends.
    func trimmingSpaces() -> Substring {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}

/// Reads files that options name; a file that cannot be read is a mistake in what was typed.
enum FileArgument {
    static func bytes(_ path: String, option: String) throws(CommandFailure) -> [UInt8] {
        do {
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            let reason = FileManager.default.fileExists(atPath: path) ? "cannot be read" : "does not exist"
            throw .usage("the file `\(path)` of \(option) \(reason)")
        }
    }

    static func text(_ path: String, option: String) throws(CommandFailure) -> String {
        guard let text = String(validating: try self.bytes(path, option: option), as: UTF8.self) else {
            throw .usage("the file `\(path)` of \(option) is not UTF-8")
        }
        return text
    }
}
