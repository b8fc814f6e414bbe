// One blocking TCP connection. Whatever goes wrong ends the program: a benchmark of errors is none.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

final class Connection {
    private let descriptor: CInt
    /// The bytes that a stream has brought and nobody has asked for yet, from `start` to `end`.
    private var stream = (bytes: [UInt8](), start: 0, end: 0)
    /// Bytes received and not yet asked for.
    private var received: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 4096)

    init(port: UInt16) {
        #if canImport(Glibc)
            let stream = CInt(SOCK_STREAM.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
        self.descriptor = socket(AF_INET, stream, 0)
        var one: CInt = 1
        setsockopt(self.descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        // A server that does not answer must not hang the measurement.
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafeBytes(of: &address) { bytes in
            connect(
                self.descriptor,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_in>.size)
            )
        }
        if result != 0 { self.fail("cannot connect") }
    }

    private func fail(_ what: String) -> Never {
        BenchLoad.fail("bench-load: \(what): \(String(cString: strerror(errno)))\n")
    }

    func close() {
        #if canImport(Glibc)
            _ = Glibc.close(self.descriptor)
        #elseif canImport(Musl)
            _ = Musl.close(self.descriptor)
        #elseif canImport(Android)
            _ = Android.close(self.descriptor)
        #elseif canImport(Darwin)
            _ = Darwin.close(self.descriptor)
        #endif
    }

    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = write(self.descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count <= 0 { self.fail("cannot send") }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Receives exactly these bytes.
    func expect(_ bytes: [UInt8]) {
        if self.chunk.count < bytes.count { self.chunk = [UInt8](repeating: 0, count: bytes.count) }
        let isSame = self.chunk.withUnsafeMutableBytes { chunk in
            guard let start = chunk.baseAddress else { return bytes.isEmpty }
            var count = 0
            while count < bytes.count {
                let more = recv(self.descriptor, start + count, bytes.count - count, 0)
                if more <= 0 { self.fail("cannot receive") }
                count += more
            }
            return bytes.withUnsafeBytes { bytes in bytes.baseAddress.map { memcmp($0, start, bytes.count) } == 0 }
        }
        if !isSame { BenchLoad.fail("bench-load: something else came back\n") }
    }

    /// Receives exactly these bytes as the payload of frames of any size, as a relay sends what it reads. Pings are answered.
    func expectStream(_ bytes: [UInt8]) {
        var position = 0
        while position < bytes.count {
            self.receiveStream(2)
            let second = Int(self.stream.bytes[self.stream.start + 1])
            let size = second == 126 ? 4 : second == 127 ? 10 : 2
            self.receiveStream(size)
            let opcode = self.stream.bytes[self.stream.start] & 0x0F
            let extended = self.stream.bytes[(self.stream.start + 2)..<(self.stream.start + size)]
            var rest = size == 2 ? second : extended.reduce(0) { $0 << 8 | Int($1) }
            self.stream.start += size
            if opcode >= 8 {
                self.receiveStream(rest)
                let payload = Array(self.stream.bytes[self.stream.start..<(self.stream.start + rest)])
                self.stream.start += rest
                if opcode != 9 { BenchLoad.fail("bench-load: the connection is closed\n") }
                self.send(Frame.client(payload, first: 0x8A))
                continue
            }
            while rest > 0 {
                self.receiveStream(1)
                let count = min(rest, self.stream.end - self.stream.start)
                let isSame =
                    position + count <= bytes.count
                    && bytes.withUnsafeBytes { bytes in
                        self.stream.bytes.withUnsafeBytes { stream in
                            guard let expected = bytes.baseAddress, let seen = stream.baseAddress else { return false }
                            return memcmp(expected + position, seen + self.stream.start, count) == 0
                        }
                    }
                if !isSame { BenchLoad.fail("bench-load: something else came back\n") }
                self.stream.start += count
                position += count
                rest -= count
            }
        }
    }

    /// Receives until so many bytes are there.
    private func receiveStream(_ count: Int) {
        if self.stream.bytes.isEmpty { self.stream.bytes = [UInt8](repeating: 0, count: 1 << 18) }
        while self.stream.end - self.stream.start < count {
            if self.stream.bytes.count - self.stream.end < 1 << 16 {
                let rest = Array(self.stream.bytes[self.stream.start..<self.stream.end])
                self.stream.bytes.replaceSubrange(0..<rest.count, with: rest)
                self.stream = (self.stream.bytes, 0, rest.count)
            }
            let end = self.stream.end
            let more = self.stream.bytes.withUnsafeMutableBytes { bytes in
                bytes.baseAddress.map { recv(self.descriptor, $0 + end, bytes.count - end, 0) } ?? -1
            }
            if more <= 0 { self.fail("cannot receive") }
            self.stream.end += more
        }
    }

    /// Receives the 101 of the opening handshake.
    func expectOpening() {
        self.receive { received in received.suffix(4) == [13, 10, 13, 10] }
        if !self.received.starts(with: "HTTP/1.1 101 ".utf8) || self.received.firstRange(of: Opening.accept) == nil {
            BenchLoad.fail("bench-load: no 101: \(String(decoding: self.received, as: UTF8.self))\n")
        }
        self.received = []
    }

    /// Receives the frame with the 101 of the extended handshake.
    func expectExtendedAnswer() {
        let answer = self.receiveFrame(compressed: false)
        if !answer.starts(with: "HTTP/1.1 101 ".utf8) {
            BenchLoad.fail("bench-load: no extended 101: \(String(decoding: answer, as: UTF8.self))\n")
        }
    }

    /// Receives a whole message in one frame, and nothing behind it.
    /// - Returns: its payload.
    func receiveFrame(compressed: Bool) -> ArraySlice<UInt8> {
        let payload = self.receive { bytes in
            guard bytes.count >= 2 else { return nil }
            let (size, length): (Int, Int)
            switch bytes[1] {
            case 126: (size, length) = (4, Self.number(bytes[2...].prefix(2)))
            case 127: (size, length) = (10, Self.number(bytes[2...].prefix(8)))
            default: (size, length) = (2, Int(bytes[1]))
            }
            return bytes.count >= size ? size..<(size + length) : nil
        }
        let bits = self.received[0] & 0xF0
        if bits != (compressed ? 0xC0 : 0x80) { BenchLoad.fail("bench-load: a frame with the bits \(bits)\n") }
        return payload
    }

    /// Receives what `bench-server tcp-deflate` answers.
    func receiveRaw() -> ArraySlice<UInt8> {
        self.receive { bytes in bytes.count >= 4 ? 4..<(4 + Self.number(bytes.prefix(4)) & 0x7FFF_FFFF) : nil }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    /// Receives until the range is there that `body` finds, and nothing more.
    private func receive(_ body: ([UInt8]) -> Range<Int>?) -> ArraySlice<UInt8> {
        self.received = []
        self.receive { bytes in body(bytes).map { bytes.count >= $0.upperBound } ?? false }
        guard let range = body(self.received), range.upperBound == self.received.count else {
            BenchLoad.fail("bench-load: more came than was expected\n")
        }
        return self.received[range]
    }

    private func receive(until isComplete: ([UInt8]) -> Bool) {
        while !isComplete(self.received) {
            let count = self.chunk.withUnsafeMutableBytes { recv(self.descriptor, $0.baseAddress, $0.count, 0) }
            if count <= 0 { self.fail("cannot receive") }
            self.received += self.chunk.prefix(count)
        }
    }
}
