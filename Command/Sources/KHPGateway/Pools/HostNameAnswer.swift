// The names of backends and of other gateways, looked up anew for each connection: a broker that moves is found again without
// a reload.

import NIOCore
import NIOPosix

/// One connect's view of a name: both families come with one answer, and it waits for none once the connect is over.
final class HostNameAnswer: Resolver, Sendable {
    private let names: HostNames
    private let wait: HostNames.Wait
    private let port: Int

    init(_ names: HostNames, of host: String, port: Int, on eventLoop: any EventLoop) {
        self.names = names
        self.wait = names.ask(host, port: port, on: eventLoop)
        self.port = port
    }

    private func all(_ family: NIOBSDSocket.ProtocolFamily) -> EventLoopFuture<[SocketAddress]> {
        let port = self.port
        return self.wait.addresses.map { addresses in
            addresses.filter { $0.protocol == family }.map { address in
                var address = address
                address.port = port
                return address
            }
        }
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { self.all(.inet) }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { self.all(.inet6) }

    func cancelQueries() { self.names.giveUp(self.wait, HostNames.Failure.timedOut) }
}

extension ClientBootstrap {
    /// Connects to a host: an address waits for no look-up, and a name keeps nobody else waiting (threat H11). SwiftNIO by
    /// itself has one queue for all names of an event loop.
    func connect(toHost host: String, port: Int, by names: HostNames, on eventLoop: any EventLoop)
        -> EventLoopFuture<any Channel>
    {
        if let address = try? SocketAddress(ipAddress: host, port: port) { return self.connect(to: address) }
        return self.resolver(HostNameAnswer(names, of: host, port: port, on: eventLoop)).connect(host: host, port: port)
    }
}
