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
    /// The most bytes of certificates, keys and users.
    static let usualBytes = 64 << 20
    /// The most bytes of what is sent.
    static let contentBytes = 1 << 30

    /// All bytes up to the end; of a pipe or a device as well, which may have none.
    /// - Parameter most: a larger one is a mistake, too.
    static func bytes(
        _ path: String,
        option: String,
        most: Int = FileArgument.usualBytes
    ) throws(CommandFailure) -> [UInt8] {
        var descriptor: Int32
        repeat { descriptor = open(path, O_RDONLY | O_CLOEXEC) } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else {
            let reason = errno == ENOENT || errno == ENOTDIR ? "does not exist" : "cannot be read"
            throw .usage("the file `\(path)` of \(option) \(reason)")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while true {
            guard let chunk = StandardInput.read(descriptor) else {
                throw .usage("the file `\(path)` of \(option) cannot be read")
            }
            if chunk.isEmpty { return bytes }
            bytes += chunk
            guard bytes.count <= most else {
                throw .usage("the file `\(path)` of \(option) is larger than \(most >> 20) MiB")
            }
        }
    }

    static func text(_ path: String, option: String) throws(CommandFailure) -> String {
        guard let text = String(validating: try self.bytes(path, option: option), as: UTF8.self) else {
            throw .usage("the file `\(path)` of \(option) is not UTF-8")
        }
        return text
    }
}
