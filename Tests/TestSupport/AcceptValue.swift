// The value of Sec-WebSocket-Accept, made by other code than the library's.

import COpenSSL
import Foundation

/// The answer to a Sec-WebSocket-Key (RFC 6455 section 4.2.2).
package func acceptValue(for key: String) -> String {
    var digest = [UInt8](repeating: 0, count: 20)
    let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
    EVP_Digest(text, text.count, &digest, nil, EVP_sha1(), nil)
    return Data(digest).base64EncodedString()
}
