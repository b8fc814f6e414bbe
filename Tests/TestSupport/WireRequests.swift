// Requests that HTTP itself refuses, and their counterparts that it does not: one table for the machine and the socket.

/// A request as it comes over the wire.
package struct WireRequest: Sendable, CustomStringConvertible {
    package var name: String
    /// The first line and fields, without those that ask for an upgrade.
    package var lines: [String]
    /// HTTP has nothing against it.
    package var isValid: Bool

    package init(_ name: String, _ lines: [String], isValid: Bool = false) {
        self.name = name
        self.lines = lines
        self.isValid = isValid
    }

    package var description: String { self.name }

    private static let upgrade = [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]

    /// The whole head.
    package func text(asksForUpgrade: Bool) -> String {
        let all = self.lines + (asksForUpgrade ? Self.upgrade : [])
        return all.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    /// RFC 9112 sections 3.2 (target and Host) and 6.3 (where the content ends).
    package static let all: [WireRequest] = [
        WireRequest("no Host", ["GET /echo HTTP/1.1"]),
        WireRequest("two Hosts", ["GET /echo HTTP/1.1", "Host: a", "Host: a"]),
        WireRequest("two different Hosts", ["GET /echo HTTP/1.1", "Host: a", "host: b"]),
        WireRequest("an empty Host", ["GET /echo HTTP/1.1", "Host:"]),
        WireRequest("user information in Host", ["GET /echo HTTP/1.1", "Host: user@a"]),
        WireRequest("user and password in Host", ["GET /echo HTTP/1.1", "Host: user:secret@a:80"]),
        WireRequest("a blank in Host", ["GET /echo HTTP/1.1", "Host: a b"]),
        WireRequest("a tab in Host", ["GET /echo HTTP/1.1", "Host: a\tb"]),
        WireRequest("a list in Host", ["GET /echo HTTP/1.1", "Host: a, b"]),
        WireRequest("a path in Host", ["GET /echo HTTP/1.1", "Host: a/b"]),
        WireRequest("a scheme in Host", ["GET /echo HTTP/1.1", "Host: http://a"]),
        WireRequest("a port out of range", ["GET /echo HTTP/1.1", "Host: a:65536"]),
        WireRequest("a port that is none", ["GET /echo HTTP/1.1", "Host: a:8x"]),
        WireRequest("an unclosed bracket", ["GET /echo HTTP/1.1", "Host: [::1"]),
        WireRequest("an invalid Host in HTTP/1.0", ["GET /echo HTTP/1.0", "Host: a b"]),
        WireRequest(
            "Content-Length with Transfer-Encoding",
            ["GET /echo HTTP/1.1", "Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"]
        ),
        WireRequest(
            "Transfer-Encoding with a Content-Length of 0",
            ["GET /echo HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 0"]
        ),
        WireRequest(
            "another coding behind chunked",
            ["POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, gzip"]
        ),
        WireRequest("chunked twice", ["POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: chunked, chunked"]),
        WireRequest("a coding that is none", ["POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: xchunked"]),
        WireRequest("an empty Transfer-Encoding", ["POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: "]),
        WireRequest(
            "Transfer-Encoding in HTTP/1.0",
            ["POST /echo HTTP/1.0", "Host: a", "Transfer-Encoding: chunked"]
        ),
        WireRequest("a length that is no number", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: five"]),
        WireRequest("a length with a sign", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: +5"]),
        WireRequest("a length below 0", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: -1"]),
        WireRequest("a length in hexadecimal", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 0x5"]),
        WireRequest("an empty length", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: "]),
        WireRequest("a length with a fraction", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 5.0"]),
        WireRequest("two lengths in one field", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 5, 6"]),
        WireRequest(
            "two lengths that differ",
            ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"]
        ),
        WireRequest("the same length twice", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 5, 5"]),
        WireRequest("a URI of another host", ["GET http://b/echo HTTP/1.1", "Host: a"]),
        WireRequest("a URI of another port", ["GET http://a:81/echo HTTP/1.1", "Host: a"]),
        WireRequest("a URI with user information", ["GET http://user@a/echo HTTP/1.1", "Host: a"]),
        WireRequest("a URI without a host", ["GET http:///echo HTTP/1.1", "Host: a"]),
        WireRequest("a URI of another scheme", ["GET ftp://a/echo HTTP/1.1", "Host: a"]),
        WireRequest("a URI without Host", ["GET http://a/echo HTTP/1.1"]),
        WireRequest("a target that is no path", ["GET echo HTTP/1.1", "Host: a"]),
        WireRequest("a fragment", ["GET /echo#here HTTP/1.1", "Host: a"]),
        WireRequest("an asterisk for GET", ["GET * HTTP/1.1", "Host: a"]),
        WireRequest("an authority for GET", ["GET a:80 HTTP/1.1", "Host: a"]),
        WireRequest("CONNECT without a port", ["CONNECT b HTTP/1.1", "Host: b"]),
        WireRequest("CONNECT to a path", ["CONNECT /echo HTTP/1.1", "Host: a"]),
        // Requests that are served as before.
        WireRequest("the usual", ["GET /echo HTTP/1.1", "Host: a"], isValid: true),
        WireRequest("blanks around Host", ["GET /echo HTTP/1.1", "Host:  a:80\t"], isValid: true),
        WireRequest("an address in Host", ["GET /echo HTTP/1.1", "Host: [::1]:8080"], isValid: true),
        WireRequest("a URI of the same host", ["GET http://A:80/echo HTTP/1.1", "Host: a"], isValid: true),
        WireRequest("a Content-Length of 0", ["GET /echo HTTP/1.1", "Host: a", "Content-Length: 0"], isValid: true),
    ]

    /// Valid as long as they ask for no upgrade, which has neither content nor these targets.
    package static let plain: [WireRequest] = [
        WireRequest("HTTP/1.0 without Host", ["GET /echo HTTP/1.0"], isValid: true),
        WireRequest("content", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 3"], isValid: true),
        WireRequest("leading zeros", ["POST /echo HTTP/1.1", "Host: a", "Content-Length: 003"], isValid: true),
        WireRequest("chunks", ["POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked"], isValid: true),
        WireRequest(
            "chunks of a coding",
            ["POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"],
            isValid: true
        ),
        WireRequest("OPTIONS of all", ["OPTIONS * HTTP/1.1", "Host: a"], isValid: true),
        WireRequest("CONNECT", ["CONNECT b:443 HTTP/1.1", "Host: b:443"], isValid: true),
    ]
}
