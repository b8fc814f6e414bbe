// Logins that somebody changes on their way, text that may hold secrets, and files that people write.

import KHPProtocol
import KHPServer
import KHPTesting
import NIOCore

extension FuzzTarget {
    /// Edits of the answer of our client to a challenge of our server: two bytes each, where and to what.
    static let logins = FuzzTarget(name: "logins") { _ in
        [[], [10, 0x41], [7, 0x20, 200, 0x66], [255, 0x22]].deciding([[0, 0], [1, 1], [2, 0], [3, 1]])
    } run: { input in
        var input = input
        var generator = Cuts(seed: 7)
        let offersIntegrity = input.flag()
        let algorithms: [DigestAlgorithm] = [.md5, .sha256, .sha512_256, .sha256Session]
        let algorithm = algorithms[input.choice(algorithms.count)]
        let verifier = DigestVerifier(
            realm: "club",
            algorithms: [algorithm],
            offersIntegrity: offersIntegrity,
            acceptsHashedUsers: true,
            key: [1, 2, 3]
        )
        let texts = verifier.challenges(now: 1_000, using: &generator)
        guard let parsed = try? parseChallenges(fieldValues: texts).first, let challenge = try? DigestChallenge(parsed),
            var session = try? DigestSession(challenge, user: "joe", password: "welcome"),
            let answer = session.answer(method: "GET", uri: "/echo", clientNonce: "f2/wE4q7")
        else { return check(false, "our client cannot answer \(texts)") }
        let key = DigestKey.make(user: "joe", realm: "club", password: "welcome", algorithm: algorithm)
        var counts = NonceCounts(lifetime: 60_000_000, capacity: 8)
        func isTaken(_ value: String) -> Bool {
            guard let claim = verifier.claim(of: value, method: "GET", target: "/echo") else { return false }
            guard case .right(let confirmation) = verifier.judge(claim, key: key, counts: &counts, now: 2_000) else {
                return false
            }
            let proof = [confirmation.authenticationInfo()]
            check(answer.proof.holds(proof) || value != answer.value, "our client doubts \(proof)")
            return true
        }
        var bytes = Array(answer.value.utf8)
        let edits = input.content
        for index in stride(from: 0, to: edits.count - 1, by: 2) {
            bytes[Int(edits[index]) * (bytes.count - 1) / 255] = edits[index + 1]
        }
        let edited = String(decoding: bytes, as: UTF8.self)
        // All that is hashed, and the user; blanks and the capitals of names and of hexadecimal digits are not.
        let isSame =
            (try? DigestAuthorization(edited)).map { Self.claim($0) }
            == (try? DigestAuthorization(answer.value))
            .map { Self.claim($0) }
        let wasTaken = isTaken(edited)
        check(!wasTaken || isSame, "an answer is taken that was changed: \(edited)")
        check(isTaken(answer.value) != wasTaken, wasTaken ? "an answer is taken twice" : "a right answer is not taken")
        check(!isTaken(answer.value), "an answer is taken twice")
    }

    /// The values that an answer stands for.
    private static func claim(_ given: DigestAuthorization) -> [String] {
        [
            given.realm, given.nonce, given.uri, given.response.lowercased(), "\(given.algorithm)",
            "\(given.exchange(method: "GET", entity: ByteBuffer()).nonceCount)",
        ]
    }

    /// Text with a URL in it whose secrets must not be seen, whatever stands around it.
    static let redaction = FuzzTarget(name: "redaction") { seeds in
        let fields: Set<String> = ["location", "link", "referer", "cookie", "set-cookie", "authorization"]
        return seeds.values(of: fields, from: .server) + seeds.values(of: fields, from: .client)
            + ["ws://u:p@h/?a=1&token=2", "x?y=%2574oken%253D1", "((", "\"a;b=c"].map { Array($0.utf8) }
    } run: { input in
        let text = input.lines.joined(separator: "\n")
        let shown = Redaction.redacted(text)
        check(shown.utf8.count <= 4 * text.utf8.count + 16, "\(shown.utf8.count) bytes of \(text.utf8.count)")
        let again = Redaction.redacted(shown)
        check(again == shown, "\(shown) becomes \(again)")
        // The last line only: a line break ends whatever the text has begun.
        for secret in ["ws://joe:Zq9vXw7Rk2@h.example/", "ws://h.example/?access_token=Zq9vXw7Rk2&b=c"] {
            let whole = Redaction.redacted("\(text)\n\(secret)")
            check(!whole.contains("Zq9vXw7Rk2"), "\(whole) shows the secret of \(secret)")
        }
    }

    static let users = FuzzTarget(name: "users") { _ in
        [
            "joe:$2b$04$abcdefghijklmnopqrstuuQ5VqGmS6mJ9XGzO0yZ5oP5dQfQeW1c2\n# x\n\nann:club:0123456789abcdef0123456789abcdef",
            "bob:club:SHA-256:" + String(repeating: "a", count: 64), "svc:token-of-nobody\nsvc:token-of-nobody", ":x",
            "a:b:c",
        ]
        .map { Array($0.utf8) }
        .deciding([[0], [1]])
    } run: { input in
        var input = input
        let allowsTokens = input.flag()
        let text = input.lines.joined(separator: "\n")
        do throws(WebSocketError) {
            let users = try UsersFile(text, name: "users.txt", allowsTokens: allowsTokens)
            check(allowsTokens || users.user(token: "token-of-nobody") == nil, "a token is taken where none is allowed")
        } catch {
            let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
            guard error.code == .invalidArgument, error.message.hasPrefix("Line "),
                let number = Int(error.message.dropFirst("Line ".count).prefix { $0.isNumber }),
                lines.indices.contains(number - 1)
            else { return check(false, "\(error) names no line") }
            // A name may stand in the sentence, the secret of its line must not.
            let parts = lines[number - 1].split(separator: ":")
            guard parts.count > 1, let secret = parts.last, secret.utf8.count > 16 else { return }
            guard !parts.dropLast().contains(where: { $0.contains(secret) }) else { return }
            check(!error.message.contains(secret), "\(error.message) shows \(secret)")
        }
    }

    static let scripts = FuzzTarget(name: "scripts") { seeds in
        seeds.texts
    } run: { input in
        let text = String(decoding: input.content, as: UTF8.self)
        do throws(TranscriptError) {
            let transcript = try Transcript(text, name: "fuzzed.khp")
            check(transcript.steps.count <= text.utf8.count, "more steps than bytes")
        } catch {
            let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).count
            check(error.line <= lines, "line \(error.line) of \(lines): \(error)")
        }
    }
}
