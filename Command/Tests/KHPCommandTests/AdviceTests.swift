import KHPProtocol
import Testing

@testable import KHPCommand

/// Which option a failure advises, by its code and detail alone.
struct AdviceTests {
    /// One row for each detail: the error that carries it, and a part of the advice or `nil` for none.
    private static let rows: [WebSocketError.Detail: [(code: WebSocketError.Code, advice: String?)]] = [
        .nameNotResolved: [(.connectFailed, "is the name right?")],
        .connectionRefused: [(.connectFailed, "is a server listening at h port 80?")],
        .addressInUse: [(.connectFailed, "--port 0")],
        .otherPlace: [(.connectFailed, nil)],
        .throughProxy: [(.connectFailed, "--no-proxy"), (.tlsFailed, "--no-proxy")],
        .beyondProxy: [(.proxyRefused, nil)],
        .speaksTLS: [(.connectFailed, nil), (.closedDuringHandshake, nil), (.openingInvalid, nil)],
        .speaksNoTLS: [(.tlsFailed, nil)],
        .untrustedCertificate: [(.tlsFailed, "--cacert FILE")],
        .untrustedProxyCertificate: [(.tlsFailed, "--proxy-cacert FILE")],
        .outdatedCertificate: [(.tlsFailed, nil)],
        .wrongHost: [(.tlsFailed, nil)],
        .leavesTLS: [(.redirectRefused, "--allow-downgrade")],
        .status308: [
            (.redirectRefused, "--follow-308"), (.openingRefused, "--follow-308"), (.extendedRefused, "--follow-308"),
        ],
        .policy: [(.redirectRefused, "--redirect-policy")],
        .notPermitted: [(.redirectRefused, nil)],
        .unusableTarget: [(.redirectRefused, nil)],
        .noCredentials: [(.authenticationFailed, "--user NAME"), (.proxyAuthenticationRequired, "--proxy-user")],
        .credentialsRefused: [
            (.authenticationFailed, "or token, right?"), (.proxyAuthenticationRequired, "are name and password right?"),
        ],
        .unusableChallenge: [(.authenticationFailed, nil), (.proxyAuthenticationRequired, "--proxy-user")],
    ]

    private func advice(_ code: WebSocketError.Code, _ detail: WebSocketError.Detail?, _ message: String = "x") throws
        -> String?
    {
        let url = try WebSocketURL("ws://h/")
        let error = WebSocketError(code, message, detail: detail, url: url, phase: .connect)
        return Advice.sentence(for: error, offered: false)
    }

    @Test("each detail has a row, with its advice or with none", arguments: WebSocketError.Detail.allCases)
    func details(_ detail: WebSocketError.Detail) throws {
        let rows = try #require(Self.rows[detail])
        for row in rows {
            let found = try self.advice(row.code, detail)
            if let part = row.advice {
                #expect(found?.contains(part) == true, "\(row.code): \(found ?? "none")")
            } else {
                #expect(found == nil, "\(row.code): \(found ?? "none")")
            }
        }
    }

    @Test("a peer's words in a message do not choose the advice", arguments: WebSocketError.Code.all)
    func words(_ code: WebSocketError.Code) throws {
        let tempting = "refused resolved proxy TLS 308 policy could not be verified, there are none"
        for detail in WebSocketError.Detail.allCases.map({ Optional($0) }) + [nil] {
            #expect(try self.advice(code, detail, tempting) == self.advice(code, detail))
        }
    }

    @Test("without a detail the code and the phase advise")
    func codes() throws {
        #expect(try self.advice(.timeout, nil) == "--timeout and --wait allow for more time")
        #expect(try self.advice(.connectFailed, nil) == "is a server listening at h port 80?")
        let lost = WebSocketError(.connectFailed, "x", url: try WebSocketURL("ws://h/"), phase: .opening)
        #expect(Advice.sentence(for: lost, offered: false) == nil)
        let silent = WebSocketError(.timeout, "x", url: try WebSocketURL("ws://h/"), phase: .open)
        #expect(Advice.sentence(for: silent, offered: false) == nil)
        let inHandshake = WebSocketError(.proxyAuthenticationRequired, "x", detail: .noCredentials, phase: .opening)
        #expect(Advice.sentence(for: inHandshake, offered: false) == nil)
    }

    @Test("D20: what --user cannot answer on another origin")
    func otherOrigin() throws {
        var error = WebSocketError(.authenticationFailed, "x", detail: .noCredentials, url: try WebSocketURL("ws://b/"))
        error.redirects = [
            RedirectStep(
                from: try WebSocketURL("ws://a/"),
                to: try WebSocketURL("ws://b/"),
                status: 302,
                layer: .opening
            )
        ]
        #expect(
            Advice.sentence(for: error, offered: false)?.hasPrefix("--user and --token are for the URL given") == true
        )
    }
}
