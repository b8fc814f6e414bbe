// A connection whose first request another framework's codec has read: the mount goes on as if it had read that itself.

public import HTTPTypes
import KHPProtocol
import KHPWebSocket
public import NIOCore

extension WebSocketMount {
    /// Takes a connection for a request that another codec has read, whatever codec that is. The request is answered here,
    /// in full: with the 101, or the refusal, redirect or challenge of an endpoint.
    ///
    /// The caller has decided that the request is for an endpoint, and has removed its codec: what comes through the
    /// pipeline from now on is bytes. RFC 6455, hixie-75 and hixie-76 can be opened so; of the last the eight bytes after
    /// the head belong to the request, and come first in `leftover`.
    ///
    /// - Parameters:
    ///   - channel: the connection's.
    ///   - head: the request; its authority is sent on as Host, unless there is a Host among its fields.
    ///   - leftover: the bytes after the head.
    ///   - isSecure: `true` where clients come by TLS; `nil` where that is so if the pipeline has a `NIOSSLHandler`.
    /// - Returns: succeeds when the connection is set up; `closeFuture` of the channel tells its end. Fails with
    ///   ``WebSocketError/Code/invalidArgument`` for a head that cannot stand in HTTP/1.1, with nothing done.
    public func takeOver(
        _ channel: any Channel,
        after head: HTTPRequest,
        leftover: ByteBuffer = ByteBuffer(),
        isSecure: Bool? = nil
    ) -> EventLoopFuture<Void> {
        let done = channel.eventLoop.makePromise(of: Void.self)
        var bytes: ByteBuffer
        do throws(WebSocketError) {
            bytes = try Self.bytes(of: head)
        } catch {
            done.fail(error)
            return done.futureResult
        }
        bytes.writeImmutableBuffer(leftover)
        self.onLoop(of: channel) { [bytes] in
            done.completeWith(Result { try self.takeOver(channel, with: bytes, isSecure: isSecure) })
        }
        return done.futureResult
    }

    /// Takes a channel over with the bytes of the request. On the event loop.
    /// - Parameters:
    ///   - successor: the first handler of the other framework, which takes no more part; `nil` where there is none.
    ///   - thenEnds: true where the client has ended its side after the bytes.
    package func takeOver(
        _ channel: any Channel,
        with bytes: ByteBuffer,
        isSecure: Bool? = nil,
        before successor: (any ChannelHandler)? = nil,
        thenEnds: Bool = false
    ) throws {
        try self.state.takeOver(
            channel,
            Self.security(of: channel, isSecure),
            with: bytes,
            before: successor,
            thenEnds: thenEnds
        )
    }

    /// True for a request that names WebSocket, at the path of an endpoint, or asks for an endpoint's cookies.
    package func owns(method: String, target: String, fields: [(name: String, value: String)]) -> Bool {
        var head = RequestHead(method: method, target: target)
        for (name, value) in fields { head.fields.append(name, value) }
        return self.state.own.contain(head)
    }

    private static func bytes(of head: HTTPRequest) throws(WebSocketError) -> ByteBuffer {
        let target = head.path ?? ""
        guard !target.isEmpty, target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw WebSocketError(.invalidArgument, "The path of the request cannot stand in a request line.")
        }
        var request = RequestHead(method: head.method.rawValue, target: target)
        if let authority = head.authority, !head.headerFields.contains(where: { $0.name.canonicalName == "host" }) {
            try FieldValidation.validate(name: "Host", value: authority)
            request.fields.append("Host", authority)
        }
        for field in head.headerFields { try FieldValidation.validate(name: field.name.rawName, value: field.value) }
        request.fields.append(contentsOf: head.headerFields)
        var bytes = ByteBuffer()
        request.write(into: &bytes)
        return bytes
    }
}
