#if Metrics
    // Meters, timers and counters, made once for each set of dimensions: a backend may take a lock and memory for each.

    import CoreMetrics
    import KHPProtocol
    import Synchronization

    /// The instruments of one role at one backend.
    final class Instruments: Sendable {
        private struct Key: Hashable {
            var label: String
            var dimensions: [String]
        }

        private struct Kept {
            var timers: [Key: Timer] = [:]
            var meters: [Key: Meter] = [:]
            var counters: [Key: Counter] = [:]
        }

        private let factory: any MetricsFactory
        private let kept = Mutex(Kept())

        init(_ factory: any MetricsFactory) {
            self.factory = factory
        }

        private static func key(_ label: String, _ dimensions: [(String, String)]) -> Key {
            Key(label: label, dimensions: dimensions.flatMap { [$0.0, $0.1] })
        }

        func timer(_ label: String, _ dimensions: [(String, String)]) -> Timer {
            self.make(\.timers, label, dimensions) {
                Timer(label: label, dimensions: dimensions, factory: self.factory)
            }
        }

        func meter(_ label: String, _ dimensions: [(String, String)]) -> Meter {
            self.make(\.meters, label, dimensions) {
                Meter(label: label, dimensions: dimensions, factory: self.factory)
            }
        }

        func counter(_ label: String, _ dimensions: [(String, String)]) -> Counter {
            self.make(\.counters, label, dimensions) {
                Counter(label: label, dimensions: dimensions, factory: self.factory)
            }
        }

        /// The one of these dimensions, made where there is none yet.
        private func make<Made: Sendable>(
            _ place: WritableKeyPath<Kept, [Key: Made]>,
            _ label: String,
            _ dimensions: [(String, String)],
            _ create: () -> Made
        ) -> Made {
            self.kept.withLock { kept in
                let key = Self.key(label, dimensions)
                if let made = kept[keyPath: place][key] { return made }
                let made = create()
                kept[keyPath: place][key] = made
                return made
            }
        }
    }

    extension Instruments {
        /// Counts a message, or a piece of one; the first piece stands for the message.
        func count(_ frame: FrameInfo, _ direction: String, _ role: String) {
            guard frame.kind == .text || frame.kind == .binary || frame.kind == .continuation else { return }
            let dimensions = [("network.io.direction", direction)]
            if frame.kind != .continuation { self.counter("websocket.\(role).messages", dimensions).increment() }
            self.counter("websocket.\(role).io", dimensions).increment(by: frame.bytes)
        }
    }

    extension Timer {
        func record(since start: ContinuousClock.Instant?) {
            guard let start else { return }
            let (seconds, attoseconds) = start.duration(to: .now).components
            self.recordNanoseconds(seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
        }
    }

    /// Dimensions with few values, whatever a peer sends: a backend keeps each value for ever.
    enum Dimension {
        /// A close code: those that are registered each by itself, the others by their range.
        static func closeCode(_ code: WebSocketCloseCode?) -> String {
            guard let code = code?.rawValue else { return "none" }
            switch code {
            case 1000...1015: return "\(code)"
            case 3000...3999: return "3xxx"
            case 4000...4999: return "4xxx"
            default: return "other"
            }
        }

        /// The method of a request's head: each that HTTP and PATCH's RFC 5789 define by itself, as OpenTelemetry has them.
        static func method(_ head: String) -> String {
            let method = head.prefix { $0 != " " }
            return Self.methods.contains(method) ? String(method) : "_OTHER"
        }

        private static let methods: Set<Substring> = [
            "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
        ]

        /// How often a handshake has asked: the first three times each by itself.
        static func round(_ round: Int) -> String { round > 3 ? "more" : "\(round)" }

        /// The code of what has ended a socket; `none` for an end in good order.
        static func error(_ info: CloseInfo) -> String { info.error.map { "\($0.code)" } ?? "none" }

        /// A status: each of the classes that HTTP knows by itself, others together.
        static func status(_ status: Int) -> String {
            (100...599).contains(status) ? "\(status)" : "other"
        }
    }
#endif
