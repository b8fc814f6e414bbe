package import HTTPTypes
package import NIOCore

/// The fields of a head in their order and spelling.
///
/// One buffer and one array of offsets, however many fields there are: a decoded head is a slice of what arrived, and
/// nothing is made into a String before somebody asks. Names compare without regard to ASCII case.
package struct HeadFields: Sendable {
    /// Offsets from the storage's reader index. Values are without the white space around them.
    struct Entry: Sendable {
        var nameStart: UInt32
        var nameEnd: UInt32
        var valueStart: UInt32
        var valueEnd: UInt32
        var field: KnownField

        @inline(__always)
        init(_ field: KnownField, nameStart: Int, nameEnd: Int, valueStart: Int, valueEnd: Int) {
            self.field = field
            self.nameStart = UInt32(truncatingIfNeeded: nameStart)
            self.nameEnd = UInt32(truncatingIfNeeded: nameEnd)
            self.valueStart = UInt32(truncatingIfNeeded: valueStart)
            self.valueEnd = UInt32(truncatingIfNeeded: valueEnd)
        }

        @inline(__always) var name: Range<Int> { Int(self.nameStart)..<Int(self.nameEnd) }
        @inline(__always) var value: Range<Int> { Int(self.valueStart)..<Int(self.valueEnd) }
    }

    private var storage: ByteBuffer
    private var entries: [Entry]
    /// `true` while the storage holds the fields as they are written, each with its CRLF, and nothing else.
    private var isWritten: Bool
    /// The fields among them that the handshakes look up.
    private(set) var known: KnownFields

    package init() {
        self.storage = ByteBuffer()
        self.entries = []
        self.isWritten = true
        self.known = []
    }

    init(storage: ByteBuffer, entries: [Entry], known: KnownFields) {
        self.storage = storage
        self.entries = entries
        self.isWritten = false
        self.known = known
    }

    package var count: Int { self.entries.count }

    package var isEmpty: Bool { self.entries.isEmpty }

    /// The whole head as it was received, its blank line included; of no use once a field was added.
    var received: ByteBuffer { self.storage }

    /// Takes memory of its own: a slice of what arrived keeps the channel from reading into that again.
    package mutating func detach() {
        var own = ByteBufferAllocator().buffer(capacity: self.storage.readableBytes)
        _ = self.storage.withUnsafeReadableBytes { own.writeBytes($0) }
        self.storage = own
    }

    /// Adds a field at the end. The caller has made sure that both are valid (see ``FieldValidation``).
    package mutating func append(_ name: String, _ value: String) {
        let start = self.storage.readableBytes
        self.storage.writeString(name)
        let nameEnd = self.storage.readableBytes
        self.storage.writeStaticString(": ")
        let valueStart = self.storage.readableBytes
        self.storage.writeFieldText(value)
        let valueEnd = self.storage.readableBytes
        self.storage.writeStaticString("\r\n")
        let field = self.storage.withUnsafeReadableBytes {
            KnownField(UnsafeRawBufferPointer(rebasing: $0[start..<nameEnd]))
        }
        self.known.add(field)
        self.entries.append(
            Entry(field, nameStart: start, nameEnd: nameEnd, valueStart: valueStart, valueEnd: valueEnd)
        )
    }

    package mutating func append(contentsOf fields: HTTPFields) {
        for field in fields {
            self.append(field.name.rawName, field.text)
        }
    }

    /// The value of the first field of that name.
    package func first(_ name: String) -> String? {
        self.withFirst(name) { FieldText.string($0) }
    }

    /// The value of the first such field.
    package func first(_ field: KnownField) -> String? {
        self.withFirst(field) { FieldText.string($0) }
    }

    package func contains(_ field: KnownField) -> Bool {
        self.known.contains(KnownFields(field))
    }

    /// The values of all such fields, in order.
    package func all(_ field: KnownField) -> [String] {
        var values: [String] = []
        self.forEachValue(of: field) { value in
            values.append(FieldText.string(value))
            return true
        }
        return values
    }

    /// The values of all fields of that name, in order.
    package func all(_ name: String) -> [String] {
        var values: [String] = []
        self.forEachValue(of: name) { value in
            values.append(FieldText.string(value))
            return true
        }
        return values
    }

    package func count(of name: String) -> Int {
        var count = 0
        self.forEachValue(of: name) { _ in
            count += 1
            return true
        }
        return count
    }

    package func contains(_ name: String) -> Bool {
        self.withFirst(name) { _ in true } ?? false
    }

    /// Returns `true` when the comma lists of all fields with that name hold `token`, in any case.
    package func hasToken(_ token: String, in name: String) -> Bool {
        var found = false
        Bytes.withUTF8(of: token) { token in
            self.forEachValue(of: name) { value in
                Self.forEachElement(of: value) { element in
                    found = Bytes.equalIgnoringCase(element, token)
                    return !found
                }
                return !found
            }
        }
        return found
    }

    /// Returns `true` when the comma lists of all such fields hold `token`, in any case.
    package func hasToken(_ token: StaticString, in field: KnownField) -> Bool {
        self.withValues { $0.hasToken(token, in: field) }
    }

    /// The elements of the comma lists of all fields of that name, for lists without quoted strings; empty elements
    /// are left out (RFC 9110 section 5.6.1.2).
    package func list(_ name: String) -> [String] {
        var elements: [String] = []
        self.forEachValue(of: name) { value in
            Self.forEachElement(of: value) { element in
                elements.append(FieldText.string(element))
                return true
            }
            return true
        }
        return elements
    }

    /// Returns `true` when the first field with that name has exactly this value.
    package func value(of name: String, equals expected: String) -> Bool {
        self.withFirst(name) { value in
            Bytes.withUTF8(of: expected) { Bytes.equal($0, value) }
        } ?? false
    }

    /// Returns `true` when the first field with that name has this value, in any ASCII case.
    package func value(of name: String, equalsIgnoringCase expected: String) -> Bool {
        self.withFirst(name) { value in
            Bytes.withUTF8(of: expected) { Bytes.equalIgnoringCase($0, value) }
        } ?? false
    }

    /// Calls `body` with the bytes of the first such value; `nil` without such a field.
    @inline(__always)
    package func withFirst<Result>(
        _ field: KnownField,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        guard self.contains(field), let entry = self.entries.first(where: { $0.field == field }) else { return nil }
        return self.storage.withUnsafeReadableBytes { body(UnsafeRawBufferPointer(rebasing: $0[entry.value])) }
    }

    /// Looks at several values at once: a look-up alone costs more than comparing the value that it finds.
    @inline(__always)
    func withValues<Result>(_ body: (Values) -> Result) -> Result {
        self.storage.withUnsafeReadableBytes { body(Values(bytes: $0, entries: self.entries, known: self.known)) }
    }

    /// The values of a head's fields, as bytes.
    struct Values {
        fileprivate let bytes: UnsafeRawBufferPointer
        fileprivate let entries: [Entry]
        fileprivate let known: KnownFields

        /// The first value of a field.
        @inline(__always)
        subscript(_ field: KnownField) -> UnsafeRawBufferPointer? {
            guard self.known.contains(KnownFields(field)), let entry = self.entries.first(where: { $0.field == field })
            else { return nil }
            return UnsafeRawBufferPointer(rebasing: self.bytes[entry.value])
        }

        /// Returns `true` when the first such field has exactly this value.
        @inline(__always)
        func value(of field: KnownField, equals expected: StaticString) -> Bool {
            guard let value = self[field] else { return false }
            return Bytes.equal(
                value,
                UnsafeRawBufferPointer(start: expected.utf8Start, count: expected.utf8CodeUnitCount)
            )
        }

        /// Returns `true` when the comma lists of all such fields hold `token`, in any case.
        func hasToken(_ token: StaticString, in field: KnownField) -> Bool {
            guard self.known.contains(KnownFields(field)) else { return false }
            let token = UnsafeRawBufferPointer(start: token.utf8Start, count: token.utf8CodeUnitCount)
            for entry in self.entries where entry.field == field {
                let value = UnsafeRawBufferPointer(rebasing: self.bytes[entry.value])
                // Most lists have one element.
                if Bytes.equalIgnoringCase(value, token) { return true }
                var isFound = false
                HeadFields.forEachElement(of: value) { element in
                    isFound = Bytes.equalIgnoringCase(element, token)
                    return !isFound
                }
                if isFound { return true }
            }
            return false
        }
    }

    /// Calls `body` with each such value until it returns false.
    @inline(__always)
    package func forEachValue(of field: KnownField, _ body: (UnsafeRawBufferPointer) -> Bool) {
        guard self.contains(field) else { return }
        self.storage.withUnsafeReadableBytes { bytes in
            for entry in self.entries where entry.field == field {
                guard body(UnsafeRawBufferPointer(rebasing: bytes[entry.value])) else { return }
            }
        }
    }

    /// Calls `body` with the bytes of the first value with that name; `nil` without such a field.
    package func withFirst<Result>(_ name: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result? {
        var result: Result?
        self.forEachValue(of: name) { value in
            result = body(value)
            return false
        }
        return result
    }

    /// The value of `Content-Length` (RFC 9110 section 8.6).
    package enum ContentLength: Equatable, Sendable {
        case absent
        /// Not just digits, or more than fits.
        case invalid
        case bytes(Int)
    }

    package var contentLength: ContentLength {
        self.withFirst(.contentLength) { digits in
            guard !digits.isEmpty, digits.count <= 18 else { return .invalid }
            var length = 0
            for digit in digits {
                guard Bytes.isDigit(digit) else { return .invalid }
                length = length * 10 + Int(digit - 0x30)
            }
            return .bytes(length)
        } ?? .absent
    }

    /// For callers outside; fields whose name HTTPTypes refuses are left out.
    package var httpFields: HTTPFields {
        var fields = HTTPFields()
        fields.reserveCapacity(self.entries.count)
        self.forEachField { name, value in
            if let name = HTTPField.Name(String(decoding: name, as: UTF8.self)) {
                fields.append(HTTPField(name: name, lenientValue: value))
            }
        }
        return fields
    }

    /// Every field in order, as text.
    package func forEach(_ body: (_ name: String, _ value: String) -> Void) {
        self.storage.withUnsafeReadableBytes { bytes in
            for entry in self.entries {
                body(
                    String(decoding: UnsafeRawBufferPointer(rebasing: bytes[entry.name]), as: UTF8.self),
                    FieldText.string(UnsafeRawBufferPointer(rebasing: bytes[entry.value]))
                )
            }
        }
    }

    /// Appends every field line, without the blank line that ends a head.
    package func write(into buffer: inout ByteBuffer) {
        if self.isWritten {
            buffer.writeImmutableBuffer(self.storage)
            return
        }
        self.storage.withUnsafeReadableBytes { bytes in
            for entry in self.entries {
                buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[entry.name]))
                buffer.writeStaticString(": ")
                buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[entry.value]))
                buffer.writeStaticString("\r\n")
            }
        }
    }

    /// Calls `body` with the bytes of each name and value in order, for callers that look for several names at once.
    @inline(__always)
    package func forEachField(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        self.storage.withUnsafeReadableBytes { bytes in
            for entry in self.entries {
                body(
                    UnsafeRawBufferPointer(rebasing: bytes[entry.name]),
                    UnsafeRawBufferPointer(rebasing: bytes[entry.value])
                )
            }
        }
    }

    /// Calls `body` with each value of that name until it returns false.
    package func forEachValue(of name: String, _ body: (UnsafeRawBufferPointer) -> Bool) {
        Bytes.withUTF8(of: name) { name in
            self.storage.withUnsafeReadableBytes { bytes in
                for entry in self.entries where Int(entry.nameEnd - entry.nameStart) == name.count {
                    guard Bytes.equalIgnoringCase(UnsafeRawBufferPointer(rebasing: bytes[entry.name]), name) else {
                        continue
                    }
                    guard body(UnsafeRawBufferPointer(rebasing: bytes[entry.value])) else { return }
                }
            }
        }
    }

    private static func forEachElement(
        of value: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Bool
    ) {
        var start = 0
        while start <= value.count {
            var end = start
            while end < value.count, value[end] != Bytes.comma { end += 1 }
            let element = Bytes.trimmed(UnsafeRawBufferPointer(rebasing: value[start..<end]))
            if !element.isEmpty, !body(element) { return }
            start = end + 1
        }
    }
}

