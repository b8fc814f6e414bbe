// The numbers of `--metrics`: one table says which event counts where, another how a series is named.

import HTTPTypes
import KHPServer
import Synchronization

/// Counts events of connections, and writes the counts in the format of Prometheus.
final class Metrics: Sendable {
    /// A group of counts that share a name.
    enum Series: CaseIterable {
        case connections
        case open
        case handshakes
        case frames
        case bytes
        case closes
        case failures

        /// The name, and what it counts.
        var words: (name: String, help: String) {
            switch self {
            case .connections: ("khp_connections_total", "Connections accepted.")
            case .open: ("khp_connections_open", "WebSockets that are open.")
            case .handshakes: ("khp_handshake_responses_total", "Responses of handshakes.")
            case .frames: ("khp_frames_total", "Messages and control frames.")
            case .bytes: ("khp_payload_bytes_total", "Payload bytes of messages.")
            case .closes: ("khp_closes_total", "WebSockets that were open and have closed.")
            case .failures: ("khp_failures_total", "Connections that failed before they were open.")
            }
        }

        /// A gauge goes down as well.
        var type: String { self == .open ? "gauge" : "counter" }

        /// True where the series has one count without labels, which is there from the beginning.
        fileprivate var isSingle: Bool { self == .connections || self == .open }
    }

    enum Direction: String {
        case received
        case sent
    }

    /// One count.
    enum Count: Hashable {
        case connections
        case open
        case handshakes(HandshakeLayer, status: Int)
        case frames(Direction, FrameInfo.Kind)
        case bytes(Direction)
        case closes(code: WebSocketCloseCode?, by: CloseInfo.Initiator)
        case failures(WebSocketError.Code)

        var series: Series {
            switch self {
            case .connections: .connections
            case .open: .open
            case .handshakes: .handshakes
            case .frames: .frames
            case .bytes: .bytes
            case .closes: .closes
            case .failures: .failures
            }
        }

        /// The labels as they stand between braces; empty where there are none.
        var labels: String {
            switch self {
            case .connections, .open: ""
            case .handshakes(let layer, let status): "layer=\"\(layer)\",status=\"\(status)\""
            case .frames(let direction, let kind): "direction=\"\(direction)\",kind=\"\(kind)\""
            case .bytes(let direction): "direction=\"\(direction)\""
            case .closes(let code, let initiator):
                "code=\"\(code.map { "\($0)" } ?? "none")\",by=\"\(initiator.rawValue)\""
            case .failures(let code): "code=\"\(code)\""
            }
        }
    }

    /// The counts that an event changes, each with its difference.
    static func changes(by event: ConnectionEvent) -> [(count: Count, difference: Int)] {
        switch event {
        case .connected: [(.connections, 1)]
        case .openingResponse(_, let status): [(.handshakes(.opening, status: status), 1)]
        case .extendedResponse(_, let status, _, _): [(.handshakes(.extended, status: status), 1)]
        case .open: [(.open, 1)]
        case .frameReceived(let frame): self.changes(by: frame, .received)
        case .frameSent(let frame): self.changes(by: frame, .sent)
        case .closed(let info): [(.open, -1), (.closes(code: info.code, by: info.initiator), 1)]
        case .failed(let error): [(.failures(error.code), 1)]
        case .connecting, .openingRequest, .routed, .extendedRequest, .challenge, .redirect, .violation, .pong,
            .kaazingLegacy, .reconnecting:
            []
        }
    }

    private static func changes(by frame: FrameInfo, _ direction: Direction) -> [(count: Count, difference: Int)] {
        let frames = (Count.frames(direction, frame.kind), 1)
        return frame.isMessage ? [frames, (.bytes(direction), frame.bytes)] : [frames]
    }

    private let counts = Mutex<[Count: Int]>([:])

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent) {
        let changes = Self.changes(by: event)
        guard !changes.isEmpty else { return }
        self.counts.withLock { counts in
            for (count, difference) in changes { counts[count, default: 0] &+= difference }
        }
    }

    /// The text exposition format, version 0.0.4.
    var text: String {
        let counts = Dictionary(grouping: self.counts.withLock { $0 }, by: \.key.series)
        return Series.allCases.map { series in
            let (name, help) = series.words
            var lines = (counts[series] ?? []).map { count, value in
                "\(name)\(count.labels.isEmpty ? "" : "{\(count.labels)}") \(value)\n"
            }.sorted()
            if lines.isEmpty, series.isSingle { lines = ["\(name) 0\n"] }
            return "# HELP \(name) \(help)\n# TYPE \(name) \(series.type)\n" + lines.joined()
        }.joined()
    }

    /// Answers requests for the metrics, which are no WebSocket requests. All others get the server's own answer.
    func handler(path: String) -> @Sendable (HTTPRequest) async -> HandshakeResponse? {
        { request in
            guard (request.path ?? "/").prefix(while: { $0 != "?" }) == path else { return nil }
            guard request.method == .get || request.method == .head else {
                var answer = HandshakeResponse.text("Use GET.\n", status: 405)
                answer.headers[.allow] = "GET"
                return answer
            }
            return .text(self.text, contentType: "text/plain; version=0.0.4; charset=utf-8")
        }
    }
}
