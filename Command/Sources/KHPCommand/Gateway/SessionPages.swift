// The admin address lists sessions page by page, so that no answer is as large as a gateway; a shell wants them all.

import ArgumentParser
import Foundation
import KHPGateway

/// The sessions that are meant; without any of these, all.
struct SessionChoice: ParsableArguments {
    @Option(help: "Sessions of this service.")
    var service: String?

    @Option(help: "Sessions of this principal.")
    var principal: String?

    @Option(help: "Sessions of clients with this address.")
    var address: String?

    @Option(help: ArgumentHelp("Sessions with this backend.", valueName: "url"))
    var backend: String?

    /// As parts of a query.
    var query: [String] {
        [
            ("service", self.service), ("principal", self.principal), ("address", self.address),
            ("backend", self.backend),
        ].compactMap { name, value in value.map { "\(name)=\(Self.encoded($0))" } }
    }

    private static func encoded(_ text: String) -> String {
        let plain = CharacterSet(charactersIn: Unicode.Scalar("a")...Unicode.Scalar("z"))
            .union(CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"))
        return text.addingPercentEncoding(withAllowedCharacters: plain) ?? text
    }
}

enum SessionPages {
    /// Asks for page after page, and puts them together as one answer of the same form.
    /// - Parameter ask: has the parts of the query that choose a page.
    /// - Returns: the first answer that is no page, as it is.
    nonisolated(nonsending) static func all(
        _ ask: nonisolated(nonsending) (_ page: [String]) async throws(AdminClient.Failure) -> AdminClient.Answer
    ) async throws(AdminClient.Failure) -> AdminClient.Answer {
        var sessions: [Substring] = []
        var count = 0
        var after: String?
        while true {
            let answer = try await ask(["limit=1000"] + (after.map { ["after=\($0)"] } ?? []))
            guard answer.status == 200, let page = Page(answer.body) else { return answer }
            if !page.sessions.isEmpty { sessions.append(page.sessions) }
            count += page.count
            guard let next = page.next, next > after ?? "" else { break }
            after = next
        }
        let body = "{\"sessions\":[\(sessions.joined(separator: ","))],\"matching\":\(count),\"next\":null}"
        return AdminClient.Answer(status: 200, body: body)
    }

    /// One answer; its sessions stay as they are written.
    private struct Page {
        var sessions: Substring
        var count: Int
        var next: String?

        init?(_ body: String) {
            let object = (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any]
            let begin = "{\"sessions\":["
            guard let object, let sessions = object["sessions"] as? [Any], body.hasPrefix(begin),
                let end = body.range(of: "],\"matching\":", options: .backwards)
            else { return nil }
            self.sessions = body[body.index(body.startIndex, offsetBy: begin.count)..<end.lowerBound]
            self.count = sessions.count
            self.next = object["next"] as? String
        }
    }
}
