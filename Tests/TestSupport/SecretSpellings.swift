// The ways in which a secret may be written where it must not be.

import Foundation

package enum SecretSpellings {
    /// As it is, in hexadecimal, percent-encoded, and in base64 from each of the three places it can begin at there.
    package static func of(_ secret: String) -> [String] {
        let bytes = Array(secret.utf8)
        func hex(before: String = "") -> String {
            bytes.map { before + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        let base64 = (0..<3).map { offset in
            let text = Data(Array(repeating: 0x20, count: offset) + bytes).base64EncodedString()
            // The letters that its neighbours have a part in are left out.
            return String(text.prefix((offset + bytes.count) * 8 / 6).dropFirst((offset * 8 + 5) / 6))
        }
        return [secret, hex(), hex().uppercased(), hex(before: "%"), hex(before: "%").uppercased()] + base64
    }
}
