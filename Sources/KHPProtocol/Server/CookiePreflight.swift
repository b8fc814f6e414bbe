// The request that Kaazing's Java client sends before each opening handshake: `GET <path>/;e/cookies` with `.kl=Y` in the
// query. The client gives up unless the answer is a success, a redirect or a challenge (D7, Specs/kaazing-legacy.md).

import HTTPTypes
import NIOCore

/// A valid request for cookies.
package struct CookiePreflight: Sendable {
    /// The path of the endpoint that will be opened.
    let path: String
    /// A secret: never to be shown.
    let credentials: PresentedCredentials?
    private let cookies: String

    /// `nil` for every other request.
    init?(_ request: CheckedRequest) {
        let head = request.head
        guard head.method == "GET", KaazingLegacy(query: request.query) == .full, request.path.hasSuffix(Self.suffix)
        else { return nil }
        let base = request.path.dropLast(Self.suffix.utf8.count)
        self.path = base.isEmpty ? "/" : String(base)
        self.credentials = head.fields.first(.authorization).map { PresentedCredentials(value: $0, head: head) }
        // The client's HTTP stack has the cookies, its socket has not: so it asks to be told them. A page in a browser
        // is not told: it would learn of cookies that are kept from scripts.
        let isPage = ["Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode"].contains { head.fields.contains($0) }
        self.cookies = isPage ? "" : head.fields.all(.cookie).joined(separator: "; ")
    }

    static let suffix = "/;e/cookies"

    /// 200 with the cookies that the request brought.
    var response: HandshakeResponse {
        var fields: HTTPFields = [
            .contentType: "text/plain; charset=UTF-8", .cacheControl: "no-store",
        ]
        fields[.xContentTypeOptions] = "nosniff"
        return HandshakeResponse(status: 200, headers: fields, body: ByteBuffer(string: self.cookies))
    }
}
