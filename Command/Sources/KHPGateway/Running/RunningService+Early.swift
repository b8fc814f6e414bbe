// The judgement of a request before anybody is asked who they are: where it comes from, and if there is room for it. No
// password is hashed for a client that would not be let in whoever it is.

import HTTPTypes
import KHPProtocol
import KHPServer

extension RunningService {
    /// - Throws: the response that refuses it.
    func judgeEarly(_ request: HandshakeRequest) throws {
        ConnectionTrace.current?.asks()
        let origins = self.rules.rules.origins
        if let origin = request.headers[.origin] {
            if self.judgesOrigins, !(origins.allowed?.contains { $0.allows(origin) } ?? false) {
                throw self.refusal(403, "origin", request)
            }
        } else if origins.isRequired {
            throw self.refusal(403, "origin", request)
        }
        // A client that takes part in the extended handshake is told there, where it understands more answers.
        let isDecidedInside =
            request.layer == .opening && request.offersExtendedHandshake && self.rules.rules.handshake.extended != .off
        if !isDecidedInside { try self.judgeRoom(for: request) }
    }

    private func judgeRoom(for request: HandshakeRequest) throws {
        if self.isDrained { throw self.refusal(503, "draining", request) }
        if let limit = self.gate.refusal(of: AddressKey(request.client)) {
            throw self.refusal(limit.status, limit.rawValue, request)
        }
    }
}
