// Finds the addresses of a hop: the server's, its proxy's, or those of the place that the configuration names instead.

import KHPProtocol
import KHPWebSocket
import NIOCore

struct HostLookUp {
    private let connectTo: WebSocketClient.ConnectTarget?
    private let names: HostNames
    private let eventLoop: any EventLoop
    private let observer: ConnectObserver

    init(_ configuration: WebSocketClient.Configuration, eventLoop: any EventLoop, _ observer: ConnectObserver) {
        self.connectTo = configuration.connectTo
        self.names = configuration.names
        self.eventLoop = eventLoop
        self.observer = observer
    }

    /// The addresses to connect to for `url`, in the system's order of preference.
    func addresses(
        of url: WebSocketURL,
        through proxy: Proxy?,
        until limit: NIODeadline
    ) async throws -> [SocketAddress] {
        switch self.connectTo {
        case .unixDomainSocket(let path)?:
            do {
                return [try SocketAddress(unixDomainSocketPath: path)]
            } catch {
                let message = "The path of the Unix domain socket is longer than the system allows."
                throw WebSocketError(.invalidArgument, message, url: url, phase: .connect)
            }
        case .host(let host, let port)?:
            guard (1...65_535).contains(port) else {
                throw WebSocketError(
                    .invalidArgument,
                    "There is no port \(port) to connect to.",
                    url: url,
                    phase: .connect
                )
            }
            return try await self.resolve(host, port, "The host \(host)", url, until: limit)
        case .virtualMachine?:
            // It has no address of this kind; see ``ConnectLoop/dial(_:at:)``.
            return []
        case nil:
            guard let proxy else {
                return try await self.resolve(url.host, url.port, "The host \(url.host)", url, until: limit)
            }
            return try await self.resolve(proxy.host, proxy.port, "The proxy's host \(proxy.host)", url, until: limit)
        }
    }

    private func resolve(
        _ host: String,
        _ port: Int,
        _ name: String,
        _ url: WebSocketURL,
        until limit: NIODeadline
    ) async throws -> [SocketAddress] {
        if let literal = try? SocketAddress(ipAddress: host, port: port) { return [literal] }
        return try await self.observer.around(.dns, host) { try await self.lookUp(host, port, name, url, until: limit) }
    }

    private func lookUp(
        _ host: String,
        _ port: Int,
        _ name: String,
        _ url: WebSocketURL,
        until limit: NIODeadline
    ) async throws -> [SocketAddress] {
        do {
            return try await HostResolver.resolve(
                host,
                port: port,
                until: limit,
                on: self.eventLoop,
                by: self.names
            )
        } catch is CancellationError {
            throw CancellationError()
        } catch HostResolver.Failure.timedOut {
            throw WebSocketError(.timeout, "\(name) was not resolved in time.", url: url, phase: .connect)
        } catch {
            let reason =
                switch error as? HostResolver.Failure {
                case .failed(let message)?: message
                case .tooMany?: "too many names are being looked up"
                case .timedOut?, nil: "\(error)"
                }
            throw WebSocketError(
                .connectFailed,
                "\(name) could not be resolved: \(reason).",
                detail: .nameNotResolved,
                url: url,
                phase: .connect
            )
        }
    }
}
