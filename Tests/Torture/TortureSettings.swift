// The settings of a run, which do not depend on its wires: times, and the places where operations fail.

import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import TestSupport

@testable import KHPClient
@testable import KHPWebSocket

struct TortureSettings: Sendable {
    let plan: FaultPlan
    let watch: Watch
    /// The length of each wait of ours.
    let wait: Duration
    /// `false` where a wait may pass on a busy machine before all that is right has been done.
    let isTold: Bool

    init(_ plan: FaultPlan, _ watch: Watch) {
        self.plan = plan
        self.watch = watch
        // A peer that has gone silent is noticed in a moment. Where everybody is told at once, nothing may have to wait.
        let isTold =
            switch plan.fault?.way {
            // The wait for a goodbye has a bound of its own.
            case .stalls? where plan.fault?.isOfGoodbye == true: true
            case .goesSilent?, .stalls?, .isLate?, .crosses?, .ends?, .isCorrupt?: false
            default: true
            }
        self.isTold = isTold
        self.wait = (isTold ? .seconds(5) : .milliseconds(150)) * Sanitizer.patience
    }

    /// The wait of TLS for its end. Far longer than anybody should have to wait: the product sets a bound of its own.
    static let goodbye = TimeAmount.seconds(30)

    private var tls: TLSFaults { TLSFaults(plan: self.plan, wait: self.wait) }

    /// The wait of a side for the opening. Where TLS is late at one side, the other leaves it the time to notice that itself.
    private func patience(of side: Side) -> Duration {
        if case .tls(let other, _)? = self.plan.fault?.operation, other != side { return self.wait * 3 }
        return self.wait
    }

    private var keepAlive: KeepAliveConfiguration {
        var keepAlive = KeepAliveConfiguration()
        keepAlive.pingInterval = self.wait
        keepAlive.pongTimeout = self.wait
        keepAlive.idleTimeout = self.wait * 2
        return keepAlive
    }

