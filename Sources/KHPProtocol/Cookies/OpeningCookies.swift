// Cookies of opening responses that open nothing: those of a redirect and of a 401 count like those of a 101 (D44), so
// that a login that keeps its session in one, or a balancer that keeps its choice there, finds it in the next request.
// RFC 6455 section 4.1 has HTTP's procedures handle these answers; RFC 6265 section 5.2 has them set cookies.

import HTTPTypes

extension Dialect {
    /// True where an opening response sets its cookies at once. In the dialects with two keys they wait until the
    /// connection is established, and are dropped where it is not (W10-11).
    package var setsCookiesEarly: Bool { self.opening != .twoKeys }
}

extension HandshakeResponse {
    /// The cookies that an opening response other than 101 sets: 3xx and 401 (D44). More than a domain may have are
    /// passed over.
    package var openingCookies: [SetCookie] {
        guard 300...399 ~= self.status || self.status == 401 else { return [] }
        return self.fields[values: .setCookie].prefix(CookieJar.maximumPerDomain).compactMap { SetCookie($0) }
    }
}
