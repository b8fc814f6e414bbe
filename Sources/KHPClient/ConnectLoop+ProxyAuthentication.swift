import KHPProtocol
import KHPTransport
import NIOCore

extension ConnectLoop {
    mutating func authorization(for proxy: Proxy, _ url: WebSocketURL) -> String? { nil }
    mutating func answer(_ response: HandshakeResponse, of proxy: Proxy, for url: WebSocketURL) async throws -> String {
        throw WebSocketError(.proxyAuthenticationRequired, "stub", url: url, response: response, phase: .connect)
    }
}
extension ConnectLoop {
    mutating func accepted(_ head: ResponseHead, of proxy: Proxy) throws {}
}
