import ArgumentParser
import Foundation
import KHPProtocol

/// A name and, where one was typed, a password: `--user NAME[:PASSWORD]`, or what stands before the host of a URL.
struct Login: Sendable, Equatable {
    /// May be empty: RFC 7617 section 2 allows it, and services take tokens as `:TOKEN`.
    var name: String
    /// `nil` where none was typed, which is not the same as an empty one.
    var password: String?

    private init(name: String, password: String?) throws(GrammarFault) {
        guard !name.isEmpty || password?.isEmpty == false else { throw .empty }
        guard !name.contains(":") else { throw .colon }
        guard (try? Credentials.basic(user: name, password: password ?? "").validate()) != nil else { throw .control }
        self.name = name
        self.password = password
    }

    /// The fault, in words that repeat nothing of the text: it may be a part of a password.
    enum GrammarFault: Error {
        case empty
        case colon
        case control
        case encoding

        var words: String {
            switch self {
            case .empty: "holds neither a name nor a password"
            case .colon: "holds a colon in the name, which Basic and Digest cannot carry"
            case .control: "cannot hold control characters"
            case .encoding: "is not percent-encoded UTF-8; write % as %25"
            }
        }
    }

    /// A name, and behind a colon a password.
    fileprivate init(typed: String) throws(GrammarFault) {
        let parts = typed.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map { String($0) }
        try self.init(name: parts.first ?? "", password: parts.count > 1 ? parts[1] : nil)
    }

    /// The user information of a URL, percent-encoded (RFC 3986 section 3.2.1).
    init(information: Substring) throws(CommandFailure) {
        let parts = information.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        do throws(GrammarFault) {
            let decoded = try parts.map { part throws(GrammarFault) in
                guard let text = String(part).removingPercentEncoding else { throw .encoding }
                return text
            }
            try self.init(name: decoded.first ?? "", password: decoded.count > 1 ? decoded[1] : nil)
        } catch {
            throw .usage("what stands before the host of the URL \(error.words)")
        }
    }
}

/// The value of `--user` and `--proxy-user`. One that is no login is kept with its fault: the parser would show the value
/// that it refuses, which may hold a password.
struct LoginArgument: ExpressibleByArgument, Sendable {
    private let result: Result<Login, Login.GrammarFault>

    init(argument: String) {
        do throws(Login.GrammarFault) {
            self.result = .success(try Login(typed: argument))
        } catch {
            self.result = .failure(error)
        }
    }

    /// - Parameter option: its name, for the mistake.
    func login(of option: String) throws(CommandFailure) -> Login {
        switch self.result {
        case .success(let login): return login
        case .failure(let fault): throw .usage("\(option) \(fault.words)")
        }
    }
}

/// A URL as it is typed, which may hold credentials, and what is left of it without them: WebSocket URLs hold none
/// (RFC 6455 section 3), and nothing that is shown may.
struct TypedURL: Sendable, Equatable {
    var url: String
    var login: Login?

    init(_ text: String) throws(CommandFailure) {
        self.url = text
        guard let slashes = text.range(of: "://") else { return }
        let end = text[slashes.upperBound...].firstIndex { "/?#".contains($0) } ?? text.endIndex
        // As browsers read it: a password may hold an at sign.
        guard let at = text[slashes.upperBound..<end].lastIndex(of: "@") else { return }
        let information = text[slashes.upperBound..<at]
        self.url.removeSubrange(slashes.upperBound...at)
        if !information.isEmpty { self.login = try Login(information: information) }
    }

    /// The note about the credentials in it.
    func note(isOverridden: Bool) -> String {
        isOverridden
            ? "khp: warning: the credentials in the URL do not count beside --user"
            : "khp: warning: the credentials in the URL count as --user; others on this machine can see them there"
    }
}
