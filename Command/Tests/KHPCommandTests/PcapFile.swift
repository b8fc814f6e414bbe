import Foundation

/// The packets of a file in the format of libpcap, read with nothing but the format's description: what `--pcap` writes
/// is judged by it.
struct PcapFile {
    struct Malformed: Error { var reason: String }

    struct Packet {
        var source: String
        var target: String
        var sequence: UInt32
        var isSynchronizing = false
        var isFinal = false
        var payload: [UInt8]
    }

    /// One direction of a connection: what was sent, put together by its sequence numbers.
    struct Stream {
        var source: String
        var target: String
        var bytes: [UInt8]
        var begins: Bool
        var ends: Bool

        var text: String { String(decoding: self.bytes, as: UTF8.self) }
    }

    private(set) var packets: [Packet] = []

    init(path: String) throws {
        var rest = try Data(contentsOf: URL(fileURLWithPath: path))[...]
        func take(_ count: Int) throws -> [UInt8] {
            guard rest.count >= count else { throw Malformed(reason: "\(count) bytes are missing at the end") }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        // The file's header: magic number, version 2.4, zone, accuracy, longest packet, and link type 0, which is four
        // bytes of address family before each packet. All in the order of the machine that wrote it.
        let header = try take(24)
        guard Self.host(header[0..<4]) == 0xA1B2_C3D4, Self.host(header[20..<24]) == 0 else {
            throw Malformed(reason: "the header is not of a capture without a link layer")
        }
        while !rest.isEmpty {
            let record = try take(16)
            guard Self.host(record[8..<12]) == Self.host(record[12..<16]) else {
                throw Malformed(reason: "a packet is cut")
            }
            self.packets.append(try Self.packet(try take(Int(Self.host(record[8..<12])))))
        }
    }

    /// The directions of all connections, in the order in which they began.
    func streams() throws -> [Stream] {
        var streams: [Stream] = []
        var next: [UInt32] = []
        for packet in self.packets {
            let place = streams.lastIndex { $0.source == packet.source && $0.target == packet.target && !$0.ends }
            guard let place, !packet.isSynchronizing else {
                // An acknowledgement of an end is nobody's beginning.
                guard packet.isSynchronizing || !packet.payload.isEmpty else { continue }
                streams.append(
                    Stream(
                        source: packet.source,
                        target: packet.target,
                        bytes: packet.payload,
                        begins: packet.isSynchronizing,
                        ends: packet.isFinal
                    )
                )
                next.append(packet.sequence &+ UInt32(packet.payload.count) &+ (packet.isSynchronizing ? 1 : 0))
                continue
            }
            guard packet.sequence == next[place] else {
                throw Malformed(reason: "\(packet.source) goes on at \(packet.sequence), not at \(next[place])")
            }
            streams[place].bytes += packet.payload
            streams[place].ends = packet.isFinal
            next[place] &+= UInt32(packet.payload.count)
        }
        return streams
    }

    private static func host(_ bytes: some Collection<UInt8>) -> UInt32 {
        UInt32(littleEndian: bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) })
    }

    private static func number(_ bytes: some Collection<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

    private static func packet(_ bytes: [UInt8]) throws -> Packet {
        let family = host(bytes[0..<4])
        let isVersion4 = family == 2
        guard isVersion4 || family == 24, bytes.count >= 4 + (isVersion4 ? 20 : 40) + 20 else {
            throw Malformed(reason: "a packet of family \(family)")
        }
        let start = isVersion4 ? 24 : 44
        let length = isVersion4 ? Int(number(bytes[6..<8])) : Int(number(bytes[8..<10])) + 40
        guard bytes[4] >> 4 == (isVersion4 ? 4 : 6), bytes[isVersion4 ? 13 : 10] == 6, length == bytes.count - 4 else {
            throw Malformed(reason: "no TCP, or a wrong length")
        }
        let addresses =
            isVersion4
            ? [bytes[16..<20], bytes[20..<24]].map { $0.map(String.init).joined(separator: ".") }
            : [bytes[12..<28], bytes[28..<44]].map { $0.map { String($0, radix: 16) }.joined(separator: ":") }
        let header = bytes[start..<(start + 20)]
        let tcp = Array(header)
        return Packet(
            source: "\(addresses[0]):\(number(tcp[0..<2]))",
            target: "\(addresses[1]):\(number(tcp[2..<4]))",
            sequence: number(tcp[4..<8]),
            isSynchronizing: tcp[13] & 0x02 != 0,
            isFinal: tcp[13] & 0x01 != 0,
            payload: Array(bytes[(start + Int(tcp[12] >> 4) * 4)...])
        )
    }
}
