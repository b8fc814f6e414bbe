import Foundation
import Testing

@testable import ExamplePages

@Suite("Files below a directory")
struct StaticFilesTests {
    @Test("no target leads out of it")
    func paths() throws {
        let directory = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
            .appendingPathComponent("files-\(ProcessInfo.processInfo.processIdentifier)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let link = directory.appendingPathComponent("link")
        try FileManager.default.createSymbolicLink(at: link, withDestinationURL: URL(fileURLWithPath: "/etc"))
        let files = StaticFiles(below: directory.path)
        for target in [
            "/../etc/passwd", "/%2e%2e/etc/passwd", "/a/..%2f..%2fetc/passwd", "/.git/config", "/a%00.txt",
            "/link/passwd", "/%ff",
        ] {
            #expect(files.path(of: target) == nil, "\(target)")
        }
        #expect(files.path(of: "/") == directory.path + "/index.html")
        #expect(files.path(of: "/a//b%20c.txt?x=../y") == directory.path + "/a/b c.txt")
    }
}
