// Draws the tables of a benchmark's output: `bench-plot FOLDER ORIGIN <TABLES.md` writes an SVG for each into the folder.

import Foundation

@main
enum Main {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count == 2, let folder = arguments.first, let origin = arguments.last else {
            FileHandle.standardError.write(Data("usage: bench-plot FOLDER ORIGIN <TABLES.md\n".utf8))
            exit(64)
        }
        let text = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
        let tables = Table.all(in: text)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for table in tables {
            let file = URL(filePath: folder).appending(path: self.fileName(table.title))
            try Plot.svg(table, origin: origin).write(to: file, atomically: true, encoding: .utf8)
            print(file.relativePath)
        }
        guard !tables.isEmpty else {
            FileHandle.standardError.write(Data("bench-plot: no table has programs side by side\n".utf8))
            exit(65)
        }
    }

    /// `Instructions per operation` is `plot-instructions-per-operation.svg`.
    static func fileName(_ title: String) -> String {
        let words = title.lowercased().split { !$0.isLetter && !$0.isNumber }
        return "plot-\(words.joined(separator: "-")).svg"
    }
}
