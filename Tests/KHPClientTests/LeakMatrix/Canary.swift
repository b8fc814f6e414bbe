// Secrets that are found in any bytes, in every spelling.

import Foundation
import KHPClient
import Logging
import NIOCore
import Synchronization

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

    /// As it is, in hexadecimal, percent-encoded, and in base64 from each of the three places it can begin at there.
    static func spellings(of text: String) -> [[UInt8]] {
        let bytes = Array(text.utf8)
        func hex(_ bytes: [UInt8], _ upper: Bool, _ before: String = "") -> [UInt8] {
            Array(bytes.map { before + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: upper) }.joined().utf8)
        }
        var spellings = [bytes, hex(bytes, false), hex(bytes, true), hex(bytes, false, "%"), hex(bytes, true, "%")]
        for offset in 0..<3 {
            let text = Array(base64(Array(repeating: 0x20, count: offset) + bytes).utf8)
            // The letters that its neighbours have a part in are left out.
            let start = (offset * 8 + 5) / 6
            let end = (offset + bytes.count) * 8 / 6
            spellings.append(Array(text[start..<end]))
        }
        return spellings
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = (0..<3).reduce(0) { $0 << 8 | Int(start + $1 < bytes.count ? bytes[start + $1] : 0) }
            for shift in [18, 12, 6, 0] { text.append(alphabet[part >> shift & 0x3F]) }
        }
        return text
    }

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
