// The flushes of connections that get the same message, done in the turn of the event loop that sends it: a task of the
// loop's for each of thousands would cost more than what it does.

final class SharedFlushes {
    private var handlers: [ConnectionHandler] = []

    func add(_ handler: ConnectionHandler) { self.handlers.append(handler) }

    /// Flushes each connection once: all of its messages leave together.
    func perform() {
        // A flush that fails ends its connection, and may come back here by what the application does about that.
        var handlers: [ConnectionHandler] = []
        swap(&handlers, &self.handlers)
        for handler in handlers { handler.scheduledFlush() }
        guard self.handlers.isEmpty else { return }
        handlers.removeAll(keepingCapacity: true)
        swap(&handlers, &self.handlers)
    }
}
