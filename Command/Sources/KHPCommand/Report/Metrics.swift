import HTTPTypes
import KHPServer
import Synchronization

/// Counters for `--metrics`, fed from the observer, and their text in the format of Prometheus.
final class Metrics: Sendable {
    fileprivate struct State {
        var connections = 0
        var open = 0
        var handshakes: [String: Int] = [:]
        var messages: [String: Int] = [:]
        var bytes: [String: Int] = [:]
        var closes: [String: Int] = [:]
        var failures: [String: Int] = [:]
    }

    private let state = Mutex(State())

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent) {
        state.withLock { state in
            switch event {
            case .connected: state.connections &+= 1
            case .openingResponse(_, let status):
                state.handshakes["layer=\"opening\",status=\"\(status)\"", default: 0] &+= 1
            case .extendedResponse(_, let status, _, _):
                state.handshakes["layer=\"extended\",status=\"\(status)\"", default: 0] &+= 1
            case .open: state.open &+= 1
            case .frameReceived(let frame): state.count(frame, "received")
            case .frameSent(let frame): state.count(frame, "sent")
            case .closed(let info):
                state.open &-= 1
                let code = info.code.map { "\($0)" } ?? "none"
                state.closes["code=\"\(code)\",by=\"\(info.initiator.rawValue)\"", default: 0] &+= 1
            case .failed(let error): state.failures["code=\"\(error.code)\"", default: 0] &+= 1
            case .connecting, .openingRequest, .extendedRequest, .challenge, .redirect, .violation, .pong,
                .kaazingLegacy, .reconnecting:
                break
            }
        }
    }

    /// The text exposition format, version 0.0.4.
    var text: String {
        let state = self.state.withLock { $0 }
        var out = ""
        Self.write("khp_connections_total", "counter", "Connections accepted.", ["": state.connections], to: &out)
        Self.write("khp_connections_open", "gauge", "WebSockets that are open.", ["": state.open], to: &out)
        Self.write("khp_handshake_responses_total", "counter", "Responses of handshakes.", state.handshakes, to: &out)
        Self.write("khp_frames_total", "counter", "Messages and control frames.", state.messages, to: &out)
        Self.write("khp_payload_bytes_total", "counter", "Payload bytes of messages.", state.bytes, to: &out)
        Self.write("khp_closes_total", "counter", "WebSockets that were open and have closed.", state.closes, to: &out)
        Self.write(
            "khp_failures_total",
            "counter",
            "Connections that failed before they were open.",
            state.failures,
            to: &out
        )
        return out
    }

    private static func write(
        _ name: String,
        _ type: String,
        _ help: String,
        _ values: [String: Int],
        to out: inout String
    ) {
        out += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        for (labels, value) in values.sorted(by: { $0.key < $1.key }) {
            out += name + (labels.isEmpty ? "" : "{\(labels)}") + " \(value)\n"
        }
    }

    /// Answers the requests on the port that are no WebSocket requests: the metrics at their path, otherwise what the
    /// server would say itself.
    static func handler(
        path: String,
        endpoints: Set<String>,
        _ metrics: Metrics
    ) -> @Sendable (HTTPRequest) async -> HandshakeResponse {
        { request in
            let asked = String((request.path ?? "/").prefix { $0 != "?" })
            guard asked == path || endpoints.contains(asked) else {
                return .text("There is nothing here.\n", status: 404)
            }
            guard request.method == .get || request.method == .head else {
                var answer = HandshakeResponse.text("Use GET.\n", status: 405)
                answer.headers[.allow] = "GET"
                return answer
            }
            if asked == path {
                return .text(metrics.text, contentType: "text/plain; version=0.0.4; charset=utf-8")
            }
            var answer = HandshakeResponse.text("This is a WebSocket endpoint.\n", status: 426)
            answer.headers[.upgrade] = "websocket"
            return answer
        }
    }
}

extension Metrics.State {
    fileprivate mutating func count(_ frame: FrameInfo, _ direction: String) {
        messages["direction=\"\(direction)\",kind=\"\(frame.kind)\"", default: 0] &+= 1
        if frame.isMessage { bytes["direction=\"\(direction)\"", default: 0] &+= frame.bytes }
    }
}
