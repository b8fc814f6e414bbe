import HTTPTypes
import NIOCore

/// How many choices of a response are looked at.
let maximumChoices = 32

/// The references that a redirect offers, in order of preference: for ``RedirectTracker/follow``.
///
/// A 300 offers Location, then each Link of the relation `alternate`, then the list in its entity: `text/uri-list`,
/// `href` attributes of HTML, or plain lines that are references each. Everything else offers its Location. Bytes that
/// are no UTF-8 are kept as ``FieldText`` has them.
/// - Parameter url: where the response came from; several Location fields are one where they mean the same there (D32).
package func choices(of response: HandshakeResponse, at url: WebSocketURL? = nil) -> [String] {
    var references = locations(of: response, at: url)
    guard response.status == 300 else { return references }
    if let name = HTTPField.Name("Link") {
        for value in response.headers.texts(name) { references += alternates(value) }
    }
    let type = Bytes.lowercasedASCII(response.headers[.contentType] ?? "")
    let isHTML = type.hasPrefix("text/html") || type.hasPrefix("application/xhtml")
    references += response.body.withUnsafeReadableBytes { entity in
        isHTML || !type.hasPrefix("text/") && entity.contains(0x3C) ? hrefs(entity) : lines(entity)
    }
    var seen: Set<String> = []
    return Array(references.filter { seen.insert($0).inserted }.prefix(maximumChoices))
}

/// The values of Location that differ: as they are resolved, or as they are written where one of them cannot be.
private func locations(of response: HandshakeResponse, at url: WebSocketURL?) -> [String] {
    let values = response.headers.texts(.location)
    guard values.count > 1 else { return values }
    var seen: Set<String> = []
    return values.filter { value in
        seen.insert(url.flatMap { try? $0.resolving(value).loopKey } ?? value).inserted
    }
}

/// The targets of `Link: <target>; rel="alternate"` (RFC 8288 section 3). A malformed link ends the list.
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
private func lines(_ entity: UnsafeRawBufferPointer) -> [String] {
    var found: [String] = []
    for line in entity.split(whereSeparator: { $0 == Bytes.lineFeed || $0 == Bytes.carriageReturn }) {
        let line = Bytes.trimmed(UnsafeRawBufferPointer(rebasing: line))
        guard beginsReference(line), !line.contains(Bytes.space) else { continue }
        found.append(FieldText.string(line))
    }
    return found
}

/// True for a URL of ours and for a path: plain text begins with neither.
private func beginsReference(_ line: UnsafeRawBufferPointer) -> Bool {
    ["/", "./", "../", "?", "ws://", "wss://", "http://", "https://"].contains { start in
        line.count >= start.utf8.count && zip(line, start.utf8).allSatisfy { Bytes.lowercased($0) == $1 }
    }
}

/// The values of quoted `href` attributes, with `&amp;` resolved; in linear time, and no HTML parser.
private func hrefs(_ bytes: UnsafeRawBufferPointer) -> [String] {
    let attribute = Array("href".utf8)
    var found: [String] = []
    var index = 0
    while index + attribute.count < bytes.count, found.count < maximumChoices {
        guard Bytes.lowercased(bytes[index]) == attribute[0],
            bytes[index..<(index + attribute.count)].elementsEqual(attribute, by: { Bytes.lowercased($0) == $1 })
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
        found.append(unescaped(UnsafeRawBufferPointer(rebasing: bytes[(index + 1)..<end])))
        index = end + 1
    }
    return found
}

/// With `&amp;` resolved: the one escape that URLs need.
private func unescaped(_ value: UnsafeRawBufferPointer) -> String {
    let escape = Array("&amp;".utf8)
    var output: [UInt8] = []
    output.reserveCapacity(value.count)
    var index = 0
    while index < value.count {
        output.append(value[index])
        let isEscape = value[index] == escape[0] && value[index...].starts(with: escape)
        index += isEscape ? escape.count : 1
    }
    return output.withUnsafeBytes { FieldText.string($0) }
}
