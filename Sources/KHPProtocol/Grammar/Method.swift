/// The methods that IANA has registered. They only serve to notice early that bytes cannot become a request (D19).
enum Method {
    static let registered: [StaticString] = [
        "GET", "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "CONNECT", "COPY", "DELETE", "HEAD", "LABEL",
        "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS",
        "ORDERPATCH", "PATCH", "POST", "PRI", "PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH",
        "TRACE", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
    ]

    static func canBeginRequest(_ prefix: some Collection<UInt8>) -> Bool {
        registered.contains { method in
            let name = UnsafeBufferPointer(start: method.utf8Start, count: method.utf8CodeUnitCount)
            var expected = name.makeIterator()
            var bytes = prefix.makeIterator()
            while let byte = bytes.next() {
                if let next = expected.next() {
                    guard byte == next else { return false }
                    continue
                }
                // Past the method: one space, then a target that starts with a visible character.
                guard byte == Bytes.space else { return false }
                guard let first = bytes.next() else { return true }
                return first > 0x20 && first < 0x7F
            }
            return true
        }
    }
}
