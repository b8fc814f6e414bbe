#if Tracing
    // Trace context in the heads of requests.

    import HTTPTypes
    import Instrumentation

    /// Reads the fields of a head that an event shows.
    struct HeadExtractor: Extractor {
        func extract(key: String, from head: String) -> String? {
            for line in head.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).dropFirst() {
                guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == key.lowercased() else {
                    continue
                }
                return line[line.index(after: colon)...].trimmingBlanks()
            }
            return nil
        }
    }

    /// Writes fields of a request.
    struct FieldsInjector: Injector {
        func inject(_ value: String, forKey key: String, into fields: inout HTTPFields) {
            guard let name = HTTPField.Name(key), HTTPField.isValidValue(value) else { return }
            fields[name] = value
        }
    }

    /// The parts of the first line of a request.
    struct RequestLine {
        var method: Substring = ""
        /// Without the query, which may hold secrets.
        var path: Substring = ""

        init(_ head: String) {
            let parts = head.prefix { !$0.isNewline }.split(separator: " ")
            guard parts.count > 1 else { return }
            self.method = parts[0]
            self.path = parts[1].prefix { $0 != "?" }
        }
    }

    extension Substring {
        fileprivate func trimmingBlanks() -> String {
            var text = self
            while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
            while let last = text.last, last == " " || last == "\t" { text.removeLast() }
            return String(text)
        }
    }
#endif
