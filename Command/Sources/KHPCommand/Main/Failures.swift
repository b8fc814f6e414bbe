import Foundation
import HTTPTypes
import KHPProtocol
import NIOCore

/// From the library's errors to exit statuses (the contract and D16) and to one sentence for a person.
extension CommandFailure {
    /// - Parameter offered: `true` when x-kaazing-handshake was asked for, and could be left out.
    init(_ error: WebSocketError, offered: Bool = false) {
        self.init(
            Ending(error),
            code: error.code.description,
            Self.sentence(error, offered),
            url: error.url?.redacted,
            httpStatus: error.response?.status
        )
        self.redirects = error.redirects
        self.entity = Self.entity(error.response)
    }

    /// A signal that came before there was anything to close. Not every command has connections.
    static func interrupted(by number: Int32) -> CommandFailure {
        CommandFailure(
            number == SIGTERM ? .terminated : .interrupted,
            code: "cancelled",
            "interrupted by a signal"
        )
    }

    /// Makes a failure of any error.
    init(any error: any Error, offered: Bool = false) {
        switch error {
        case let error as CommandFailure: self = error
        case let error as WebSocketError: self.init(error, offered: offered)
        case is CancellationError: self = .interrupted(by: SIGINT)
        default: self.init(.fault, code: "internal", "\(error)".asSentence)
        }
    }

    /// How an open connection ended, where that is no success.
    init?(_ info: CloseInfo) {
        // After both close frames it does not matter how the stream ended. An empty close frame (1005) is as proper an
        // end as 1000.
        let isNormal = info.code == nil || info.code == .normalClosure || info.code == .goingAway
        if info.clean, isNormal { return nil }
        // The hixie dialects may just end.
        if info.code == nil, info.error == nil { return nil }
        if let error = info.error, !info.clean || Ending(ofOpen: error) != .closedOtherwise {
            self.init(error)
            self.status = Ending(ofOpen: error)
            if self.status == .closedOtherwise {
                self.sentence = "the connection was lost: " + Self.plain(error.message)
            }
            return
        }
        self.init(.closedOtherwise, code: "closed", "the connection was " + LadderStep.closing(info))
    }

    /// The failure, the server's words about it, and the advice, in one sentence.
    private static func sentence(_ error: WebSocketError, _ offered: Bool) -> String {
        var text = plain(error.message)
        if let entity = explanation(error.response) { text += ": " + entity }
        if !error.redirects.isEmpty {
            text += " (after " + error.redirects.map(\.description).joined(separator: ", ") + ")"
        }
        if let advice = Advice.sentence(for: error, offered: offered) { text += "; " + advice }
        return text
    }

    /// A message of the library as a part of our sentence.
    private static func plain(_ message: String) -> String {
        var text = TerminalText.escaped(message)
        while text.hasSuffix(".") { text.removeLast() }
        return decapitalized(text)
    }

    /// The first line of a refusal's entity, where it is text (KHP-E20).
    private static func explanation(_ response: HandshakeResponse?) -> String? {
        guard let line = explainingLine(response) else { return nil }
        var shown = TerminalText.escaped(line.prefix(longestExplanation))
        while shown.hasSuffix(".") { shown.removeLast() }
        return "\"" + shown + "\""
    }

    /// Characters of a line that a sentence can hold.
    private static let longestExplanation = 200

    private static func explainingLine(_ response: HandshakeResponse?) -> String? {
        guard let response, let text = String(validating: response.body.readableBytesView, as: UTF8.self) else {
            return nil
        }
        let type = response.headers[.contentType] ?? "text/plain"
        guard type.lowercased().hasPrefix("text/plain") else { return nil }
        // A line that only repeats the status line explains nothing.
        let lines = text.split { $0.isNewline }.map { $0.trimmingSpaces() }
        guard let line = lines.first(where: { !$0.isEmpty && $0 != response.description }) else { return nil }
        return Redaction.redacted(String(line))
    }

    /// A refusal's whole entity, unless the sentence says all of it (KHP-E20).
    private static func entity(_ response: HandshakeResponse?) -> ShownText? {
        guard let response, response.status >= 400, response.body.readableBytes > 0 else { return nil }
        let shown = ShownText(ShownEntity.of(response.body, status: response.status))
        // Lines that repeat the status line count for nothing here either.
        guard let said = shown.wordyLines?.filter({ $0 != response.description }) else { return shown }
        if said.isEmpty { return nil }
        if let line = explainingLine(response), said == [line], line.count <= longestExplanation { return nil }
        return shown
    }

    /// Begins in lower case, unless the first word is an abbreviation or a name in quotes.
    private static func decapitalized(_ text: String) -> String {
        guard let first = text.first, let second = text.dropFirst().first, first.isUppercase, !second.isUppercase else {
            return text
        }
        return first.lowercased() + text.dropFirst()
    }
}
