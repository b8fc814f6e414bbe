// The bounds of heads, as their decoders take them.

extension Limits {
    /// The bounds of a head on the wire.
    package var openingHead: HeadLimits {
        HeadLimits(lineBytes: self.lineBytes, headBytes: self.headBytes, fieldCount: self.headerCount)
    }

    /// The bounds of a head inside WebSocket messages.
    package var extendedHead: HeadLimits {
        HeadLimits(lineBytes: self.lineBytes, headBytes: self.extendedHeadBytes, fieldCount: self.headerCount)
    }

    /// The bounds of the 101 of an old dialect, which holds a handful of fields.
    var hixieHead: HeadLimits {
        HeadLimits(
            lineBytes: self.lineBytes,
            headBytes: min(self.headBytes, Fixed.hixieHeadBytes),
            fieldCount: self.headerCount
        )
    }
}
