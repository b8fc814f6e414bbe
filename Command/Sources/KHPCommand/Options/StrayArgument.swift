// An argument that belongs to no option: most often the value of one whose name was left out.

import ArgumentParser
import HTTPTypes

/// Arguments that a command has no use for. It takes them all the same, so that it can name the option that was meant.
struct StrayArguments: ParsableArguments {
    @Argument(help: .hidden) var words: [String] = []

    /// - Throws: one sentence about the first of them.
    func refuse(at command: StrayArgument.Command) throws {
        guard let first = self.words.first else { return }
        throw ValidationError(StrayArgument(text: first, command: command).sentence)
    }
}

/// A word that was typed, and the option that was meant.
struct StrayArgument {
    /// The command that it was typed to.
    enum Command: String {
        case serve, connect, tunnel
    }

    let text: String
    let command: Command

    /// One sentence for the person who typed it. It repeats nothing that may hold credentials, as URLs and fields do, nor
    /// what cannot be printed.
    var sentence: String {
        let name = "khp \(self.command.rawValue)"
        if self.text.contains("://") {
            return self.command == .serve
                ? "khp serve takes no URL: --host and --port say where it listens, and khp connect URL connects"
                : "\(name) takes one URL, and this is another"
        }
        guard self.text.isPrintable, !self.text.isEmpty else {
            return self.command == .serve
                ? "khp serve takes options alone; khp serve --help names them"
                : "\(name) takes one URL and options; \(name) --help names them"
        }
        switch self.command {
        case .serve: return self.unexpected(self.port ?? self.place ?? self.route)
        case .connect: return self.secret ?? self.unexpected(self.target ?? "--message '\(self.text)'")
        case .tunnel: return self.unexpected(self.door)
        }
    }

    private func unexpected(_ option: String?) -> String {
        let meant = option.map { "did you mean \($0)?" } ?? "khp \(self.command.rawValue) --help names the options"
        return "unexpected argument `\(self.text)`; \(meant)"
    }

    // MARK: Serve

    private var port: String? { UInt16(self.text).map { "--port \($0)" } }

    /// `HOST:PORT`, `:PORT` or an address.
    private var place: String? {
        guard !self.text.contains("/"), !self.text.contains("=") else { return nil }
        if let (host, port) = self.hostAndPort {
            return host.isEmpty ? "--port \(port)" : "--host \(host.filter { $0 != "[" && $0 != "]" }) --port \(port)"
        }
        return self.text.contains(".") || self.text == "localhost" ? "--host \(self.text)" : nil
    }

    private var hostAndPort: (host: Substring, port: UInt16)? {
        guard let colon = self.text.lastIndex(of: ":"), let port = UInt16(self.text[self.text.index(after: colon)...])
        else { return nil }
        return (self.text[..<colon], port)
    }

    /// A path, with an action or without, or an action alone.
    private var route: String? {
        guard self.text.hasPrefix("/") else {
            return (try? Route(argument: "/\(self.text)=\(self.text)")).map { _ in
                "--route /\(self.text)=\(self.text)"
            }
        }
        return "--route \(self.text.contains("=") ? self.text : "\(self.text)=echo")"
    }

    // MARK: Connect and tunnel

    /// A field, or a name and a password, of which only the beginning is repeated.
    private var secret: String? {
        guard self.target == nil, let colon = self.text.firstIndex(of: ":") else { return nil }
        let name = self.text[..<colon]
        guard self.text[self.text.index(after: colon)...].hasPrefix(" "), HTTPField.Name(String(name)) != nil
        else {
            return "an unexpected argument with a colon; did you mean --user NAME:PASSWORD?"
        }
        return "unexpected argument `\(name): …`; did you mean --header '\(name): …'?"
    }

    private var target: String? {
        guard let (host, port) = self.hostAndPort, !host.isEmpty, !host.contains(" "),
            host.contains(".") || host == "localhost"
        else { return nil }
        return "--connect-to \(host):\(port)"
    }

    private var door: String? {
        self.text.hasPrefix("unix:") || self.hostAndPort != nil ? "--listen \(self.text)" : nil
    }
}
