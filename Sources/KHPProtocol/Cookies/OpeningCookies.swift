// Cookies of redirects and of 401 in the opening count like a 101's (D44): a login can keep its session in a cookie,
// and a balancer its choice, and both find it in the next request. RFC 6455 section 4.1 leaves these answers to HTTP,
// and RFC 6265 section 5.2 has them set cookies.

import HTTPTypes

extension Dialect {
    /// True where an opening response sets its cookies at once. In the dialects with two keys they wait until the
    /// connection is established, and are dropped where it is not (W10-11).
    package var setsCookiesEarly: Bool { self.opening != .twoKeys }
}

extension HandshakeResponse {
    /// The cookies that an opening response other than 101 sets: 3xx and 401 (D44). Cookies beyond a domain's maximum
    /// are skipped.
    package var openingCookies: [SetCookie] {
        guard 300...399 ~= self.status || self.status == 401 else { return [] }
        return self.headers[values: .setCookie].prefix(CookieJar.maximumPerDomain).compactMap { SetCookie($0) }
    }
}
