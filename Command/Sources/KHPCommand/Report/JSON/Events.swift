import Foundation
import KHPGateway
import KHPProtocol
import NIOCore

/// The JSON events of the contract: names and keys are fixed, fields that do not apply are absent.
enum Events {
    /// An object with its name and its time; with its connection, where there are several.
    static func object(_ event: String, connection: UInt64? = nil, at time: Duration = .zero) -> JSONObject {
        var object = JSONObject()
        object.set("event", event)
        object.set("t", time.jsonSeconds)
        object.set("connection", connection.map { Int(clamping: $0) })
        return object
    }

    /// How the command ended, when it did not end well.
    static func error(_ failure: CommandFailure, at time: Duration = .zero) -> JSONObject {
        var object = Self.object("error", at: time)
        object.set("code", failure.code)
        object.set("message", failure.sentence)
        object.set("url", failure.url)
        object.set("status", failure.httpStatus)
        object.set("exit", Int(failure.status.rawValue))
        if !failure.redirects.isEmpty { object.set("trail", .array(failure.redirects.map(step))) }
        return object
    }

    /// A redirect on the way to a failure.
    private static func step(_ step: RedirectStep) -> JSONTree {
        var object = JSONObject()
        object.set("from", step.from.redacted)
        object.set("to", step.to.redacted)
        object.set("status", step.status)
        object.set("layer", step.layer.rawValue)
        return object.tree
    }

    /// A connection of a server that failed.
    static func failed(_ error: WebSocketError, connection: UInt64?, at time: Duration) -> JSONObject {
        var object = object("error", connection: connection, at: time)
        object.set("code", error.code.description)
        object.set("message", error.message)
        object.set("url", error.url?.redacted)
        object.set("status", error.response?.status)
        return object
    }

    static func connecting(url: WebSocketURL, attempt: Int, proxy: Proxy?, at time: Duration) -> JSONObject {
        var object = object("connecting", at: time)
        object.set("url", url.redacted)
        object.set("attempt", attempt)
        object.set("proxy", proxy?.description)
        return object
    }

    static func message(_ message: WebSocketMessage, connection: UInt64? = nil, at time: Duration = .zero)
        -> JSONObject
    {
        var object = object("message", connection: connection, at: time)
        switch message {
        case .text(let text):
            object.set("kind", "text")
            object.set("text", .payload(text))
            object.set("bytes", text.utf8.count)
        case .binary(let bytes):
            object.set("kind", "binary")
            object.set("base64", Data(bytes.readableBytesView).base64EncodedString())
            object.set("bytes", bytes.readableBytes)
        }
        return object
    }

    static func close(_ info: CloseInfo, connection: UInt64? = nil, at time: Duration = .zero) -> JSONObject {
        var object = object("close", connection: connection, at: time)
        // RFC 6455 section 7.1.5: the code of a close that nobody answered is not the one that we sent.
        let isUnanswered = !info.clean && info.initiator == .local && info.error?.code == .closed
        let code = isUnanswered ? .abnormal : info.code
        object.set("code", code.map { Int($0.rawValue) })
        // No code, no reason: an empty close frame, and dialects that have neither.
        object.set("reason", code == nil ? nil : .payload(isUnanswered ? "" : info.reason))
        object.set("clean", .bool(info.clean))
        object.set("by", info.initiator.rawValue)
        return object
    }

    /// The object for an event of the library; `nil` for those that have none.
    static func object(for event: ConnectionEvent, connection: UInt64?, at time: Duration) -> JSONObject? {
        func made(_ name: String, _ fill: (inout JSONObject) -> Void) -> JSONObject {
            var object = object(name, connection: connection, at: time)
            fill(&object)
            return object
        }
        switch event {
        case .connecting(let url, let attempt, let proxy):
            return connecting(url: url, attempt: attempt, proxy: proxy, at: time)
        case .connected(let peer, let tls):
            return made("connected") {
                $0.set("peer", peer)
                $0.set("tls", tls.map(tlsValue))
            }
        case .openingRequest(let head): return made("opening-request") { $0.set("head", head) }
        case .openingResponse(let head, let status):
            return made("opening-response") {
                $0.set("head", head)
                $0.set("status", status)
            }
        case .extendedRequest(let head): return made("extended-request") { $0.set("head", head) }
        case .extendedResponse(let head, let status, let action, let body):
            return made("extended-response") {
                $0.set("head", head)
                $0.set("status", status)
                $0.set("action", action.rawValue)
                $0.setBody(ShownEntity.of(body, status: status))
            }
        case .challenge(let scheme, let realm, let layer, let round):
            return made("challenge") {
                $0.set("scheme", scheme)
                $0.set("realm", realm)
                $0.set("layer", layer.rawValue)
                $0.set("round", round)
            }
        case .redirect(let from, let target, let status, let layer):
            return made("redirect") {
                $0.set("from", from.redacted)
                $0.set("to", target.redacted)
                $0.set("status", status)
                $0.set("layer", layer.rawValue)
            }
        case .open(let negotiation): return made("open") { fill(&$0, negotiation) }
        case .frameSent(let frame) where frame.isMessage:
            return made("sent") {
                $0.set("kind", frame.kind.rawValue)
                $0.set("bytes", frame.bytes)
            }
        case .pong(let roundTrip): return made("pong") { $0.set("rtt", roundTrip.jsonSeconds) }
        case .violation(let error): return failed(error, connection: connection, at: time)
        case .closed(let info): return close(info, connection: connection, at: time)
        case .failed(let error): return failed(error, connection: connection, at: time)
        case .routed, .frameSent, .frameReceived, .kaazingLegacy, .reconnecting: return nil
        }
    }

    private static func tlsValue(_ tls: TLSInfo) -> JSONTree {
        var object = JSONObject()
        object.set("version", tls.version)
        object.set("alpn", tls.alpn)
        return object.tree
    }

    /// By name; a parameter without a value is `true`.
    private static func parameters(_ parameters: ExtensionParameters) -> JSONTree {
        var object = JSONObject()
        for parameter in parameters.all {
            object.set(parameter.name, parameter.value.map { JSONTree.string($0) } ?? .bool(true))
        }
        return object.tree
    }

    private static func fill(_ object: inout JSONObject, _ negotiation: HandshakeSummary) {
        object.set("url", negotiation.url.redacted)
        object.set("subprotocol", negotiation.subprotocol.map { Redaction.subprotocol($0) })
        object.set(
            "extensions",
            .array(
                negotiation.extensions.map { negotiated in
                    var item = JSONObject()
                    item.set("name", negotiated.name)
                    item.set("parameters", parameters(negotiated.parameters))
                    item.set("layer", negotiated.layer.rawValue)
                    return item.tree
                }
            )
        )
        object.set("status", negotiation.status)
        object.set("dialect", negotiation.dialect.name)
        object.set("redirects", negotiation.redirects.count)
        object.set("challenges", negotiation.challenges)
        object.set("principal", negotiation.principal?.name)
    }
}

extension JSONObject {
    /// An entity: text where it is text, otherwise base64; absent when it is empty.
    fileprivate mutating func setBody(_ body: ByteBuffer) {
        guard body.readableBytes > 0 else { return }
        if let text = String(validating: body.readableBytesView, as: UTF8.self) {
            self.set("body", .payload(text))
        } else {
            self.set("base64", Data(body.readableBytesView).base64EncodedString())
        }
    }
}
