/// The first line of a head, as offsets into it: RFC 9112 sections 3 and 4.
struct StartLine {
    /// Request: where the method ends.
    private(set) var methodEnd = 0
    /// Request: where the target ends; it starts after the space that follows the method.
    private(set) var targetEnd = 0
    /// Response: 100…999.
    private(set) var status = 0
    /// Response: where the reason phrase starts and ends.
    private(set) var reasonStart = 0
    private(set) var reasonEnd = 0
    private(set) var minorVersion = 1

    /// `request-line = method SP request-target SP HTTP-version`
    mutating func parseRequest(_ line: UnsafeRawBufferPointer) -> HeadError? {
        self.methodEnd = Token.end(in: line, from: 0, to: line.count)
        guard self.methodEnd > 0, self.methodEnd < line.count, line[self.methodEnd] == Bytes.space else {
            return .malformed("the first line is no request line: METHOD, one space, target, one space, HTTP/1.1")
        }
        var index = self.methodEnd + 1
        while index < line.count, line[index] > 0x20, line[index] < 0x7F { index += 1 }
        self.targetEnd = index
        guard self.targetEnd > self.methodEnd + 1, self.targetEnd < line.count, line[self.targetEnd] == Bytes.space
        else {
            return .malformed("the request line's target is empty or holds a character that is not visible ASCII")
        }
        return self.parseVersion(UnsafeRawBufferPointer(rebasing: line[(self.targetEnd + 1)...]))
    }

    /// `status-line = HTTP-version SP status-code SP [ reason-phrase ]`; the space before no reason may be missing.
    mutating func parseStatus(_ line: UnsafeRawBufferPointer) -> HeadError? {
        guard line.count >= 12, line[8] == Bytes.space, line.count == 12 || line[12] == Bytes.space else {
            return .malformed("the first line is no status line: HTTP/1.1, one space, three digits")
        }
        if let error = self.parseVersion(UnsafeRawBufferPointer(rebasing: line[0..<8])) { return error }
        self.status = 0
        for byte in line[9..<12] {
            guard Bytes.isDigit(byte) else { return .malformed("the status code is not three digits") }
            self.status = self.status * 10 + Int(byte - 0x30)
        }
        guard self.status >= 100 else { return .malformed("the status code is below 100") }
        self.reasonStart = min(13, line.count)
        self.reasonEnd = line.count
        return nil
    }

    private mutating func parseVersion(_ text: UnsafeRawBufferPointer) -> HeadError? {
        // "HTTP/" DIGIT "." DIGIT
        guard
            text.count == 8, text[0] == 0x48, text[1] == 0x54, text[2] == 0x54, text[3] == 0x50, text[4] == 0x2F,
            Bytes.isDigit(text[5]), text[6] == 0x2E, Bytes.isDigit(text[7])
        else {
            return .malformed("the first line holds no HTTP version such as HTTP/1.1")
        }
        guard text[5] == 0x31, text[7] == 0x31 || text[7] == 0x30 else {
            return .unsupportedVersion(String(decoding: text, as: UTF8.self))
        }
        self.minorVersion = Int(text[7] - 0x30)
        return nil
    }
}
