// The application's part of a handshake: the closures of an endpoint, with what becomes of their errors.

import KHPProtocol
import KHPWebSocket

/// The part of an endpoint that the server's shell does itself, beside its ``EndpointConfiguration``.
final class ServedEndpoint: Sendable {
    let gate: AuthenticationGate?
    let application: Endpoint.Application
    private let admit: (@Sendable (HandshakeRequest) async throws -> Void)?
    private let respond: (@Sendable (HandshakeRequest) async throws -> HandshakeResponse)?

    init(_ endpoint: Endpoint) {
        self.gate = endpoint.options.authentication?.gate
        self.application = endpoint.application
        self.admit = endpoint.options.admit
        self.respond = endpoint.respond
    }

    /// The response of `admit` that refuses a request from any user; `nil` lets it go on.
    /// - Parameter report: told of an error that is no response.
    func refusal(of request: HandshakeRequest?, report: (any Error) -> Void) async -> HandshakeResponse? {
        guard let admit, let request else { return nil }
        do {
            try await admit(request)
            return nil
        } catch {
            report(error)
            return HandshakeResponse(thrown: error)
        }
    }

    /// `true` where handshakes get a value that has to be released.
    var makesContext: Bool {
        if case .withContext = self.application { true } else { false }
    }

    /// Asks the application about a handshake.
    ///
    /// - Parameters:
    ///   - usual: the response where the application has none of its own.
    ///   - report: told of an error that the application throws.
    /// - Returns: the response, with the handshake's context as long as that response may open the socket.
    func reply(
        to request: HandshakeRequest,
        usual: HandshakeResponse,
        report: (any Error) -> Void
    ) async -> (response: HandshakeResponse, context: HandshakeContext?) {
        var context: HandshakeContext?
        var response: HandshakeResponse
        do {
            if case .withContext(let make) = self.application { context = try await make(request) }
            response = try await (context?.respond ?? self.respond)?(request) ?? usual
        } catch {
            report(error)
            response = HandshakeResponse(thrown: error)
        }
        if let made = context, !response.mayOpen {
            _ = await made.release()
            context = nil
        }
        return (response, context)
    }
}

extension HandshakeResponse {
    /// `true` for a response that opens the socket, or that another one follows.
    var mayOpen: Bool { self.completes || self.next != nil }

    /// The response of a closure of the application.
    static func of(
        _ closure: @Sendable () async throws -> HandshakeResponse?,
        report: (any Error) -> Void
    ) async -> HandshakeResponse? {
        do {
            return try await closure()
        } catch {
            report(error)
            return HandshakeResponse(thrown: error)
        }
    }
}
