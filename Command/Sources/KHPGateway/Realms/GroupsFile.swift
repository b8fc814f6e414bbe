/// A file of roles: lines of `role: name name …`; empty lines and lines that begin with `#` do not count.
package struct GroupsFile: Sendable, Equatable {
    struct Remark: Equatable {
        var line: Int
        var sentence: String
    }

    /// The roles of each name.
    private(set) var roles: [String: Set<String>] = [:]
    /// Each name, with the line where it stands first.
    private(set) var names: [(name: String, line: Int)] = []
    /// All roles that somebody has.
    private(set) var all: Set<String> = []

    init() {}

    /// - Returns: the file, and every line that is none.
    static func read(_ text: String) -> (file: GroupsFile, wrong: [Remark]) {
        var file = GroupsFile()
        var wrong: [Remark] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (number, line) in zip(1..., lines) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let role = parts[0].split(whereSeparator: \.isWhitespace)
            guard parts.count == 2, role.count == 1 else {
                wrong.append(Remark(line: number, sentence: "the line is not `role: name name …`"))
                continue
            }
            let holders = parts[1].split(whereSeparator: \.isWhitespace).map(String.init)
            if !holders.isEmpty { file.all.insert(String(role[0])) }
            for name in holders {
                if file.roles[name] == nil { file.names.append((name, number)) }
                file.roles[name, default: []].insert(String(role[0]))
            }
        }
        return (file, wrong)
    }

    package func roles(of name: String) -> Set<String> { self.roles[name] ?? [] }

    package static func == (one: GroupsFile, other: GroupsFile) -> Bool { one.roles == other.roles }
}
