// Fields that a caller has set, and may have put credentials in: a configuration that holds them is printed by people
// who look for a fault.

package import HTTPTypes

/// Fields that show no credential where what holds them is printed, reflected or dumped.
package struct CallerFields: Sendable {
    package var fields: HTTPFields

    package init(_ fields: HTTPFields = HTTPFields()) { self.fields = fields }
}

extension CallerFields: CustomStringConvertible, CustomReflectable {
    /// One line per field, as in a head that is shown.
    package var description: String {
        self.fields.map { "\($0.name.rawName): \(Redaction.value(of: $0.name.rawName, $0.text))" }
            .joined(separator: "\n")
    }

    package var customMirror: Mirror { Mirror(self, children: ["fields": self.description]) }
}