extension HeadFields: Equatable {
    /// The same fields in the same order and spelling.
    package static func == (left: HeadFields, right: HeadFields) -> Bool {
        guard left.count == right.count else { return false }
        return left.storage.withUnsafeReadableBytes { leftBytes in
            right.storage.withUnsafeReadableBytes { rightBytes in
                zip(left.entries, right.entries).allSatisfy { one, other in
                    leftBytes[one.name].elementsEqual(rightBytes[other.name])
                        && leftBytes[one.value].elementsEqual(rightBytes[other.value])
                }
            }
        }
    }
}

extension HeadFields: CustomStringConvertible, CustomReflectable {
    /// One line per field, each ended by LF; the values of credentials and cookies are hidden.
    package var description: String {
        var text = ""
        self.forEach { name, value in
            text += "\(name): \(SecretName.isSecret(name) ? Redaction.mark : Redaction.value(of: name, value))\n"
        }
        return text
    }

    /// Keeps `dump` from showing the storage.
    package var customMirror: Mirror { Mirror(self, children: ["fields": self.description]) }
}

extension ByteBuffer {
    /// Appends the bytes that a text stands for.
    package mutating func writeFieldText(_ text: String) {
        // Nearly all of it is ASCII, and then it is its own bytes.
        if Bytes.withUTF8(of: text, { Bytes.isASCII($0) }) {
            self.writeString(text)
        } else {
            self.writeBytes(FieldText.bytes(of: text))
        }
    }
}
