// Draws the tables of a benchmark's output: `bench-plot FOLDER [ORIGIN] <TABLES.md` writes an SVG for each into the folder.
// Without an origin the text has to say where its tables come from.

import Foundation

@main
enum Main {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard (1...2).contains(arguments.count), let folder = arguments.first else {
            FileHandle.standardError.write(Data("usage: bench-plot FOLDER [ORIGIN] <TABLES.md\n".utf8))
            exit(64)
        }
        let text = String(decoding: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self)
        let tables = Table.all(in: text)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for table in tables {
            let file = URL(filePath: folder).appending(path: self.fileName(table.title))
            let origin = arguments.count == 2 ? arguments[2] : table.origin
            guard !origin.isEmpty else {
                FileHandle.standardError.write(Data("bench-plot: no origin of '\(table.title)'\n".utf8))
                exit(65)
            }
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
        let words = title.lowercased().replacing("µs", with: "microseconds").split { !$0.isLetter && !$0.isNumber }
        return "plot-\(words.joined(separator: "-")).svg"
    }
}
