// Wakes an event loop once, at a time that moves.
//
// An event loop that has anything scheduled reads the clock and copies the task in each of its turns, which costs more than
// reading a small frame. On Linux the kernel's own timer wakes the loop instead, through a descriptor that the loop reads as it
// reads every other one, and closes as it closes every other one. Where there is no such timer the loop schedules.

import NIOCore
import NIOPosix

#if os(Linux)
    import CTimer
    #if canImport(Musl)
        import Musl
    #else
        import Glibc
    #endif
#endif

/// A timer of one event loop; used on that loop only.
final class LoopTimer {
    private let eventLoop: any EventLoop
    private weak var target: (any LoopTimerTarget)?
    private var callback: NIOScheduledCallback?
    /// The kernel's timer, for as long as the loop reads it.
    private var descriptor: CInt?
    private var hasTriedKernel = false

    init(eventLoop: any EventLoop, target: any LoopTimerTarget) {
        self.eventLoop = eventLoop
        self.target = target
    }

    /// Fires at `due`, or soon after it, instead of when it was to fire so far.
    func set(to due: NIODeadline) {
        if self.setKernel(to: due) { return }
        self.callback?.cancel()
        // It throws only where the loop is shut down, and then nothing waits any more.
        self.callback = try? self.eventLoop.scheduleCallback(at: due, handler: Wake(timer: self))
    }

    fileprivate func fire() {
        self.callback = nil
        self.target?.timerFired()
    }

    private struct Wake: NIOScheduledCallbackHandler, @unchecked Sendable {
        // Unchecked: scheduled, cancelled and fired on the event loop only.
        let timer: LoopTimer

        func handleScheduledCallback(eventLoop: some EventLoop) { self.timer.fire() }
    }
}

/// Told when its ``LoopTimer`` fires.
protocol LoopTimerTarget: AnyObject {
    func timerFired()
}

#if os(Linux)
    extension LoopTimer {
        /// - Returns: false where the loop has to schedule.
        private func setKernel(to due: NIODeadline) -> Bool {
            if !self.hasTriedKernel { self.openKernel() }
            guard let descriptor else { return false }
            // A time of 0 would disarm the timer.
            let time = max((due - .now()).nanoseconds, 1)
            return khp_timer_set(descriptor, time) == 0
        }

        private func openKernel() {
            self.hasTriedKernel = true
            // Loops of other kinds than NIO's own have a time of their own, or read no descriptors.
            guard self.eventLoop.inEventLoop, let bootstrap = NIOPipeBootstrap(validatingGroup: self.eventLoop) else {
                return
            }
            let descriptor = khp_timer_create()
            guard descriptor >= 0 else { return }
            let reader = NIOLoopBound(Reader(timer: self), eventLoop: self.eventLoop)
            let opened = bootstrap.channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(reader.value)
                }
            }
            .takingOwnershipOfDescriptor(input: descriptor)
            self.descriptor = descriptor
            opened.assumeIsolated().whenFailure { _ in
                self.descriptor = nil
                close(descriptor)
            }
        }

        /// Reads how often the timer has fired.
        private final class Reader: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer

            private let timer: LoopTimer

            init(timer: LoopTimer) {
                self.timer = timer
            }

            func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.timer.fire() }

            /// The loop shuts down: the descriptor's number may be another's from now on.
            func handlerRemoved(context: ChannelHandlerContext) { self.timer.descriptor = nil }

            func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
        }
    }
#else
    extension LoopTimer {
        private func setKernel(to due: NIODeadline) -> Bool { false }
    }
#endif
