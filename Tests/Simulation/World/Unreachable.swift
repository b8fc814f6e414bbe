// Cells that no run can visit, each with the reason. A cell in none of these lists has to be visited; one that is listed
// must not be.

enum Unreachable {
    /// Cells of one table, with the reason.
    struct Entry: Sendable {
        let table: String
        /// All rows, or all columns, where there are none.
        var rows: [String] = []
        var columns: [String] = []
        let reason: String

        func covers(_ cell: String) -> Bool {
            guard let colon = cell.firstRange(of: ": "), cell[..<colon.lowerBound] == self.table,
                let cross = cell.firstRange(of: " × ")
            else { return false }
            let row = String(cell[colon.upperBound..<cross.lowerBound])
            let column = String(cell[cross.upperBound...])
            return (self.rows.isEmpty || self.rows.contains(row))
                && (self.columns.isEmpty || self.columns.contains(column))
        }
    }

    static let entries: [Entry] = []

    static func reason(of cell: String) -> String? { self.entries.first { $0.covers(cell) }?.reason }
}
