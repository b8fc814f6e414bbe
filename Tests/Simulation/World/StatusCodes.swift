// The codes of the specification's table, which is `Specs/status-codes.json`; a test compares the two. Each of them, and some
// that stand in no table, answers in either handshake.

enum StatusCodes {
    static let known = [
        100, 101, 102, 103, 122, 200, 201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 303, 304, 305, 306, 307,
        308,
        400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 422, 423, 424,
        425,
        426, 428, 429, 431, 444, 449, 450, 499, 500, 501, 502, 503, 504, 505, 506, 507, 509, 510, 511, 598, 599,
    ]
    /// One row for each of them, and one for the unknown codes of each class.
    static let rows = Self.known.map { "\($0)" } + Self.unknown.map { "another \($0)" }

    private static let unknown = (1...9).map { "\($0)xx" }

    static func row(of status: Int) -> Int {
        if let place = self.known.firstIndex(of: status) { return place }
        return self.known.count + min(max(status / 100, 1), self.unknown.count) - 1
    }

    /// A code by number: each row as often as any other.
    static func code(_ number: Int) -> Int {
        let place = number % self.rows.count
        guard place >= self.known.count else { return self.known[place] }
        // None of these is in the table.
        return (place - self.known.count + 1) * 100 + 61 + number / self.rows.count % 29
    }
}
