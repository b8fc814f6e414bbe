// When a server that is busy wants to be asked again: RFC 9110 section 10.2.3.

import HTTPTypes

extension HandshakeResponse {
    /// The wait that Retry-After asks for: seconds, or the time from `now`, in seconds since 1970, to a date. `nil`
    /// where there is no such field, or none that can be read.
    package func retryAfter(now: Int64) -> Duration? {
        let values = self.headers[values: .retryAfter]
        guard let value = values.first, values.count == 1, !value.isEmpty else { return nil }
        if value.utf8.allSatisfy(Bytes.isDigit) {
            // More digits are more than a lifetime.
            return .seconds(value.utf8.count <= 9 ? Int64(value) ?? 0 : 999_999_999)
        }
        return CookieDate.parse(value).map { .seconds(max(0, $0 - now)) }
    }
}