    func client(_ scenario: Scenario, hooks: ShellHooks) -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.timeouts.total = self.wait * 8
        configuration.timeouts.connect = self.wait * 2
        configuration.timeouts.opening = self.patience(of: .client)
        configuration.timeouts.extended = self.wait
        configuration.timeouts.processing = self.wait
        configuration.timeouts.challenge = self.wait
        configuration.timeouts.message = self.wait
        configuration.timeouts.stalledWrite = self.wait
        configuration.timeouts.closeHold = self.wait
        configuration.timeouts.close = self.wait
        configuration.keepAlive = self.keepAlive
        configuration.hooks = hooks
        if let certificates = try? Certificates.shared.get() {
            if scenario.asksForCertificate, let own = try? Self.clientIdentity.get() {
                configuration.tls.certificateChain = own.chain
                configuration.tls.privateKey = own.key
            }
            configuration.tls.sslContextCallback = self.tls.choice(of: .client)
            configuration.checkCertificate = self.tls.check
            configuration.tls.trustRoots = .file(certificates.authority)
            configuration.tls.shutdownTimeout = Self.goodbye
            configuration.proxyTLS = configuration.tls
        }
        scenario.configure(&configuration)
        if let streams = configuration.streams {
            configuration.streams = WatchedStreams(base: streams, watch: self.watch)
        }
        return configuration
    }

    func server(_ scenario: Scenario, hooks: ShellHooks) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.timeouts.opening = self.patience(of: .server)
        configuration.timeouts.extended = self.wait
        configuration.timeouts.processing = self.wait
        configuration.timeouts.replay = self.wait
        configuration.timeouts.message = self.wait
        configuration.timeouts.stalledWrite = self.wait
        configuration.timeouts.closeHold = self.wait
        configuration.timeouts.close = self.wait
        configuration.keepAlive = self.keepAlive
        configuration.gracefulShutdownTimeout = self.wait * 4
        configuration.serveHTTP = Scenario.serve
        configuration.httpLimits.idleTime = self.wait
        configuration.httpLimits.stalledBody = self.wait
        // A client in memory that closes has ended its stream, and no more: nobody tells that it takes nothing.
        configuration.httpLimits.halfClosedTime = .milliseconds(500) * Sanitizer.patience
        if scenario.isHTTP { configuration.timeouts.stalledWrite = configuration.httpLimits.halfClosedTime }
        if scenario.beginsWithProxyHeader { configuration.proxyProtocol = .required(from: ["127.0.0.1"]) }
        if scenario.usesStreams {
            var http2 = WebSocketServer.HTTP2()
            http2.idleTime = self.wait
            configuration.http2 = http2
        }
        configuration.hooks = hooks
        return configuration
    }

    static let serverTLS = Result {
        let certificates = try Certificates.shared.get()
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map {
                NIOSSLCertificateSource.certificate($0)
            },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        tls.shutdownTimeout = TortureSettings.goodbye
        return tls
    }
    private static let clientIdentity = Result {
        let certificates = try Certificates.shared.get()
        return (
            chain: try NIOSSLCertificate.fromPEMFile(certificates.client).map {
                NIOSSLCertificateSource.certificate($0)
            },
            key: NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(file: certificates.clientKey, format: .pem))
        )
    }
    /// Made once: a context takes longer than a run.
    static let serverContext = Result {
        try NIOSSLContext(configuration: TortureSettings.serverTLS.get().decidedForServer)
    }
    private static let streamContext = Result {
        var tls = try TortureSettings.serverTLS.get().decidedForServer
        tls.applicationProtocols = ["h2", "http/1.1"]
        return try NIOSSLContext(configuration: tls)
    }
    private static let rawContext = Result {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .file(try Certificates.shared.get().authority)
        // The test's own, and none that is counted.
        tls.shutdownTimeout = EndTimeouts().goodbye
        return try NIOSSLContext(configuration: tls)
    }

    /// The server's TLS.
    func serverTLS(of scenario: Scenario) throws -> TLSConfiguration {
        var tls = try Self.serverTLS.get()
        tls.sslContextCallback = self.tls.choice(of: .server)
        if scenario.asksForCertificate {
            tls.certificateVerification = .fullVerification
            tls.trustRoots = .file(try Certificates.shared.get().authority)
        }
        return tls
    }

    /// The same for a server in memory.
    func serverContext(of scenario: Scenario) throws -> NIOSSLContext {
        if self.plan.fault?.operation == .tls(.server, .choice) || scenario.asksForCertificate {
            var tls = try self.serverTLS(of: scenario).decidedForServer
            if scenario.usesStreams { tls.applicationProtocols = ["h2", "http/1.1"] }
            return try NIOSSLContext(configuration: tls)
        }
        return try (scenario.usesStreams ? Self.streamContext : Self.serverContext).get()
    }

    /// For a client of the test's own.
    static func addTLS(toRaw channel: any Channel) throws {
        let tls = try NIOSSLClientHandler(context: Self.rawContext.get(), serverHostname: "localhost")
        try channel.pipeline.syncOperations.addHandler(tls)
    }

    func hooks(
        _ side: Side,
        prepare: ShellHooks.Prepare? = nil,
        dial: (@Sendable (SocketAddress, any EventLoop) async throws -> Dialled)? = nil
    ) -> ShellHooks {
        let (plan, watch, wait, tls) = (self.plan, self.watch, self.wait, self.tls)
        return ShellHooks(
            prepare: prepare,
            dial: dial,
            makesTLS: { try tls.makes(side) },
            verifies: tls.verifies,
            takesStream: { StreamLook.note($0, .server, watch) },
            taskStarts: { watch.taskStarts() },
            taskBegins: {
                switch plan.next(.task) {
                case .isLate?: try? await Task.sleep(for: wait / 3)
                case .isCancelled?: withUnsafeCurrentTask { $0?.cancel() }
                default: break
                }
            },
            taskEnds: { watch.taskEnds() }
        )
    }

    /// A resolution that may fail.
    func lookUp(
        _ addresses: @escaping @Sendable (_ port: Int) throws -> [SocketAddress]
    ) -> HostResolver.LookUp {
        { [plan] _, port in
            switch plan.next(.resolve) {
            case .fails?: throw HostResolver.Failure.failed("a fault of the test's")
            case .isEmpty?: []
            default: try addresses(port)
            }
        }
    }
}
