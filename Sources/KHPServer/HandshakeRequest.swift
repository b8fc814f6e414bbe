public import HTTPTypes
public import KHPProtocol
public import Logging
public import NIOCore
import NIOPosix
public import NIOSSL

/// The request of a client, as `respond` and an endpoint's handler see it: the opening handshake's, with the extended
/// one's where the client takes part in that.
public struct HandshakeRequest: Sendable {
    /// The handshake that this request belongs to.
    public let layer: HandshakeLayer
    /// The path as in the request line; the same in both handshakes.
    public var path: String { self.openingRequest.path }
    /// The parameters that the endpoint's path names.
    public let parameters: PathParameters
    /// The query of the opening request.
    public var query: RequestQuery { RequestQuery(self.openingRequest.query) }
    /// The query of the extended request; it may differ from the opening's.
    public var extendedQuery: RequestQuery { RequestQuery(self.extendedRequest?.query) }
    /// The headers of the opening request. Made anew at each use.
    public var headers: HTTPFields { self.openingRequest.head.fields.httpFields }
    /// The cookies of the opening request; those of the extended one do not count.
    public var cookies: RequestCookies { RequestCookies(self.openingRequest.head.fields.all("Cookie")) }
    /// The request of the opening handshake. Origin and Cookie count only here.
    public var opening: HTTPRequest { Self.request(self.openingRequest.head) }
    /// The request of the extended handshake; `nil` in the opening.
    public var extended: HTTPRequest? { self.extendedRequest.map { Self.request($0.head) } }
    /// The application's subprotocols that the client asked for in either handshake, in its order.
    public var subprotocols: [String] { self.extendedRequest?.subprotocols ?? self.openingRequest.subprotocols }
    /// `true` where the client offers to take part in the extended handshake.
    public var offersExtendedHandshake: Bool { self.openingRequest.offersExtendedHandshake }
    /// The extensions that this request asks for.
    public var extensions: [ExtensionOffer] {
        self.extendedRequest?.extensionOffers ?? self.openingRequest.extensionOffers
    }
    /// The value of the Authorization field, the extended request's first.
    public var authorization: String? {
        guard let extendedRequest else { return self.openingRequest.authorization }
        return extendedRequest.authorization
    }
    /// The user that the client proved to be, where the endpoint has `authentication`.
    public internal(set) var principal: Principal?
    /// The body of the extended request, where it has one.
    public var body: ByteBuffer? { self.extendedRequest.flatMap { $0.body.readableBytes > 0 ? $0.body : nil } }
    /// The peer's address; `nil` for one that has none.
    public let peer: SocketAddress?
    /// The address of the client, which limits count by: the one that a trusted proxy has named, in a header before
    /// everything else or in a field of the request, otherwise the peer's. See ``WebSocketServer/ClientAddress`` and
    /// ``WebSocketListener/ProxyProtocol``.
    public let client: SocketAddress?
    /// The server's own address that the peer has connected to; `nil` for a connection that has none. A proxy in front is
    /// the one that has connected there, whatever address its client called.
    public let local: SocketAddress?
    /// The name of the listener that the connection has come in by; `nil` where another server has accepted it.
    public let listener: String?
    /// The name of the server that the client has asked TLS for (RFC 6066 section 3), as it has written it; nobody has checked
    /// it. `nil` where it has asked for none, and unless ``WebSocketListener/Configuration/readsServerName`` is set.
    public let serverName: String?
    /// The certificate that the client proved to hold, where TLS asked for one.
    public let clientCertificate: NIOSSLCertificate?
    /// The common name of the certificate that the client has shown to a proxy which ends TLS, where that proxy has
    /// verified it and says so in its header; see ``WebSocketListener/ProxyProtocol``. At most 256 bytes, without control
    /// characters. `nil` where the listener wants no header.
    public let proxiedCertificateName: String?
    /// Counts the requests on this connection that reached this point, from 1: above 1 after a challenge.
    public let attempt: Int
    /// The connection's event loop: another connection on it costs a message no change of threads. Must not be blocked.
    public var eventLoop: any EventLoop { self.loop.value }
    /// The server's logger with `khp.connection.id`, `peer` and `http.route`, the endpoint's path, as metadata, and with
    /// `request-id` where the opening request has X-Request-Id, of which 128 characters count. Logs nothing where the server
    /// has none.
    public let logger: Logger

    let loop: UnseenEventLoop
    let openingRequest: OpeningRequest
    let extendedRequest: ExtendedRequest?

    func with(principal: Principal?) -> HandshakeRequest {
        var request = self
        request.principal = principal
        return request
    }

    static func request(_ head: RequestHead) -> HTTPRequest {
        HTTPRequest(
            method: HTTPRequest.Method(head.method) ?? .get,
            scheme: nil,
            authority: head.fields.first("host"),
            path: head.originForm,
            headerFields: head.fields.httpFields
        )
    }
}

extension HandshakeRequest {
    /// A request as a client would make it, for tests of a `respond` closure or a handler.
    ///
    /// - Parameters:
    ///   - path: the path of the request line.
    ///   - query: the query without its question mark.
    ///   - headers: headers beside those that open a WebSocket; a Host among them takes the place of `example.com`.
    ///   - parameters: the parameters that the endpoint's path would name.
    ///   - principal: the user that the client has proved to be.
    ///   - peer: the peer's address.
    ///   - local: the server's own address.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a request that no server would take.
    public init(
        path: String,
        query: String? = nil,
        headers: HTTPFields = HTTPFields(),
        parameters: [String: String] = [:],
        principal: Principal? = nil,
        peer: SocketAddress? = nil,
        local: SocketAddress? = nil
    ) throws(WebSocketError) {
        var text = "GET \(path)\(query.map { "?" + $0 } ?? "") HTTP/1.1\r\n"
        if !headers.contains(where: { $0.name.canonicalName == "host" }) { text += "Host: example.com\r\n" }
        text += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        text += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        for field in headers { text += "\(field.name.rawName): \(field.value)\r\n" }
        var bytes = ByteBuffer(string: text + "\r\n")
        var server = OpeningServer(limits: Limits())
        let opening: OpeningRequest?
        do throws(Refusal) {
            opening = try server.receive(&bytes)
        } catch {
            throw WebSocketError(.invalidArgument, error.explanation)
        }
        guard let opening, bytes.readableBytes == 0 else {
            throw WebSocketError(.invalidArgument, "The request ends before its headers do.")
        }
        var found = PathParameters()
        for (name, value) in parameters { found.append(name, value) }
        self.init(
            layer: .opening,
            parameters: found,
            principal: principal,
            peer: peer,
            client: peer,
            local: local,
            listener: nil,
            serverName: nil,
            clientCertificate: nil,
            proxiedCertificateName: nil,
            attempt: 1,
            logger: ServerState.silent,
            loop: UnseenEventLoop(value: MultiThreadedEventLoopGroup.singleton.any()),
            openingRequest: opening,
            extendedRequest: nil
        )
    }
}

/// An event loop that is not looked into when a request is printed: from there one comes to every connection of the process.
struct UnseenEventLoop: Sendable, CustomReflectable {
    let value: any EventLoop

    var customMirror: Mirror { Mirror(self, children: []) }
}
