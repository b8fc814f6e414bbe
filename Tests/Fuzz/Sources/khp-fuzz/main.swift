// One program for all targets:
//
//     khp-fuzz list                           their names
//     khp-fuzz seeds TARGET FOLDER            writes what to begin with, from Specs
//     khp-fuzz TARGET [libFuzzer's options]   fuzzes, or repeats an input whose file is named

import Foundation

/// libFuzzer's own main, for programs that have one.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The target of the callback, which can capture nothing. Set once, before any input.
nonisolated(unsafe) private var selected = FuzzTarget.all[0]

private func usage() -> Never {
    FileHandle.standardError.write(Data("usage: khp-fuzz list | seeds TARGET FOLDER | TARGET [options]\n".utf8))
    exit(2)
}

private func target(_ name: String) -> FuzzTarget {
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else { usage() }
    return target
}

let words = CommandLine.arguments.dropFirst()
switch words.first {
case nil: usage()
case "list":
    for target in FuzzTarget.all { print(target.name) }
case "seeds":
    guard words.count == 3, let name = words.dropFirst().first, let folder = words.last else { usage() }
    let seeds = try target(name).seeds(Seeds())
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (index, seed) in seeds.enumerated() {
        try Data(seed).write(to: URL(filePath: folder).appending(path: "seed-\(index)"))
    }
case let name?:
    selected = target(name)
    // The target makes the values of its first run before libFuzzer looks at the time.
    selected.run(FuzzInput(UnsafeBufferPointer(start: nil, count: 0)))
    // The target's name is not for libFuzzer; the place of the program's is.
    var count = CommandLine.argc - 1
    var arguments = CommandLine.unsafeArgv + 1
    exit(
        runDriver(&count, &arguments) { bytes, count in
            selected.run(FuzzInput(UnsafeBufferPointer(start: bytes, count: count)))
            return 0
        }
    )
}
