// A TCP socket of the system's own, for peers that do what no event loop does: read nothing, read slowly, reset, come
// from another loopback address. Everything on it blocks, five seconds at most: use it within `offThread`.

import Foundation
import NIOCore
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs blocking work on a thread of its own.
package func offThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}

package final class BlockingSocket: Sendable {
    package enum Failure: Error {
        case call(String, errno: Int32)
    }

    /// How the peer's stream ended.
    package enum End: Sendable, Equatable {
        case orderly
        case reset
        /// It has not, within five seconds.
        case none
    }

    private let descriptor: Int32
    private let isOpen = Atomic(true)

    private init(descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 5 * Sanitizer.patience, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
    }

    deinit { self.close() }

    /// Connects to a loopback port.
    /// - Parameters:
    ///   - receiveBuffer: as small as the system lets it be, for a peer that is to stop its sender soon.
    ///   - address: the loopback address to come from.
    package static func connect(_ port: Int, receiveBuffer: Int32? = nil, from address: String? = nil) throws
        -> BlockingSocket
    {
        let socket = BlockingSocket(descriptor: try self.make(receiveBuffer))
        if let address {
            try self.withAddress(address, 0) { try self.check("bind", bind(socket.descriptor, $0, $1)) }
        }
        try socket.connect(to: port)
        return socket
    }

    /// A socket that has its descriptor, to be connected later.
    package static func unconnected() throws -> BlockingSocket { BlockingSocket(descriptor: try self.make(nil)) }

    /// Connects to a loopback port.
    package func connect(to port: Int, at address: String = "127.0.0.1") throws {
        try Self.withAddress(address, port) { bytes, size in
            #if canImport(Darwin)
                try Self.check("connect", Darwin.connect(self.descriptor, bytes, size))
            #elseif canImport(Musl)
                try Self.check("connect", Musl.connect(self.descriptor, bytes, size))
            #elseif canImport(Android)
                try Self.check("connect", Android.connect(self.descriptor, bytes, size))
            #else
                try Self.check("connect", Glibc.connect(self.descriptor, bytes, size))
            #endif
        }
    }

    /// Listens on a free loopback port while `body` runs, and gives the first connection to `serve`.
    package static func serving<Served: Sendable, Result: Sendable>(
        receiveBuffer: Int32? = nil,
        _ serve: @escaping @Sendable (BlockingSocket) throws -> Served,
        body: (Int) async throws -> Result
    ) async throws -> (served: Served, result: Result) {
        let listener = BlockingSocket(descriptor: try self.make(receiveBuffer))
        let port = try listener.listen(backlog: 8)
        async let served = offThread {
            let accepted = accept(listener.descriptor, nil, nil)
            try self.check("accept", accepted)
            let socket = BlockingSocket(descriptor: accepted)
            defer { socket.close() }
            return try serve(socket)
        }
        let result = try await body(port)
        return (try await served, result)
    }

    /// The address of ``withoutRoom(body:)``.
    package static let fullAddress = "127.0.0.2"

    /// A port of ``fullAddress`` at which a connect hangs while `body` runs: nobody accepts, and the system has no room for one more.
    /// Linux: others refuse instead.
    package static func withoutRoom<Result: Sendable>(body: (Int) async throws -> Result) async throws -> Result {
        let listener = try self.unconnected()
        let port = try listener.listen(backlog: 0, at: self.fullAddress)
        var fillers: [BlockingSocket] = []
        var isFull = false
        while !isFull, fillers.count < 16 {
            let filler = try self.unconnected()
            _ = fcntl(filler.descriptor, F_SETFL, O_NONBLOCK)
            try? filler.connect(to: port, at: self.fullAddress)
            var state = pollfd(fd: filler.descriptor, events: Int16(POLLOUT), revents: 0)
            isFull = poll(&state, 1, 100) == 0
            fillers.append(filler)
        }
        guard isFull else { throw Failure.call("connect, which should hang", errno: 0) }
        defer { withExtendedLifetime((listener, fillers)) {} }
        return try await body(port)
    }

    /// - Returns: the free loopback port.
    private func listen(backlog: Int32, at address: String = "127.0.0.1") throws -> Int {
        try Self.withAddress(address, 0) { try Self.check("bind", bind(self.descriptor, $0, $1)) }
        #if canImport(Darwin)
            try Self.check("listen", Darwin.listen(self.descriptor, backlog))
        #elseif canImport(Musl)
            try Self.check("listen", Musl.listen(self.descriptor, backlog))
        #elseif canImport(Android)
            try Self.check("listen", Android.listen(self.descriptor, backlog))
        #else
            try Self.check("listen", Glibc.listen(self.descriptor, backlog))
        #endif
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try Self.check("getsockname", getsockname(self.descriptor, $0, &size))
            }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func make(_ receiveBuffer: Int32?) throws -> Int32 {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        try self.check("socket", descriptor)
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        return descriptor
    }

    private static func check(_ call: String, _ result: Int32) throws {
        if result < 0 { throw Failure.call(call, errno: errno) }
    }

    private static func withAddress(
        _ host: String,
        _ port: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Void
    ) throws {
        let address = try SocketAddress(ipAddress: host, port: port)
        guard case .v4(let v4) = address else { return }
        try withUnsafePointer(to: v4.address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                try body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Sends all of it.
    package func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                #if os(Linux)
                    let flags = CInt(MSG_NOSIGNAL)
                #else
                    let flags: CInt = 0
                #endif
                return Self.systemSend(
                    self.descriptor,
                    buffer.baseAddress.map { $0 + sent },
                    buffer.count - sent,
                    flags
                )
            }
            try Self.check("send", Int32(clamping: count))
            sent += count
        }
    }

    /// Sends the same over and over, until nothing has been taken for a moment.
    package func sendUntilFull(_ bytes: [UInt8]) throws {
        var sent = 0
        var refusals = 0
        while refusals < 8 {
            let count = bytes.withUnsafeBytes { buffer in
                #if os(Linux)
                    let flags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)
                #else
                    let flags = CInt(MSG_DONTWAIT)
                #endif
                return Self.systemSend(
                    self.descriptor,
                    buffer.baseAddress.map { $0 + sent },
                    buffer.count - sent,
                    flags
                )
            }
            if count > 0 {
                refusals = 0
                sent = (sent + count) % bytes.count
            } else {
                guard errno == EAGAIN || errno == EWOULDBLOCK else { throw Failure.call("send", errno: errno) }
                refusals += 1
                usleep(25_000)
            }
        }
    }

    private static func systemSend(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: CInt) -> Int {
        #if canImport(Darwin)
            Darwin.send(descriptor, bytes, count, flags)
        #elseif canImport(Musl)
            Musl.send(descriptor, bytes, count, flags)
        #elseif canImport(Android)
            Android.send(descriptor, bytes, count, flags)
        #else
            Glibc.send(descriptor, bytes, count, flags)
        #endif
    }

    package func send(_ text: String) throws { try self.send(Array(text.utf8)) }

    /// Waits for bytes and reads them; empty at the end of the stream.
    package func receive(_ most: Int = 65_536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: most)
        let count = read(self.descriptor, &bytes, most)
        try Self.check("read", Int32(clamping: count))
        return Array(bytes.prefix(count))
    }

    /// All that comes until the stream ends, and how it did.
    package func receiveAll(each: (Int) -> Void = { _ in }) -> (bytes: [UInt8], end: End) {
        var all: [UInt8] = []
        while true {
            do {
                let bytes = try self.receive()
                if bytes.isEmpty { return (all, .orderly) }
                all += bytes
                each(all.count)
            } catch Failure.call(_, let code) {
                return (all, code == EAGAIN || code == EWOULDBLOCK ? .none : .reset)
            } catch {
                return (all, .none)
            }
        }
    }

    /// The head of a response and the bytes behind it that came along.
    package func receiveHead() throws -> String {
        var text = ""
        while !text.contains("\r\n\r\n") {
            let bytes = try self.receive(1)
            if bytes.isEmpty { break }
            text += String(decoding: bytes, as: UTF8.self)
        }
        return text
    }

    /// Ends our half of the stream.
    package func finish() {
        #if canImport(Glibc)
            shutdown(self.descriptor, CInt(SHUT_WR))
        #else
            shutdown(self.descriptor, SHUT_WR)
        #endif
    }

    /// Resets the connection.
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        self.close()
    }

    package func close() {
        guard self.isOpen.exchange(false, ordering: .relaxed) else { return }
        #if canImport(Darwin)
            _ = Darwin.close(self.descriptor)
        #elseif canImport(Musl)
            _ = Musl.close(self.descriptor)
        #elseif canImport(Android)
            _ = Android.close(self.descriptor)
        #else
            _ = Glibc.close(self.descriptor)
        #endif
    }
}
