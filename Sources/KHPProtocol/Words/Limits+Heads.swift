// The bounds of heads, as their decoders take them.

extension Limits {
    /// The bounds of a head on the wire.
    package var openingHead: HeadLimits {
        HeadLimits(lineBytes: lineBytes, headBytes: headBytes, fieldCount: fieldCount)
    }

    /// The bounds of a head inside WebSocket messages.
    package var extendedHead: HeadLimits {
        HeadLimits(lineBytes: lineBytes, headBytes: extendedHeadBytes, fieldCount: fieldCount)
    }

    /// The bounds of the 101 of an old dialect, which holds a handful of fields.
    var hixieHead: HeadLimits {
        HeadLimits(
            lineBytes: lineBytes,
            headBytes: min(headBytes, Fixed.hixieHeadBytes),
            fieldCount: fieldCount
        )
    }
}
