// The version, where the command and the gateway behind it both see it.

package enum Release {
    /// The version of the whole package, and the one place that has it: `scripts/check-docs.py` holds the list of
    /// changes and the pages against it.
    package static let version = "0.1.0"
}
