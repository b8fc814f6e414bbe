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

        private struct Made {
            var timers: [Key: Timer] = [:]
            var meters: [Key: Meter] = [:]
            var counters: [Key: Counter] = [:]
        }

        private let factory: any MetricsFactory
        private let made = Mutex(Made())

        init(_ factory: any MetricsFactory) {
            self.factory = factory
        }

        private static func key(_ label: String, _ dimensions: [(String, String)]) -> Key {
            Key(label: label, dimensions: dimensions.flatMap { [$0.0, $0.1] })
        }

        func timer(_ label: String, _ dimensions: [(String, String)]) -> Timer {
            self.made.withLock {
                let key = Self.key(label, dimensions)
                if let timer = $0.timers[key] { return timer }
                let timer = Timer(label: label, dimensions: dimensions, factory: self.factory)
                $0.timers[key] = timer
                return timer
            }
        }

        func meter(_ label: String, _ dimensions: [(String, String)]) -> Meter {
            self.made.withLock {
                let key = Self.key(label, dimensions)
                if let meter = $0.meters[key] { return meter }
                let meter = Meter(label: label, dimensions: dimensions, factory: self.factory)
                $0.meters[key] = meter
                return meter
            }
        }

        func counter(_ label: String, _ dimensions: [(String, String)]) -> Counter {
            self.made.withLock {
                let key = Self.key(label, dimensions)
                if let counter = $0.counters[key] { return counter }
                let counter = Counter(label: label, dimensions: dimensions, factory: self.factory)
                $0.counters[key] = counter
                return counter
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

        /// A status: each of the classes that HTTP knows by itself, others together.
        static func status(_ status: Int) -> String {
            (100...599).contains(status) ? "\(status)" : "other"
        }
    }
#endif
