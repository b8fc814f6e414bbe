// `--json`: one object per line on standard output, as the contract has it.

import KHPGateway
import KHPProtocol
import NIOCore

struct JSONRenderer: Renderer {
    /// True where connections of a client share the output, as a server's do.
    var isShared = false

    func lines(for report: Report, at time: Duration) -> [Line] {
        if case .serving(let listeners) = report {
            return listeners.map { Line(Self.object(for: $0, at: time).line, to: .standardOutput) }
        }
        guard let object = self.object(for: report, at: time) else { return [] }
        return [Line(object.line, to: .standardOutput)]
    }

    private func object(for report: Report, at time: Duration) -> JSONObject? {
        switch report {
        case .connection(let event, let info):
            // Connections that share the output are named by each object.
            return self.isShared || info.role == .server
                ? self.served(event, info.id, at: time) : self.connecting(event, at: time)
        case .message(let message): return Events.message(message, at: time)
        case .closed(let info): return Events.close(info, at: time)
        case .listening(let host, let port, let isSecure):
            var object = Events.object("listening", at: time)
            object.set("host", host)
            object.set("port", port)
            object.set("tls", .bool(isSecure))
            return object
        case .accepting(let address):
            var object = Events.object("listening", at: time)
            switch address {
            case .tcp(let host, let port):
                object.set("host", host)
                object.set("port", port)
            case .unix(let path): object.set("path", path)
            }
            object.set("tls", .bool(false))
            return object
        case .failure(let failure): return Events.error(failure, at: time)
        case .dropped(let count, from: .standardOutput):
            var object = Events.object("dropped", at: time)
            object.set("count", count)
            return object
        case .serving, .dropped, .result, .remark, .note, .warning: return nil
        }
    }

    private static func object(for listener: Gateway.Listening, at time: Duration) -> JSONObject {
        var object = Events.object("listening", at: time)
        object.set("listener", listener.name)
        if let path = listener.address.pathname, listener.address.port == nil {
            object.set("path", path)
        } else {
            object.set("host", listener.address.ipAddress ?? "")
            object.set("port", listener.address.port ?? 0)
        }
        object.set("tls", .bool(["wss", "https"].contains(listener.scheme)))
        return object
    }

    /// The messages of connections that share the output are reported from their frames.
    private func served(_ event: ConnectionEvent, _ id: UInt64, at time: Duration) -> JSONObject? {
        if case .frameReceived(let frame) = event {
            return frame.isMessage ? Events.message(frame.message, connection: id, at: time) : nil
        }
        return Events.object(for: event, connection: id, at: time)
    }

    /// The end of a client's connection stands behind its messages, which may not be printed yet; its failure is the
    /// command's own, and reported with the exit status.
    private func connecting(_ event: ConnectionEvent, at time: Duration) -> JSONObject? {
        switch event {
        case .frameReceived, .closed, .failed: nil
        default: Events.object(for: event, connection: nil, at: time)
        }
    }
}
