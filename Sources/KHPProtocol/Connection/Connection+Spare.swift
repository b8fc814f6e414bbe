// The memory that a connection keeps for its next message, given back while none comes.

extension Connection {
    /// Lets go of memory that nothing is kept in. The next message makes it anew.
    package mutating func releaseSpare() {
        self.output.releaseSpare()
        self.link.codec.releaseSpare()
    }
}
