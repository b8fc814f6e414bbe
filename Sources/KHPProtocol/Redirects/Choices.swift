import HTTPTypes
import NIOCore

/// How many choices of a response are looked at.
let maximumChoices = 32

/// The references that a redirect offers, in order of preference: for ``RedirectTracker/follow``.
///
/// A 300 offers Location, then each Link of the relation `alternate`, then the list in its entity: `text/uri-list`,
/// `href` attributes of HTML, or plain lines that are references each. Everything else offers its Location.
package func choices(of response: HandshakeResponse) -> [String] {
    var references: [String] = []
    let locations = response.fields[values: .location]
    // Of two, which one is meant is anybody's guess, and whoever stands between may have added one (threat F10).
    guard response.status == 300 else { return locations.count == 1 ? locations : [] }
    references += locations
    if let name = HTTPField.Name("Link") {
        for value in response.fields[values: name] { references += alternates(value) }
    }
    let entity = String(buffer: response.entity)
    let type = Bytes.lowercasedASCII(response.fields[.contentType] ?? "")
    let isHTML = type.hasPrefix("text/html") || type.hasPrefix("application/xhtml")
    references += isHTML || !type.hasPrefix("text/") && entity.contains("<") ? hrefs(entity) : lines(entity)
    var seen: Set<String> = []
    return Array(references.filter { seen.insert($0).inserted }.prefix(maximumChoices))
}

/// The targets of `Link: <target>; rel="alternate"` (RFC 8288 section 3); what is malformed ends the list.
private func alternates(_ value: String) -> [String] {
    var targets: [String] = []
    var scanner = FieldScanner(value)
    while true {
        scanner.skipWhitespace()
        while scanner.take(Bytes.comma) { scanner.skipWhitespace() }
        guard scanner.take(0x3C), let range = try? scanner.takeElement(until: 0x3E), scanner.take(0x3E) else {
            return targets
        }
        var isAlternate = false
        scanner.skipWhitespace()
        while scanner.take(Bytes.semicolon) {
            scanner.skipWhitespace()
            guard let name = scanner.token() else { continue }
            scanner.skipWhitespace()
            var text = ""
            if scanner.take(Bytes.equals) {
                scanner.skipWhitespace()
                guard let found = try? scanner.tokenOrQuotedString() else { return targets }
                text = found
            }
            scanner.skipWhitespace()
            if Bytes.lowercasedASCII(name) == "rel" {
                isAlternate = Bytes.lowercasedASCII(text).split(separator: " ").contains("alternate")
            }
        }
        if isAlternate { targets.append(scanner.text(range)) }
    }
}

/// Lines that are references: comments, blank lines and prose left out.
private func lines(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).map { String(decoding: trimmedBytes($0), as: UTF8.self) }.filter { line in
        guard !line.isEmpty, !line.hasPrefix("#"), !line.contains(" ") else { return false }
        let start = Bytes.lowercasedASCII(line.prefix(8))
        return line.hasPrefix("/") || line.hasPrefix("./") || line.hasPrefix("../") || line.hasPrefix("?")
            || ["ws://", "wss://", "http://", "https://"].contains { start.hasPrefix($0) }
    }
}

private func trimmedBytes(_ text: Substring) -> [UInt8] {
    Array(text.utf8).withUnsafeBytes { Array(Bytes.trimmed($0)) }
}

/// The values of quoted `href` attributes, with `&amp;` resolved; in linear time, and no HTML parser.
private func hrefs(_ text: String) -> [String] {
    let bytes = Array(text.utf8)
    let attribute = Array("href".utf8)
    var found: [String] = []
    var index = 0
    while index + attribute.count < bytes.count, found.count < maximumChoices {
        guard bytes[index..<(index + attribute.count)].elementsEqual(attribute, by: { Bytes.lowercased($0) == $1 })
        else {
            index += 1
            continue
        }
        index += attribute.count
        func skipSpace() {
            while index < bytes.count, bytes[index] <= Bytes.space { index += 1 }
        }
        skipSpace()
        guard index < bytes.count, bytes[index] == Bytes.equals else { continue }
        index += 1
        skipSpace()
        guard index < bytes.count, bytes[index] == Bytes.quote || bytes[index] == 0x27 else { continue }
        let quote = bytes[index]
        guard let end = bytes[(index + 1)...].firstIndex(of: quote) else { return found }
        found.append(String(decoding: bytes[(index + 1)..<end], as: UTF8.self).replacing("&amp;", with: "&"))
        index = end + 1
    }
    return found
}
