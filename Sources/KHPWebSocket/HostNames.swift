// Names to addresses, on threads of their own: a name that takes long delays neither other names nor passwords nor files, and a
// name without waiting callers is not looked up (threat H11). `khp gateway` has this file by a link.

package import NIOCore
import NIOPosix
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

/// Looks names up. Callers that ask for a name while it is looked up share that look-up; a later caller starts another.
///
/// | a name is asked for                | answer                                                       |
/// |------------------------------------|--------------------------------------------------------------|
/// | it is looked up, or waits for that | that of this look-up                                         |
/// | a thread is free or may be started | begins                                                       |
/// | all threads are busy               | waits; once nobody waits for it any more, it is forgotten    |
/// | as many names wait as may          | ``Failure/tooMany``                                          |
///
/// The system's resolver cannot be stopped: a look-up that has begun goes on, and is there for all who ask later.
package final class HostNames: Sendable {
    package enum Failure: Error {
        /// The system's message.
        case failed(String)
        /// It was not waited for any longer.
        case timedOut
        /// Too many names wait for a thread.
        case tooMany
    }

    /// Finds the addresses of a name, and may take its time: it runs on a thread that may block.
    package typealias LookUp = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    fileprivate struct Name: Hashable {
        var host: String
        var port: Int
    }

    /// A caller's wait for the addresses of a name; ``giveUp(_:_:)`` ends it.
    package struct Wait: Sendable {
        package let addresses: EventLoopFuture<[SocketAddress]>
        fileprivate let name: Name
        fileprivate let number: UInt64
    }

    private struct Asked {
        let look: LookUpThreads.Look
        /// The promises of all callers that wait for the look-up; empty once all have given it up after it began.
        var promises: [UInt64: EventLoopPromise<[SocketAddress]>]
    }

    private struct State {
        var lastNumber: UInt64 = 0
        var asked: [Name: Asked] = [:]
    }

    /// The system's resolver.
    package static let system = HostNames(lookUp: HostNames.systemLookUp)

    package let lookUp: LookUp
    private let threads: LookUpThreads
    private let state = Mutex(State())

    package init(on threads: LookUpThreads = .shared, lookUp: @escaping LookUp) {
        self.threads = threads
        self.lookUp = lookUp
    }

    /// Asks for the addresses of a name, in the system's order of preference.
    package func ask(_ host: String, port: Int, on eventLoop: any EventLoop) -> Wait {
        let promise = eventLoop.makePromise(of: [SocketAddress].self)
        let name = Name(host: host, port: port)
        let (number, look): (UInt64, LookUpThreads.Look?) = self.state.withLock { state in
            state.lastNumber += 1
            let number = state.lastNumber
            if state.asked[name] != nil {
                state.asked[name]?.promises[number] = promise
                return (number, nil)
            }
            let look = LookUpThreads.Look { self.look(up: name) }
            state.asked[name] = Asked(look: look, promises: [number: promise])
            return (number, look)
        }
        if let look, !self.threads.begin(look) { self.end(name, .failure(Failure.tooMany)) }
        return Wait(addresses: promise.futureResult, name: name, number: number)
    }

    /// Ends a wait: its future fails with this error, unless it is complete. A name without waits leaves the queue.
    package func giveUp(_ wait: Wait, _ error: any Error) {
        let promise: EventLoopPromise<[SocketAddress]>? = self.state.withLock { state in
            guard let promise = state.asked[wait.name]?.promises.removeValue(forKey: wait.number) else { return nil }
            if let asked = state.asked[wait.name], asked.promises.isEmpty, self.threads.forget(asked.look) {
                state.asked[wait.name] = nil
            }
            return promise
        }
        promise?.fail(error)
    }

    /// Looks a name up and ends the waits for it. Blocks: called on a thread of ``LookUpThreads``.
    private func look(up name: Name) {
        self.end(name, Result { try self.lookUp(name.host, name.port) })
    }

    private func end(_ name: Name, _ result: Result<[SocketAddress], any Error>) {
        guard let asked = self.state.withLock({ $0.asked.removeValue(forKey: name) }) else { return }
        for promise in asked.promises.values { promise.completeWith(result) }
    }

    /// The answer of the system's resolver.
    @Sendable package static func systemLookUp(_ host: String, port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &list)
        guard result == 0 else { throw Failure.failed(String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next {
            if let bytes = info.pointee.ai_addr {
                switch info.pointee.ai_family {
                case AF_INET:
                    addresses.append(
                        bytes.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                            SocketAddress($0.pointee, host: host)
                        }
                    )
                case AF_INET6:
                    addresses.append(
                        bytes.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                            SocketAddress($0.pointee, host: host)
                        }
                    )
                default:
                    break
                }
            }
            next = info.pointee.ai_next
        }
        return addresses
    }
}

extension HostNames: CustomReflectable {
    /// Empty: the values behind the lock change while a configuration is printed.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Threads that may block, for look-ups alone: each is started when it is first needed, and stays.
package final class LookUpThreads: Sendable {
    /// One look-up, as the queue knows it.
    final class Look: Sendable {
        fileprivate let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private struct State {
        /// Threads without work.
        var idle: [NIOThreadPool] = []
        var started = 0
        /// The oldest first.
        var waiting: [Look] = []
    }

    private enum Place {
        case thread(NIOThreadPool)
        case newThread
        case queue
        case nowhere
    }

    /// The threads of the process. A resolver that gets no answer gives up after some ten seconds: where as many such names as
    /// there are threads are looked up, a further name waits that long at most.
    package static let shared = LookUpThreads(most: 32, waiting: 1000)

    private let most: Int
    private let mostWaiting: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - most: the most threads.
    ///   - waiting: the most look-ups that wait for one.
    package init(most: Int, waiting: Int) {
        self.most = most
        self.mostWaiting = waiting
    }

    /// - Returns: `false`, with nothing done, where too many wait.
    func begin(_ look: Look) -> Bool {
        let place: Place = self.state.withLock { state in
            if let thread = state.idle.popLast() { return .thread(thread) }
            if state.started < self.most {
                state.started += 1
                return .newThread
            }
            guard state.waiting.count < self.mostWaiting else { return .nowhere }
            state.waiting.append(look)
            return .queue
        }
        switch place {
        case .thread(let thread):
            self.run(look, on: thread)
        case .newThread:
            // SwiftNIO's way to one thread, which is never stopped.
            let thread = NIOThreadPool(numberOfThreads: 1)
            thread.start()
            self.run(look, on: thread)
        case .queue:
            break
        case .nowhere:
            return false
        }
        return true
    }

    /// - Returns: `false`, with nothing done, for one that has begun.
    func forget(_ look: Look) -> Bool {
        self.state.withLock { state in
            guard let place = state.waiting.firstIndex(where: { $0 === look }) else { return false }
            state.waiting.remove(at: place)
            return true
        }
    }

    /// Runs a look-up, and then those that wait, on a thread that is not idle.
    private func run(_ look: Look, on thread: NIOThreadPool) {
        thread.submit { _ in
            var next: Look? = look
            while let look = next {
                look.run()
                next = self.next(for: thread)
            }
        }
    }

    /// The look-up that has waited longest; without one the thread is idle.
    private func next(for thread: NIOThreadPool) -> Look? {
        self.state.withLock { state in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.idle.append(thread)
            return nil
        }
    }
}
