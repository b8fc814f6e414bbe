// A balancer asks its members for their load, each at its own pace.

import KHPProtocol
import NIOCore
import NIOSSL

struct LoadQuestions: Sendable {
    let loads: MemberLoads
    let check: GatewayConfiguration.LoadCheck
    /// For https.
    let tls: TLSConfiguration?
    var names = HostNames.system

    /// An answer that takes longer is none.
    private static let limit = TimeAmount.seconds(5)

    /// Nor is one with more bytes: a few numbers do not take as many, and every member is asked every few seconds.
    private static let most = 64 * 1024

    /// Asks until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            for member in self.loads.balancer.members {
                tasks.addTask {
                    while !Task.isCancelled {
                        await self.ask(member)
                        // All gateways were perhaps started at once.
                        try? await Task.sleep(for: self.check.every * Double.random(in: 0.8...1.2))
                    }
                }
            }
        }
    }

    func ask(_ member: String) async {
        do throws(AdminClient.Failure) {
            let load = try await self.load(of: member)
            self.loads.note(load, of: member, now: .now())
        } catch {
            let words: String
            switch error {
            case .unreachable(let failure): words = failure
            case .noAnswer: words = "it answered with no load"
            }
            self.loads.note(silence: words, of: member)
        }
    }

    private func load(of member: String) async throws(AdminClient.Failure) -> MemberLoads.Load {
        guard let host = try? WebSocketURL(member).host else { throw .unreachable("the member has no host") }
        let text = self.check.url(for: host)
        guard let url = try? WebSocketURL(text) else { throw .unreachable("\(text) is no URL") }
        var client = AdminClient(
            .host(url.host, port: url.port),
            tls: url.isSecure ? self.tls ?? .makeClientConfiguration() : nil,
            token: self.check.token?.text,
            limit: Self.limit,
            most: Self.most
        )
        client.names = self.names
        return try Self.load(of: try await client.ask("GET", url.resource))
    }

    static func load(of answer: AdminClient.Answer) throws(AdminClient.Failure) -> MemberLoads.Load {
        guard answer.status == 200 else { throw .unreachable("it answered \(answer.status)") }
        guard let members = (try? JSONText.read(Array(answer.body.utf8)))?.object,
            let sessions = members["sessions"]?.seconds, sessions >= 0, sessions <= Int32.max
        else { throw .noAnswer }
        return MemberLoads.Load(
            sessions: Int(sessions),
            isDraining: members["draining"] == .boolean(true),
            instance: members["instance"]?.string
        )
    }
}
