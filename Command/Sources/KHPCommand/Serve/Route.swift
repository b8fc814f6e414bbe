import ArgumentParser

/// The action of a path of `khp serve`: one `--route PATH=ACTION`.
struct Route: ExpressibleByArgument, Sendable, Equatable {
    enum Action: Sendable, Equatable {
        case echo
        case broadcast
        case chat
        case redirect(status: Int, to: String)
        case status(Int, body: String?)
        case choices([String])
        case relay(host: String, port: Int)
    }

    var path: String
    var action: Action

    init(path: String, action: Action) {
        self.path = path
        self.action = action
    }

    init?(argument: String) {
        guard case .success(let route) = Self.parse(argument) else { return nil }
        self = route
    }

    /// The same with the reason why it is none.
    static func parse(_ text: String) -> Result<Route, CommandFailure> {
        guard text.hasPrefix("/"), let equals = text.firstIndex(of: "=") else {
            return .failure(.usage("`--route \(text)` is not PATH=ACTION with a path that begins with `/`"))
        }
        let path = String(text[..<equals])
        let action = text[text.index(after: equals)...]
        let colon = action.firstIndex(of: ":")
        let argument = colon.map { String(action[action.index(after: $0)...]) } ?? ""
        let name = colon.map { action[..<$0] } ?? action
        let parsed: Action?
        switch name {
        case "echo" where colon == nil: parsed = .echo
        case "broadcast" where colon == nil: parsed = .broadcast
        case "chat" where colon == nil: parsed = .chat
        case "redirect": parsed = redirect(argument)
        case "status": parsed = status(argument)
        case "choices": parsed = choices(argument)
        case "tcp": parsed = relay(argument)
        default: parsed = nil
        }
        guard let parsed else {
            return .failure(
                .usage(
                    "`--route \(text)` names no action; there are echo, broadcast, chat, redirect:[CODE:]URL, "
                        + "status:CODE[:BODY], choices:URL,URL and tcp:HOST:PORT"
                )
            )
        }
        return .success(Route(path: path, action: parsed))
    }

    private static func redirect(_ text: String) -> Action? {
        guard let colon = text.firstIndex(of: ":"), text[..<colon].count == 3, let status = Int(text[..<colon]) else {
            return text.isEmpty ? nil : .redirect(status: 302, to: text)
        }
        let target = String(text[text.index(after: colon)...])
        guard [300, 301, 302, 303, 307, 308].contains(status), !target.isEmpty else { return nil }
        return .redirect(status: status, to: target)
    }

    private static func status(_ text: String) -> Action? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, first.count == 3, let code = Int(first), (100...999).contains(code) else {
            return nil
        }
        return .status(code, body: parts.count > 1 ? String(parts[1]) : nil)
    }

    private static func choices(_ text: String) -> Action? {
        let urls = text.split(separator: ",").map { String($0.trimmingSpaces()) }.filter { !$0.isEmpty }
        return urls.isEmpty ? nil : .choices(urls)
    }

    private static func relay(_ text: String) -> Action? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65535).contains(port)
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty ? nil : .relay(host: host, port: port)
    }
}
