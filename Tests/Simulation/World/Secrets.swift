// Canaries: each secret is marked with the host that it belongs to, so that it is known wherever it turns up.

import Foundation
import KHPProtocol

enum Secrets {
    private static let mark = "cnry"
    /// A server shows its nonces, but they are good for nobody else.
    private static let nonceMark = "nnce"

    enum Kind: Character { case password = "p", cookie = "c", token = "u", key = "k", nonce = "n" }

    /// A secret of a host.
    static func of(_ host: Int, _ kind: Kind) -> String {
        "\(kind == .nonce ? self.nonceMark : self.mark)\(host)\(kind.rawValue)7e1"
    }

    /// True where a secret of one host may go to another.
    static func mayGo(_ kind: Kind, from owner: Int, to host: Int) -> Bool {
        if owner == host { return true }
        return switch kind {
        // RFC 6265 section 8.5: cookies know hosts, not ports.
        case .cookie: owner / 2 == host / 2 || owner < 4 && host < 4
        // A step up to TLS goes to the same resource, whose query is part of it.
        case .token: owner % 2 == 0 && host == owner + 1
        case .password, .key, .nonce: false
        }
    }

    /// The places of the run by number: each origin has its own secrets. Behind each stands the same place over TLS.
    private static let authorities = [
        "sim.example.com", "sim.example.com:8080", "peer.example.com", "a.sim.example.com", "other.example.net",
    ]

    static func host(_ url: WebSocketURL) -> Int {
        let place = self.authorities.firstIndex(of: url.authority) ?? self.authorities.count - 1
        return 2 * place + (url.isSecure ? 1 : 0)
    }

    /// The marks of secrets in all the ways in which they may be written.
    private static let needles = SecretSpellings.of(Self.mark).map { Array($0.utf8) }

    /// True where a text shows a secret.
    static func isShown(in text: String) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            self.needles.contains { self.place(of: $0, in: bytes, from: 0) != nil }
        }
    }

    /// The secrets that a text of the wire holds, credentials of Basic among them.
    static func secrets(in text: String) -> [(owner: Int, kind: Kind)] {
        var found: [(owner: Int, kind: Kind)] = []
        var text = text
        if text.hasPrefix("Basic "), let login = Data(base64Encoded: String(text.dropFirst(6))) {
            text = String(decoding: login, as: UTF8.self)
        }
        text.withUTF8 { bytes in
            for mark in [self.mark, self.nonceMark] {
                var at = 0
                while let place = self.place(of: Array(mark.utf8), in: bytes, from: at) {
                    at = place + mark.utf8.count
                    guard at + 1 < bytes.count else { break }
                    let kind = Kind(rawValue: Character(Unicode.Scalar(bytes[at + 1])))
                    if let kind { found.append((Int(bytes[at]) - 0x30, kind)) }
                }
            }
        }
        return found
    }

    private static func place(of needle: [UInt8], in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard bytes.count >= needle.count, start <= bytes.count - needle.count else { return nil }
        var at = start
        while at <= bytes.count - needle.count {
            if bytes[at] == needle[0] {
                var length = 1
                while length < needle.count, bytes[at + length] == needle[length] { length += 1 }
                if length == needle.count { return at }
            }
            at += 1
        }
        return nil
    }
}
