// Each cell of the table in TunnelHandler's header: the steps that it tells, and what becomes of the channel.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import NIOTLS
import Testing

@Suite("Each cell of the tunnel handler's table", .timeLimit(.minutes(1)))
struct TunnelHandlerCellsTests {
    private typealias ProxyConnection = TunnelHandlerTests.ProxyConnection

    private enum State: CaseIterable { case connecting, asking, challenged, established, over }
    private enum Event: CaseIterable { case bytes, end, error, gone, deadline, answer, enter }

    private struct Lost: Error {}

    /// A handler in that state, with a connection that has yet to tell its TLS handshake where it is connecting.
    private static func proxy(in state: State) throws -> ProxyConnection {
        let proxy = try ProxyConnection(state == .connecting ? "https://proxy.example" : "http://proxy.example")
        switch state {
        case .connecting, .asking: break
        case .challenged: try proxy.receive(TunnelHandlerTests.challenge)
        case .established: try proxy.receive("HTTP/1.1 200 OK\r\n\r\n")
        case .over: try proxy.receive("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
        }
        return proxy
    }

    /// - Returns: the answer of the call, where it has one.
    private static func apply(_ event: Event, to proxy: ProxyConnection) -> String {
        let pipeline = proxy.channel.pipeline
        switch event {
        case .bytes: pipeline.fireChannelRead(ByteBuffer(string: "nonsense\r\n\r\n"))
        case .end: pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        case .error: pipeline.fireErrorCaught(Lost())
        case .gone: pipeline.fireChannelInactive()
        case .deadline: proxy.channel.embeddedEventLoop.advanceTime(to: TunnelHandlerTests.deadline + .seconds(1))
        case .answer: return "\(proxy.handler.answer("Basic eA==", deadline: TunnelHandlerTests.deadline))"
        case .enter:
            do {
                _ = try proxy.handler.enter(tls: nil) { channel in
                    ConnectionHandler(
                        connection: Connection(server: ConnectionConfiguration(), isSecure: false, now: .now()),
                        delegate: Nobody(),
                        eventLoop: channel.eventLoop,
                        transport: .socket
                    )
                }
                return "makes way"
            } catch {
                return "throws"
            }
        }
        return ""
    }

    private final class Nobody: ConnectionDelegate {
        func connected(_ handler: ConnectionHandler) {}
        func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {}
    }

    /// Plays each event in a state: what the call said, the steps behind those of the way there, and whether the channel
    /// is still open.
    private static func outcomes(of state: State) throws -> [(Event, String, Bool, AsyncStream<TunnelHandler.Step>)] {
        try Event.allCases.map { event in
            let proxy = try Self.proxy(in: state)
            let said = Self.apply(event, to: proxy)
            let isOpen = proxy.channel.isActive
            return (event, said, isOpen, proxy.end())
        }
    }

    private static func expected(_ state: State, _ event: Event) -> (said: String, steps: [String], isOpen: Bool) {
        let before: [String] =
            switch state {
            case .connecting, .asking: []
            case .challenged: ["challenge 407 true"]
            case .established: ["established 200"]
            case .over: ["failed proxy-refused"]
            }
        let failed = state == .connecting ? "unreached" : "failed"
        // The connection's own end, behind the event, is one more where the machine waits for an answer.
        let atEnd = state == .connecting || state == .asking ? ["\(failed) connect-failed"] : []
        return switch (state, event) {
        case (.connecting, .bytes), (.asking, .bytes): ("", ["\(failed) proxy-invalid"], false)
        case (.connecting, .end), (.asking, .end): ("", ["\(failed) connect-failed"], false)
        // TLS to the proxy is being established: an error of nobody's is one of its closures.
        case (.connecting, .error): ("", ["\(failed) tls-failed"], false)
        case (.asking, .error): ("", ["\(failed) connect-failed"], false)
        case (.connecting, .gone), (.asking, .gone): ("", ["\(failed) connect-failed"], false)
        case (.connecting, .deadline), (.asking, .deadline): ("", ["\(failed) timeout"], false)
        case (.challenged, .answer): ("true", before + ["retry"], true)
        case (.established, .enter): ("makes way", before, true)
        case (_, .answer): ("false", before + atEnd, state != .over)
        case (_, .enter): ("throws", before + atEnd, state != .over)
        case (_, .error): ("", before, false)
        case (_, .bytes), (_, .end), (_, .gone), (_, .deadline): ("", before, state != .over)
        }
    }

    @Test("each event in each state", arguments: State.allCases)
    private func everyCell(_ state: State) async throws {
        for (event, said, isOpen, steps) in try Self.outcomes(of: state) {
            var names: [String] = []
            for await step in steps { names.append(TunnelHandlerTests.name(step)) }
            let expected = Self.expected(state, event)
            #expect(said == expected.said, "\(state) × \(event)")
            #expect(names == expected.steps, "\(state) × \(event)")
            #expect(isOpen == expected.isOpen, "\(state) × \(event)")
        }
    }

    @Test("TLS to the proxy is up: it is asked then, and no earlier")
    func connects() throws {
        let proxy = try Self.proxy(in: .connecting)
        #expect(try proxy.sent() == "")
        proxy.channel.pipeline.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: nil))
        #expect(try proxy.sent().hasPrefix("CONNECT "))
        _ = proxy.end()
    }
}
