// The load that is none: many connections, brought to some state and left there, and what they cost a server in memory.

import BenchMeters

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// How far a connection goes before it is left alone.
enum IdleState: String {
    /// TCP, and nothing said.
    case connected
    /// A request that lacks its last line.
    case head
    /// Opened with x-kaazing-handshake; the extended request does not come.
    case extended
    /// Open.
    case open
    /// Open, and a message has gone each way.
    case used
}

struct IdleLoad {
    private let options: Options
    private let messages: [[UInt8]]

    init(_ options: Options) {
        self.options = options
        self.messages = Quotes.messages(count: max(1, options.kibibytes * 1024 / options.size), size: options.size)
    }

    /// - Returns: bytes of memory for each connection.
    func run() -> ServerMemory {
        // The server's one-time memory is there when the counting begins; all connections stay to the end.
        // Memory that used ones give back serves those that come later: as many are needed before the counting to see it.
        let uncounted = self.options.state == .used ? self.options.connections : 100
        let first = (0..<uncounted).map { _ in self.connect() }
        self.settle()
        let before = ServerMemory(self.options)
        let rest = (0..<self.options.connections).map { _ in self.connect() }
        self.settle()
        let after = ServerMemory(self.options)
        let count = self.options.connections
        return withExtendedLifetime((first, rest)) {
            ServerMemory(
                resident: (after.resident - before.resident) / count,
                live: (after.live - before.live) / count
            )
        }
    }

    /// The server may still be at work on the last connection; one that was used is idle some seconds later.
    private func settle() {
        usleep(self.options.state == .used ? 5_000_000 : 500_000)
    }

    private func connect() -> Connection {
        let connection = Connection(port: self.options.port)
        let request = Opening.request(self.options)
        switch self.options.state {
        case .connected: break
        case .head: connection.send(Array(request.dropLast(2)))
        case .extended, .open:
            connection.send(request)
            connection.expectOpening()
        case .used:
            connection.send(request)
            connection.expectOpening()
            self.talk(on: connection)
        }
        return connection
    }

    private func talk(on connection: Connection) {
        guard self.options.isCompressed else {
            for message in self.messages {
                connection.send(Frame.client(message))
                connection.expect(Frame.server(message))
            }
            return
        }
        let deflate = ClientDeflate(size: self.options.size, keepsContext: self.options.keepsContext)
        for message in self.messages {
            connection.send(Frame.compressed(deflate.compress(message)))
            guard deflate.expands(connection.receiveFrame(compressed: true), to: message) else {
                BenchLoad.fail("bench-load: something else came back\n")
            }
        }
    }
}

/// The memory of a server in bytes.
struct ServerMemory {
    /// In RAM, anonymous: with it what the C library keeps of memory that was given back to it.
    let resident: Int
    /// In blocks that the server holds; 0 where that cannot be told.
    let live: Int
}

extension ServerMemory {
    init(_ options: Options) {
        self.resident = residentBytes(of: options.pid)
        self.live = liveBytes(options)
    }
}

/// Asks a server for the bytes in its blocks, and waits until it has printed them.
private func liveBytes(_ options: Options) -> Int {
    guard let pid = options.pid, let log = options.log else { return 0 }
    let known = lines(of: log).count
    kill(pid_t(pid), SIGUSR1)
    for _ in 0..<100 {
        usleep(20_000)
        let lines = lines(of: log)
        if lines.count > known, let last = lines.last { return max(Int(last.dropFirst("live ".count)) ?? 0, 0) }
    }
    return 0
}

/// The lines of what a server has printed, each of them whole, that tell bytes in blocks.
private func lines(of log: String) -> [String] {
    guard let file = fopen(log, "r") else { return [] }
    defer { fclose(file) }
    var found: [String] = []
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, CInt(line.count), file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if text.hasPrefix("live "), text.hasSuffix("\n") { found.append(String(text.dropLast())) }
    }
    return found
}
