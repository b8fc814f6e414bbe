// Clients that ask a full server for a place without end, in a process of their own. On one event loop with the good
// clients they would delay the good ones' messages, and the measurement would count the load's delay as the server's.

import Foundation
import NIOCore
import NIOPosix

/// The process that floods, as the measurement sees it.
struct FloodProcess {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    /// Starts it, and waits until all of its connections have asked once.
    init(at port: Int, _ options: Options) throws {
        self.process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        self.process.arguments = ["flood", "\(port)", "--flood", "\(options.flood)", "--nice", "\(options.niceness)"]
        self.process.standardInput = self.input
        self.process.standardOutput = self.output
        try self.process.run()
        _ = self.readLine()
    }

    /// - Returns: how many were let in, refused and lost.
    func end() -> String {
        try? self.input.fileHandleForWriting.close()
        let counts = self.readLine()
        self.process.waitUntilExit()
        return counts
    }

    private func readLine() -> String {
        var line: [UInt8] = []
        while let byte = try? self.output.fileHandleForReading.read(upToCount: 1)?.first, byte != 10 {
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }
}

/// Floods until standard input ends.
func flood(_ options: Options) throws {
    // Its processor stands for those of other machines: the server and the good clients come first.
    _ = nice(CInt(options.niceness))
    let flood = Flood(port: options.port, on: MultiThreadedEventLoopGroup(numberOfThreads: 1).next())
    try flood.begin(options.flood)
    BenchScale.say("begun")
    while let line = readLine() { _ = line }
    BenchScale.say(try flood.end())
}

/// Connections that ask for a place, and ask again a second after a refusal. Unchecked: touched on its event loop only.
private final class Flood: WireLoad, @unchecked Sendable {
    private let port: Int
    private let eventLoop: any EventLoop
    private var isOver = false
    private var held: [WireClient] = []
    private var refused = 0
    private var lost = 0

    init(port: Int, on eventLoop: any EventLoop) {
        self.port = port
        self.eventLoop = eventLoop
    }

    /// Begins with so many, a thousand of them a second, and waits for the last.
    func begin(_ count: Int) throws {
        try self.eventLoop.flatSubmit {
            for index in 0..<count {
                self.eventLoop.scheduleTask(in: .milliseconds(Int64(index))) { self.connect() }
            }
            return self.eventLoop.scheduleTask(in: .milliseconds(Int64(count))) {}.futureResult
        }
        .wait()
    }

    /// - Returns: how many were let in, refused and lost.
    func end() throws -> String {
        try self.eventLoop.submit {
            self.isOver = true
            for client in self.held { client.close() }
            return "\(self.held.count) let in, \(self.refused) refused, \(self.lost) lost"
        }
        .wait()
    }

    private func connect() {
        guard !self.isOver else { return }
        ClientBootstrap(group: self.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(WireClient(load: self))
                }
            }
            .connect(host: "127.0.0.1", port: self.port)
            .whenFailure { _ in
                self.lost += 1
                self.connectAgain()
            }
    }

    private func connectAgain() {
        self.eventLoop.scheduleTask(in: .seconds(1)) { self.connect() }
    }

    func opened(_ client: WireClient) { self.held.append(client) }

    func echoed(_ client: WireClient, due: NIODeadline) {}

    func ended(_ client: WireClient, _ end: WireEnd) {
        guard !self.isOver else { return }
        if case .refused(503) = end { self.refused += 1 } else { self.lost += 1 }
        self.connectAgain()
    }
}
