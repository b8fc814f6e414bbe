// The expectations of `client.expect` and `server.expect`, and their comparison with an outcome.

import KHPProtocol
import NIOCore

/// How a connection, or a client's whole attempt, ended up.
struct TranscriptOutcome {
    var negotiation: HandshakeSummary?
    var error: WebSocketError?
    /// Of the whole attempt.
    var redirects = 0
    var challenges = 0
    /// Server: the last answer that was given.
    var lastAnswer: Int?
    /// Server: how the connection ended.
    var closeCode: WebSocketCloseCode?
    /// Server: what the endpoint read.
    var body: String?
}

struct TranscriptExpectation {
    enum Kind: Equatable {
        case open
        case error(WebSocketError.Code)
        case refused(Int)
        case closed(WebSocketCloseCode)
    }

    let line: Int
    let kind: Kind
    private let attributes: [TranscriptWords.Word]

    init(_ field: Transcript.Field, in transcript: Transcript) throws(TranscriptError) {
        self.line = field.line
        guard var words = TranscriptWords.parse(field.value)?.first, !words.isEmpty else {
            throw TranscriptError(transcript.name, field.line, "an expectation says nothing")
        }
        let first = words.removeFirst().name
        var number = 0
        if first != "open" {
            guard !words.isEmpty else {
                throw TranscriptError(transcript.name, field.line, "\(first) needs a code")
            }
            let code = words.removeFirst().name
            number = Int(code) ?? 0
            if first == "error", let code = WebSocketError.Code(name: code) {
                self.kind = .error(code)
                self.attributes = words
                return
            }
        }
        switch first {
        case "open": self.kind = .open
        case "refused": self.kind = .refused(number)
        case "closed": self.kind = .closed(WebSocketCloseCode(rawValue: UInt16(clamping: number)))
        default: throw TranscriptError(transcript.name, field.line, "\(field.value) is no expectation")
        }
        self.attributes = words
    }

    /// The difference to the expectation, or `nil`.
    func mismatch(_ outcome: TranscriptOutcome) -> String? {
        switch self.kind {
        case .open:
            guard outcome.negotiation != nil else {
                return "not open: \(outcome.error?.description ?? "nothing happened")"
            }
            if let error = outcome.error { return "open as expected, and an error beside it: \(error)" }
        case .error(let code):
            guard outcome.negotiation == nil else { return "open in place of the error \(code)" }
            guard let error = outcome.error else { return "no error in place of \(code)" }
            guard error.code == code else { return "\(error) in place of \(code)" }
        case .refused(let status):
            guard outcome.negotiation == nil else { return "open in place of a refusal" }
            guard outcome.lastAnswer == status else {
                return "the last answer was \(outcome.lastAnswer.map(String.init) ?? "none")"
            }
        case .closed(let code):
            guard outcome.negotiation == nil else { return "open in place of closed" }
            guard outcome.closeCode == code else {
                return "closed with \(outcome.closeCode?.description ?? "nothing")"
            }
        }
        for attribute in self.attributes {
            let actual = self.actual(attribute.name, outcome)
            if actual != attribute.value {
                return "\(attribute.name) is \(actual ?? "unknown"), not \(attribute.value ?? "")"
            }
        }
        return nil
    }

    private func actual(_ attribute: String, _ outcome: TranscriptOutcome) -> String? {
        let response = outcome.negotiation?.response ?? outcome.error?.response
        switch attribute {
        case "status": return (outcome.negotiation?.status ?? outcome.error?.response?.status).map(String.init)
        case "subprotocol": return outcome.negotiation.map { $0.subprotocol ?? "" }
        case "extensions":
            return outcome.negotiation?.extensions.map { "\($0.name)/\($0.layer.rawValue)" }.joined(separator: ",")
        case "redirects": return String(outcome.redirects)
        case "challenges": return String(outcome.challenges)
        case "url": return (outcome.negotiation?.url ?? outcome.error?.url)?.description
        case "entity": return response.map { String(buffer: $0.body) }
        case "body": return outcome.body
        default: return nil
        }
    }
}
