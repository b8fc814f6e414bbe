// Secrets that are found in any bytes, in every spelling.

import Foundation
import KHPClient
import Logging
import NIOCore
import Synchronization
import TestSupport

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

enum Canary {
    /// The beginning of each secret.
    static let mark = "cNrY7qZ"
    /// Stands in a recording where a client certificate was shown.
    static let certificate = "\n\(mark)-certificate\n"

    private static let spellings = Self.spellings(of: Self.mark)

    /// As ``SecretSpellings/of(_:)``, in bytes.
    static func spellings(of text: String) -> [[UInt8]] { SecretSpellings.of(text).map { Array($0.utf8) } }

    static func isIn(_ text: String) -> Bool { self.isIn(ByteBuffer(string: text)) }

    static func isIn(_ bytes: ByteBuffer) -> Bool { self.spellings.contains { Self.contains(bytes, $0) } }

    /// The text around the first of these secrets, or around a mark, in any spelling; `nil` where there is none.
    static func found(in bytes: ByteBuffer, _ secrets: [[[UInt8]]] = []) -> String? {
        for needle in Self.spellings + secrets.flatMap({ $0 }) where Self.contains(bytes, needle) {
            let text = String(buffer: bytes)
            let around = text.range(of: String(decoding: needle, as: UTF8.self)).map { range in
                text[..<range.lowerBound].suffix(120) + text[range] + text[range.upperBound...].prefix(60)
            }
            return around.map { String($0) } ?? "bytes of a secret"
        }
        return nil
    }

    static func contains(_ bytes: ByteBuffer, _ needle: [UInt8]) -> Bool {
        bytes.withUnsafeReadableBytes { hay in
            guard var start = hay.baseAddress, let first = needle.first else { return false }
            let end = start + hay.count
            while end - start >= needle.count, let found = memchr(start, CInt(first), end - start) {
                let found = UnsafeRawPointer(found)
                if end - found < needle.count { return false }
                if memcmp(found, needle, needle.count) == 0 { return true }
                start = found + 1
            }
            return false
        }
    }

    static func contains(_ bytes: ByteBuffer, _ needle: String) -> Bool { self.contains(bytes, Array(needle.utf8)) }
}

/// All that a client says of itself: logs, events, errors.
final class Sayings: Sendable {
    private let text = Mutex(ByteBuffer())

    func add(_ value: Any) {
        var dumped = ""
        dump(value, to: &dumped)
        let said = "\(value)\n\(String(reflecting: value))\n\(dumped)\n"
        self.text.withLock { _ = $0.writeString(said) }
    }

    var all: ByteBuffer { self.text.withLock { $0 } }

    var logger: Logger {
        var logger = Logger(label: "leaks") { _ in Handler(sayings: self) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let sayings: Sayings
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) { self.sayings.add("\(event.message) \(event.metadata ?? [:])") }
    }
}
