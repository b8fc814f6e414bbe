// The advice behind a failure: one table from what the library says happened (its code and detail) to the option that
// helps. A message is never searched for words: a server may have put them there.

import KHPProtocol

enum Advice: Sendable, Equatable {
    /// Nothing that can be typed helps, or the message says all.
    case none
    /// This sentence.
    case say(String)
    /// A question that names host and port of the hop that failed.
    case askWhoListens
    /// The credentials that would have answered; D20: those of another origin are kept elsewhere.
    case giveCredentials

    /// The advice for a detail, where an error has one.
    init(_ detail: WebSocketError.Detail, _ error: WebSocketError) {
        let isProxys = error.code == .proxyAuthenticationRequired
        self =
            switch detail {
            case .nameNotResolved: .say("is the name right?")
            // Whoever names another place knows what should listen there.
            case .otherPlace: .none
            case .connectionRefused: .askWhoListens
            case .addressInUse: .say("--port 0 takes a free one")
            case .throughProxy: .say("--no-proxy connects without it")
            // The proxy has said why.
            case .beyondProxy: .none
            // The message asks it already.
            case .speaksTLS, .speaksNoTLS: .none
            case .untrustedCertificate: .say("--cacert FILE trusts another authority, --insecure trusts anyone")
            case .untrustedProxyCertificate:
                .say("--proxy-cacert FILE trusts another authority, --proxy-insecure trusts anyone")
            // Trusting anyone is no answer to a certificate that is somebody else's or too old.
            case .outdatedCertificate, .wrongHost: .none
            case .leavesTLS: .say("--allow-downgrade allows it")
            case .status308: .say("--follow-308 allows it")
            case .policy: .say("--redirect-policy allows more")
            case .notPermitted, .unusableTarget: .none
            case .noCredentials where isProxys: .say("--proxy-user NAME:PASSWORD gives credentials")
            case .noCredentials: .giveCredentials
            case .credentialsRefused where isProxys: .say("are name and password right?")
            case .credentialsRefused: .say("are name and password, or token, right?")
            case .unusableChallenge where isProxys: .say("--proxy-user NAME:PASSWORD gives credentials")
            case .unusableChallenge: .none
            }
    }

    /// The advice for an error without a detail.
    /// - Parameter offered: `true` when x-kaazing-handshake was asked for, and could be left out.
    init(withoutDetail error: WebSocketError, offered: Bool) {
        self =
            switch error.code {
            case .openingRefused where error.response?.status == 400 && offered:
                .say("--extended off asks without x-kaazing-handshake, which some servers do not take")
            case .proxyAuthenticationRequired: .say("--proxy-user NAME:PASSWORD gives credentials")
            case .proxyInvalid: .say("does --proxy name the kind of proxy that listens there?")
            // Something listens where more than connecting has begun.
            case .connectFailed where error.phase == nil || error.phase == .connect: .askWhoListens
            // A ping without a pong has a bound of its own.
            case .timeout where error.phase != .open: .say("--timeout and --wait allow for more time")
            case .extendedRequired: .say("without --extended required a plain WebSocket would do")
            case .tooManyRedirects: .say("--max-redirects allows more")
            case .messageTooBig: .say("--max-message-size allows larger ones")
            default: .none
            }
    }

    /// The advice about an error, as the end of a sentence; `nil` where there is none.
    static func sentence(for error: WebSocketError, offered: Bool) -> String? {
        // D16: a 407 in a handshake is one of its failures, and no proxy's.
        if error.code == .proxyAuthenticationRequired, error.phase != .connect { return nil }
        switch error.detail.map({ Advice($0, error) }) ?? Advice(withoutDetail: error, offered: offered) {
        case .none: return nil
        case .say(let sentence): return sentence
        case .askWhoListens:
            return error.url.map { "is a server listening at \($0.host) port \($0.port)?" }
        case .giveCredentials:
            return Self.hasLeftOrigin(error)
                ? "--user and --token are for the URL given alone; --netrc FILE answers Basic and Digest of other servers"
                : "--user NAME:PASSWORD or --netrc FILE answers Basic and Digest, --token TOKEN answers Bearer and Token"
        }
    }

    /// True where redirects led to another origin than that of the URL given, whose credentials stay behind (D20).
    private static func hasLeftOrigin(_ error: WebSocketError) -> Bool {
        guard let url = error.url, let first = error.redirects.first else { return false }
        return !url.isSameOrigin(as: first.from)
    }
}
