// The method of a request decides whether a redirect of its answer is followed, and with which method (D41). Without a
// person to ask, the second request is a GET or a HEAD (the specification's 3xx; RFC 9110 section 15.4).
//
//              301, 302      303          300, 307, 308
//   GET        followed      followed     followed
//   HEAD       followed      followed     300 followed; 307 and 308 stop: they are for GET alone (KHP-E15)
//   POST       as GET        as GET       stop
//   others     stop          as GET       stop

import HTTPTypes

enum RedirectMethod {
    /// True where a redirect of this status is followed after a request of this method.
    static func isFollowed(_ status: Int, after method: String) -> Bool {
        switch status {
        case 303: true
        case 301, 302: isSafe(method) || method == "POST"
        case 300: isSafe(method)
        default: method == "GET"
        }
    }

    /// True where the request at the target is a GET without content instead.
    static func becomesGET(_ status: Int, after method: String) -> Bool {
        switch status {
        case 303: !isSafe(method)
        case 301, 302: method == "POST"
        default: false
        }
    }

    private static func isSafe(_ method: String) -> Bool { method == "GET" || method == "HEAD" }

    /// Why it stops: the status, and the target where one can be told.
    static func refusal(_ response: HandshakeResponse, after method: String, from url: WebSocketURL) -> String {
        var text = "The server redirected the extended request with \(response)"
        let locations = response.headers[values: .location]
        if locations.count == 1, let target = try? url.resolving(locations[0]) { text += " to \(target.redacted)" }
        return text + ", which is not followed after \(method)."
    }
}
