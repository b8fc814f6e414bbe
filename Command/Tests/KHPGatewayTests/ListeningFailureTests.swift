import Foundation
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

/// Addresses that nothing can listen at, in one voice.
@Suite("What cannot be listened at")
struct ListeningFailureTests {
    private static func words(_ listen: ListenAddress) -> String? {
        do throws(ListeningSocket.Failure) {
            try ListeningSocket(listen).closeUnused()
            return nil
        } catch {
            return error.words
        }
    }

    @Test("a file that is no socket stays where it is")
    func file() throws {
        let path = "/tmp/khp-\(UUID().uuidString.prefix(8)).txt"
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(
            Self.words(.unix(path: path)) == "cannot listen on unix:\(path): a file that is no socket is in the way"
        )
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("precious".utf8))
        // Nor does a link count for what it leads to.
        let link = path + ".link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        defer { try? FileManager.default.removeItem(atPath: link) }
        #expect(Self.words(.unix(path: link)) != nil)
        #expect(FileManager.default.fileExists(atPath: link))
    }

    @Test("a socket that nobody listens at any more makes room")
    func leftOver() throws {
        let path = "/tmp/khp-\(UUID().uuidString.prefix(8)).sock"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = try ListeningSocket(.unix(path: path))
        // It is bound, and does not listen.
        #expect(Self.words(.unix(path: path)) == nil)
        first.closeUnused()
    }

    @Test("a name to listen at is looked up as all others are (threat H11)")
    func name() async throws {
        let names = HostNames { host, _ in
            guard host == "own.test" else { throw HostNames.Failure.failed("no such name") }
            return [try SocketAddress(ipAddress: "127.0.0.1", port: 0)]
        }
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        try await ListeningSocket.bound(to: .host("own.test", port: 0), names: names, on: eventLoop).closeUnused()
        let failure = await #expect(throws: ListeningSocket.Failure.self) {
            try await ListeningSocket.bound(to: .host("gone.test", port: 0), names: names, on: eventLoop)
        }
        #expect(failure?.words == "cannot listen on gone.test:0: \(ListenAddress.unresolvable)")
    }

    @Test("the library's errors and the system's have the same words")
    func words() {
        let library = WebSocketError(.connectFailed, "The server cannot listen on a:1: the address is in use.")
        #expect(ListeningSocket.Failure(library).words == "cannot listen on a:1: the address is in use")
        #expect(ListenAddress.reason(IOError(errnoCode: EADDRINUSE, reason: "bind")) == "the address is in use")
        #expect(ListenAddress.reason(IOError(errnoCode: EACCES, reason: "bind")) == "permission denied")
        let name = SocketAddressError.unsupported
        #expect(ListenAddress.reason(name) == "that is no address, and no name that can be resolved")
        #expect(Self.words(.host("192.0.2.1", port: 0))?.contains("is not one of this machine") ?? false)
    }
}
