// The seeds of fuzzing: the conversations and vectors of Specs, read when they are needed, so that no corpus has to be
// kept.

import Foundation
import HTTPTypes
import KHPProtocol
import KHPTesting
import NIOCore

struct Seeds {
    /// All transcripts by name, in order.
    let transcripts: [Transcript]
    /// Their texts.
    let texts: [[UInt8]]
    private let vectors: URL

    init() throws {
        let specifications = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../../Specs")
        self.vectors = specifications.appending(path: "vectors")
        let folder = specifications.appending(path: "transcripts")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".khp") }
        let read = try names.sorted().map { name in
            (name, try String(contentsOf: folder.appending(path: name), encoding: .utf8))
        }
        self.transcripts = try read.map { name, text in try Transcript(text, name: name) }
        self.texts = read.map { _, text in Array(text.utf8) }
    }

    /// The heads on the wire that one side says, and those in its messages.
    func heads(of role: Role) -> [[UInt8]] {
        var heads: [[UInt8]] = []
        for transcript in self.transcripts {
            for step in transcript.steps {
                guard case .does(role, let deed) = step.action else { continue }
                switch deed {
                case .opening(let bytes), .message(_, let bytes): heads.append(Array(bytes.readableBytesView))
                default: continue
                }
            }
        }
        return Self.unique(heads)
    }

    /// The values that fields of these names have, one to a line where a head has several.
    func values(of names: Set<String>, from role: Role) -> [[UInt8]] {
        var values: [[UInt8]] = []
        for head in self.heads(of: role) {
            let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
            let found = lines.compactMap { line -> String? in
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2, names.contains(parts[0].lowercased()) else { return nil }
                return String(parts[1].drop { $0 == " " })
            }
            if !found.isEmpty { values.append(Array(found.joined(separator: "\n").utf8)) }
        }
        return Self.unique(values)
    }

    /// The strings in a file of Specs/vectors whose key is one of these, as bytes.
    func hexadecimal(in file: String, keys: Set<String>) throws -> [[UInt8]] {
        let data = try Data(contentsOf: self.vectors.appending(path: file))
        var found: [[UInt8]] = []
        func walk(_ value: Any, isWanted: Bool) {
            switch value {
            case let text as String where isWanted:
                found.append(Self.bytes(text))
            case let list as [Any]:
                for item in list { walk(item, isWanted: isWanted) }
            case let object as [String: Any]:
                for (key, item) in object.sorted(by: { $0.key < $1.key }) { walk(item, isWanted: keys.contains(key)) }
            default: break
            }
        }
        walk(try JSONSerialization.jsonObject(with: data), isWanted: false)
        return Self.unique(found)
    }

    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.utf8.compactMap { UInt8(String(UnicodeScalar($0)), radix: 16) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func unique(_ seeds: [[UInt8]]) -> [[UInt8]] {
        var seen: Set<[UInt8]> = []
        return seeds.filter { seen.insert($0).inserted }
    }
}

extension [[UInt8]] {
    /// Each of them with each of these ends, which are its decisions, the first one last.
    func deciding(_ decisions: [[UInt8]]) -> [[UInt8]] {
        flatMap { seed in decisions.map { seed + $0.reversed() } }
    }
}
