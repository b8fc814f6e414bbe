// The answer of an admin address, or of a proxy on the way to it: one message of HTTP/1.1 on a connection of its own
// (RFC 9112). What is cut is no answer: a script acts on it.

import NIOCore

extension AdminClient.Answer {
    /// Reads all that has come on a connection that is over.
    /// - Parameter endsWell: `false` where the connection was lost: nothing then tells that content of no length is whole.
    /// - Throws: ``AdminClient/Failure/noAnswer`` for what is no answer, or not all of one.
    init(_ bytes: ByteBuffer, endsWell: Bool = true) throws(AdminClient.Failure) {
        var rest = Array(bytes.readableBytesView)[...]
        guard let first = rest.takeLine(), first.hasPrefix("HTTP/1."),
            let status = first.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap({ Int($0) }),
            (200...599).contains(status), let framing = rest.takeFields()
        else { throw .noAnswer }
        var content: ArraySlice<UInt8>? = []
        if status != 204, status != 304 {
            switch (framing.lengths.count, framing.codings) {
            case (0, []): content = endsWell ? rest : nil
            case (0, ["chunked"]): content = rest.takeChunks()
            case (1, []): content = framing.lengths.first.flatMap { rest.take($0) }
            default: content = nil
            }
        }
        guard let whole = content else { throw .noAnswer }
        self.init(status: status, body: String(decoding: whole, as: UTF8.self))
    }
}

/// The fields of a head that say where its content ends (RFC 9112 section 6).
private struct Framing {
    /// The same length may stand there twice.
    var lengths: Set<String> = []
    var codings: [String] = []
}

extension ArraySlice<UInt8> {
    /// Takes a line, and leaves out its end; `nil` where it has none.
    fileprivate mutating func takeLine() -> String? {
        guard let end = self.firstIndex(of: UInt8(ascii: "\n")), end > self.startIndex,
            self[end - 1] == UInt8(ascii: "\r")
        else { return nil }
        let line = String(decoding: self[..<(end - 1)], as: UTF8.self)
        self = self[(end + 1)...]
        return line
    }

    /// Takes fields up to the empty line behind them; `nil` where it is missing.
    fileprivate mutating func takeFields() -> Framing? {
        var framing = Framing()
        while let line = self.takeLine() {
            if line.isEmpty { return framing }
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].split { $0 == " " || $0 == "\t" }.joined(separator: " ")
            switch line[..<colon].lowercased() {
            case "content-length": framing.lengths.insert(value)
            case "transfer-encoding": framing.codings.append(value.lowercased())
            default: break
            }
        }
        return nil
    }

    /// Takes as many bytes as digits say; `nil` where there are fewer.
    fileprivate mutating func take(_ digits: some StringProtocol, radix: Int = 10) -> ArraySlice<UInt8>? {
        guard digits.allSatisfy(\.isHexDigit), let count = Int(digits, radix: radix), count <= self.count else {
            return nil
        }
        defer { self = self.dropFirst(count) }
        return self.prefix(count)
    }

    /// Takes content in chunks, and the trailer behind it (RFC 9112 section 7.1); `nil` where it is cut.
    fileprivate mutating func takeChunks() -> ArraySlice<UInt8>? {
        var content: [UInt8] = []
        while let line = self.takeLine() {
            guard let chunk = self.take(line.prefix(while: \.isHexDigit), radix: 16) else { return nil }
            if chunk.isEmpty { return self.takeFields() == nil ? nil : content[...] }
            content += chunk
            guard self.takeLine() == "" else { return nil }
        }
        return nil
    }
}
