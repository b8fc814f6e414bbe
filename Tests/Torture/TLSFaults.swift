// The steps of TLS that fail, and the closures by which those fail that the library and the product leave to others.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport

enum TLSStep: String, Sendable {
    /// The context is made, or the handler of a connection.
    case making
    /// The own certificate is chosen: a server's, or a client's where the server asks for one.
    case choice
    /// A client looks at its peer's certificate, the chain of which is verified.
    case verification
    /// The caller's own look at it.
    case check
    /// The handshake is complete, and those above TLS are told.
    case handshake
    /// The connection ends, which the peer is told first.
    case goodbye

    /// The ways in which the steps of a side fail.
    static func faults(of side: Side) -> [(operation: Operation, way: Way)] {
        var faults: [(TLSStep, Way)] = [
            (.making, .fails),
            (.choice, .fails), (.choice, .isForAnother), (.choice, .isUntrusted), (.choice, .isSlow),
            (.choice, .isLate),
            (.handshake, .isSlow), (.handshake, .isLate),
            (.goodbye, .stalls),
        ]
        if side == .client {
            faults += [(.verification, .isSlow), (.verification, .isLate), (.check, .fails)]
            // A server does not compare a client's certificate with a name.
            faults.removeAll { $0 == (.choice, .isForAnother) }
        }
        return faults.map { (.tls(side, $0), $1) }
    }
}

extension Scenario {
    /// Tells if there is such an operation at all.
    func has(_ operation: Operation) -> Bool {
        guard case .tls(let side, let step) = operation else {
            return !self.isTLSAlone && self.only ?? operation == operation
        }
        guard self.only == nil else { return false }
        return switch (side, step) {
        // The client of ordinary HTTP is none of ours.
        case (.client, _) where self.isHTTP: false
        case (.client, .choice): self.asksForCertificate
        case (.client, .check): self.isSecure
        // The library takes bytes for an error that a peer sends while it is looked at, and a server of HTTP/2 speaks first.
        // The product's look does not wait.
        case (.client, .verification) where self.usesStreams: false
        case (.client, _): self.isSecure || self.isProxySecure
        case (.server, .verification), (.server, .check): false
        case (.server, _): self.isSecure
        }
    }

    /// The error that a caller gets, where TLS fails in this way; `nil` where there is more than one, or none.
    func error(of fault: Fault) -> (code: WebSocketError.Code, detail: WebSocketError.Detail?)? {
        // The client of ordinary HTTP has no words for it.
        if self.isHTTP { return nil }
        return switch (fault.operation, fault.way) {
        // Behind an address of a proxy at which the handler cannot be made there is another.
        case (.tls(.client, .making), _) where fault.number > 1 && self.name.contains("through"): nil
        case (.tls(.client, .making), _), (.tls(.client, .check), _), (.tls(_, .choice), .fails): (.tlsFailed, nil)
        case (.tls(.server, .choice), .isForAnother): (.tlsFailed, .wrongHost)
        case (.tls(.server, .choice), .isUntrusted): (.tlsFailed, .untrustedCertificate)
        case (.tls(.client, .choice), .isUntrusted): (.tlsFailed, nil)
        // The server may give up first, and what it says then the library takes for an error.
        case (.tls(.client, .verification), _): nil
        case (.tls(.client, _), .isLate): (.timeout, nil)
        default: nil
        }
    }
}

/// The closures of a run that TLS calls.
struct TLSFaults: Sendable {
    struct Failure: Error {}

    /// The length of a moment.
    static let moment = TimeAmount.milliseconds(20)

    let plan: FaultPlan
    let wait: Duration

    /// - Returns: the closure that chooses a certificate; `nil` where another operation fails.
    func choice(of side: Side) -> NIOSSLContextCallback? {
        guard self.plan.fault?.operation == .tls(side, .choice) else { return nil }
        return { _, promise in
            switch self.plan.next(.tls(side, .choice)) {
            case .fails?: promise.fail(Failure())
            case .isForAnother?: promise.completeWith(TLSCertificates.ofAnother)
            case .isUntrusted?: promise.completeWith(TLSCertificates.untrusted)
            case .isSlow?: self.after(Self.moment) { promise.succeed(.noChanges) }
            // The connection has been given up by then, and is told all the same.
            case .isLate?: self.after(TimeAmount(self.wait) * 4) { promise.succeed(.noChanges) }
            default: promise.succeed(.noChanges)
            }
        }
    }

    /// - Returns: the closure that comes before a look at a certificate; `nil` where another operation fails.
    var verifies: (@Sendable (any Channel) -> EventLoopFuture<Void>)? {
        guard self.plan.fault?.operation == .tls(.client, .verification) else { return nil }
        return { channel in
            let promise = channel.eventLoop.makePromise(of: Void.self)
            switch self.plan.next(.tls(.client, .verification)) {
            case .isSlow?: self.after(Self.moment) { promise.succeed() }
            case .isLate?: channel.closeFuture.whenComplete { _ in self.after(Self.moment) { promise.succeed() } }
            default: promise.succeed()
            }
            return promise.futureResult
        }
    }

    /// - Returns: the caller's own look at a certificate; `nil` where another operation fails.
    var check: (@Sendable (NIOSSLCertificate, String) throws -> Void)? {
        guard self.plan.fault?.operation == .tls(.client, .check) else { return nil }
        return { _, _ in
            if self.plan.next(.tls(.client, .check)) == .fails { throw Failure() }
        }
    }

    func makes(_ side: Side) throws {
        if self.plan.next(.tls(side, .making)) == .fails { throw NIOSSLError.failedToLoadCertificate }
    }

    /// On a loop whose timers are not counted.
    private func after(_ time: TimeAmount, _ body: @escaping @Sendable () -> Void) {
        TortureRun.callers.next().scheduleTask(in: time, body)
    }
}

/// Certificates that a peer does not take.
enum TLSCertificates {
    static let ofAnother = Result {
        let certificates = try Certificates.shared.get()
        var override = NIOSSLContextConfigurationOverride()
        override.certificateChain = try NIOSSLCertificate.fromPEMFile(certificates.otherHost).map { .certificate($0) }
        override.privateKey = .privateKey(try NIOSSLPrivateKey(file: certificates.otherHostKey, format: .pem))
        return override
    }

    static let untrusted = Result {
        let issued = try CertificateAuthority.shared.get().issue("DNS:localhost")
        var override = NIOSSLContextConfigurationOverride()
        override.certificateChain = issued.chain
        override.privateKey = issued.key
        return override
    }
}
