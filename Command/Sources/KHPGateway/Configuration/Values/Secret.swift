/// A text that is shown to nobody.
package struct Secret: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    package let text: String

    package init(_ text: String) {
        self.text = text
    }

    /// Bullets.
    package var description: String { "•••" }

    /// Bullets.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
