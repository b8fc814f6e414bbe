import Dispatch
import Foundation
import NIOCore
import NIOExtras
import Synchronization

/// The file of `--pcap`: the bytes of each connection as they are above TLS, as packets that Wireshark, tshark and
/// tcpdump read. Credentials and messages stand in it in clear, so it is its owner's alone.
///
/// A queue of its own writes the record: no event loop waits for a disk. The bytes that wait there are bounded, and
/// ``finish()`` is called however the command ends, so that nothing of it is lost.
final class Capture: Sendable {
    /// Bytes that may wait for the disk. One that does not keep up ends the capture, not the conversation.
    private static let limit = 64 << 20
    /// How long the end of the command waits for the ends of connections, which belong to the capture as well.
    private static let patience = DispatchTimeInterval.seconds(1)

    private struct State {
        var waiting = 0
        var hasEnded = false
        var hasFailed = false
    }

    private let path: String
    private let console: Console
    private let file: SavedFile
    private let queue = DispatchQueue(label: "khp.capture")
    private let connections = DispatchGroup()
    private let state = Mutex(State())

    /// Creates the file, or empties it.
    init(path: String, console: Console) throws(CommandFailure) {
        self.console = console
        self.path = path
        self.file = try SavedFile(path, option: "--pcap")
        self.write(NIOWritePCAPHandler.pcapFileHeader)
    }

    /// Makes the handler that records a connection about to begin.
    func tap(_ channel: any Channel) -> any ChannelHandler & RemovableChannelHandler {
        self.connections.enter()
        channel.closeFuture.whenComplete { _ in self.connections.leave() }
        return NIOWritePCAPHandler(mode: .client) { self.write($0) }
    }

    /// Writes what is left, at the end of the command.
    /// - Returns: `true` when all of it could be written.
    @discardableResult
    func finish() -> Bool {
        _ = self.connections.wait(timeout: .now() + Self.patience)
        return self.queue.sync {
            self.file.close()
            return self.state.withLock { state in
                state.hasEnded = true
                return !state.hasFailed
            }
        }
    }

    private func write(_ packets: ByteBuffer) {
        let size = packets.readableBytes
        guard size > 0 else { return }
        let isInTime: Bool? = self.state.withLock { state in
            if state.hasEnded { return nil }
            state.waiting += size
            return state.waiting <= Self.limit
        }
        guard let isInTime else { return }
        guard isInTime else { return self.end("the disk does not keep up", hasFailed: true) }
        self.queue.async {
            defer { self.state.withLock { $0.waiting -= size } }
            guard !self.state.withLock({ $0.hasEnded }) else { return }
            let error = self.file.write(packets.readableBytesView)
            // A reader that has left is no failure, here as on standard output.
            if error != 0 { self.end(String(cString: strerror(error)), hasFailed: error != EPIPE) }
        }
    }

    /// A capture that cannot go on ends with what it has; the conversation does not.
    private func end(_ reason: String, hasFailed: Bool) {
        let isFirst = self.state.withLock { state in
            guard !state.hasEnded else { return false }
            (state.hasEnded, state.hasFailed) = (true, hasFailed)
            return true
        }
        guard isFirst else { return }
        self.console.report(.warning("the capture in `\(self.path)` ends here: \(reason)"))
    }
}
