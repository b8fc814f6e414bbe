// The table that `Benchmarks/run.sh growth` has written, held to the bounds that its rows have.

import Foundation

extension GrowthRow {
    /// Compares the rows of a module with those of `Benchmarks/growth.md`.
    /// - Returns: each row that is missing, grows faster than its input, or takes too long.
    static func faults(of rows: [GrowthRow], module: String) throws -> [String] {
        // From the real file: some modules reach this one by a link.
        var folder = URL(filePath: #filePath).resolvingSymlinksInPath()
        while folder.lastPathComponent != "Tests" { folder.deleteLastPathComponent() }
        let file = folder.appending(path: "../Benchmarks/growth.md")
        return self.faults(of: rows, in: try String(contentsOf: file, encoding: .utf8), module: module)
    }

    static func faults(of rows: [GrowthRow], in text: String, module: String) -> [String] {
        let sections = text.components(separatedBy: "## What ")
        let section = sections.first { $0.hasPrefix(module + " ") } ?? ""
        let table = section.split(separator: "\n").compactMap { line -> (name: String, cells: [Double])? in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            let numbers = cells.dropFirst().prefix(5).compactMap { Double($0) }
            return numbers.count == 5 ? (cells[0], numbers) : nil
        }
        guard table.map(\.name) == rows.map(\.name) else {
            let (written, known) = (Set(table.map(\.name)), Set(rows.map(\.name)))
            let missing = known.subtracting(written).sorted(), gone = written.subtracting(known).sorted()
            return ["run Benchmarks/run.sh growth: missing \(missing), gone \(gone), or in another order"]
        }
        return zip(rows, table).flatMap { row, line -> [String] in
            // Limit, instructions at a quarter and at the limit, their ratio, milliseconds.
            let (limit, large, ratio, time) = (line.cells[0], line.cells[2], line.cells[3], line.cells[4])
            var faults: [String] = []
            if Int(limit) != row.limit {
                faults.append("\(row.name): \(Int(limit)) bytes, and the row has \(row.limit)")
            }
            // Below some thousands of instructions there is nothing to compare.
            if ratio > Self.ratio, large > 20_000 { faults.append("\(row.name): \(ratio) times the work") }
            if ratio < 2, row.bound == nil { faults.append("\(row.name): \(ratio) times the work, and no bound") }
            if time >= Self.milliseconds { faults.append("\(row.name): \(time) ms") }
            return faults
        }
    }
}
