// The reason phrases that a response of ours carries. They are for people: nothing here ever compares one.

package enum StatusReason {
    /// The reason of every 101 that we send: deployed clients compare it (D10).
    package static let switchingProtocols = "Web Socket Protocol Handshake"

    /// The phrase for a status code, from the specification's list; empty for a code that it does not name.
    package static func phrase(for status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 101: switchingProtocols
        case 102: "Processing"
        case 103: "Checkpoint"
        case 122: "Request-URI too long"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 203: "Non-Authoritative Information"
        case 204: "No Content"
        case 205: "Reset Content"
        case 206: "Partial Content"
        case 207: "Multi-Status"
        case 226: "IM Used"
        case 300: "Multiple Choices"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 305: "Use Proxy"
        case 306: "Switch Proxy"
        case 307: "Temporary Redirect"
        case 308: "Resume Incomplete"
        case 400...499: clientErrorPhrase(for: status)
        case 500...599: serverErrorPhrase(for: status)
        default: ""
        }
    }

    private static func clientErrorPhrase(for status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 402: "Payment Required"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 407: "Proxy Authentication Required"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Request Entity Too Large"
        case 414: "Request-URI Too Long"
        case 415: "Unsupported Media Type"
        case 416: "Requested Range Not Satisfiable"
        case 417: "Expectation Failed"
        case 418: "I'm a teapot"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Entity"
        case 423: "Locked"
        case 424: "Failed Dependency"
        case 425: "Unordered Collection"
        case 426: "Upgrade Required"
        case 428: "Precondition Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 444: "No Response"
        case 449: "Retry With"
        case 450: "Blocked by Windows Parental Controls"
        case 499: "Client Closed Request"
        default: ""
        }
    }

    private static func serverErrorPhrase(for status: Int) -> String {
        switch status {
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case 506: "Variant Also Negotiates"
        case 507: "Insufficient Storage"
        case 509: "Bandwidth Limit Exceeded"
        case 510: "Not Extended"
        case 511: "Network Authentication Required"
        case 598: "Network Read Timeout"
        case 599: "Network Connect Timeout"
        default: ""
        }
    }
}
