// Endpoints on the port of a hummingbird application: its router answers all that is no endpoint's. Built with the trait
// `Hummingbird` only, so that nobody else resolves hummingbird.

#if Hummingbird

    public import HummingbirdCore
    public import KHPServer
    import Logging
    import NIOCore

    extension HTTPServerBuilder {
        /// An HTTP/1 server with endpoints mounted into it: a request for one of these is answered by it, every other one by
        /// the application's router. Goes where hummingbird's `.http1()` goes, inside `.tls(…)` too.
        /// For one, `Application(router: router, server: .khp(mount))`.
        ///
        /// When the application shuts down, open sockets are closed with 1001.
        ///
        /// - Parameters:
        ///   - mount: the endpoints.
        ///   - configuration: that of hummingbird's own HTTP/1 channel.
        public static func khp(
            _ mount: WebSocketMount,
            configuration: HTTP1Channel.Configuration = .init()
        ) -> HTTPServerBuilder {
            HTTPServerBuilder { responder in
                KHPChannel(mount: mount, http: HTTP1Channel(responder: responder, configuration: configuration))
            }
        }
    }

    /// A connection of the application's listener, from its first byte.
    struct KHPChannel: ServerChildChannel {
        struct Value: ServerChildChannelValue {
            let channel: any Channel
            let accepted: EventLoopFuture<WebSocketMount.Accepted<HTTP1Channel.Value>>
        }

        let mount: WebSocketMount
        let http: HTTP1Channel

        func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
            let accepted = self.mount.accept(channel) { [http] channel in http.setup(channel: channel, logger: logger) }
            // The channel reads only once it is set up.
            return channel.eventLoop.makeSucceededFuture(Value(channel: channel, accepted: accepted))
        }

        func handle(value: Value, logger: Logger) async {
            do {
                switch try await value.accepted.get() {
                case .http(let channel): await self.http.handle(value: channel, logger: logger)
                case .webSocket(let closed): try await closed.get()
                case .ended: break
                }
            } catch {
                logger.debug("A connection could not be set up.", metadata: ["error": "\(error)"])
            }
        }
    }

#endif
