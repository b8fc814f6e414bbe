// Endpoint paths with parameters: matching, order, and sets of paths that make no sense together.

import KHPProtocol
import Testing

@Suite struct EndpointPatternTests {
    private static func set(_ paths: [String]) throws -> EndpointSet {
        try EndpointSet(
            try paths.enumerated().map {
                try EndpointConfiguration(EndpointConfiguration.Values(path: $0.element), index: $0.offset)
            }
        )
    }

    @Test(
        "the more exact endpoint serves a path",
        arguments: [
            ("/rooms", "/rooms"), ("/rooms/7", "/rooms/{id}"), ("/rooms/all", "/rooms/all"),
            ("/rooms/7/log", "/rooms/{id}/log"), ("/rooms/", "/{path...}"), ("/rooms/7/", "/{path...}"),
            ("/files/a", "/files/{path...}"), ("/files/a/b", "/files/{path...}"), ("/files/", "/files/{path...}"),
            ("/files", "/{path...}"), ("/", "/{path...}"), ("/a//b", "/{path...}"), ("/rooms/a%2Fb", "/rooms/{id}"),
        ]
    )
    func choosesTheMoreExact(path: String, expected: String) throws {
        let paths = [
            "/{path...}", "/files/{path...}", "/rooms/{id}", "/rooms", "/rooms/all", "/rooms/{id}/log",
        ]
        for list in [paths, paths.reversed()] {
            #expect(try Self.set(list).match(path)?.endpoint.values.path == expected)
        }
    }

    @Test(
        "parameters are decoded behind the cut into segments",
        arguments: [
            ("/rooms/{id}", "/rooms/7", ["id": "7"]), ("/rooms/{id}", "/rooms/a%2Fb", ["id": "a/b"]),
            ("/rooms/{id}", "/rooms/gr%C3%BCn", ["id": "grün"]), ("/f/{path...}", "/f/a/b%20c", ["path": "a/b c"]),
            ("/f/{path...}", "/f/", ["path": ""]), ("/{a}/x/{b}", "/1/x/2", ["a": "1", "b": "2"]),
        ]
    )
    func parameters(pattern: String, path: String, expected: [String: String]) throws {
        let match = try #require(try Self.set([pattern]).match(path))
        for (name, value) in expected { #expect(match.parameters[name] == value) }
        #expect(match.parameters["other"] == nil)
    }

    @Test("a parameter that is no UTF-8 is 400", arguments: ["/rooms/%FF", "/rooms/%", "/rooms/%4", "/rooms/%zz"])
    func malformed(path: String) throws {
        let set = try Self.set(["/rooms/{id}"])
        #expect { try set.match(path) } throws: { ($0 as? Refusal)?.status == 400 }
    }

    @Test(
        "paths that make no sense",
        arguments: [
            ["rooms"], [""], ["/{"], ["/a{b}"], ["/{}"], ["/{...}"], ["/{a b}"], ["/{a...}/b"], ["/{a}/{a}"],
            ["/x", "/x"],
            ["/{a}", "/{b}"], ["/a/{x}", "/{y}/b"], ["/{a...}", "/{b...}"], ["/a/{x}/c", "/a/{y}/c"],
        ]
    )
    func invalid(paths: [String]) {
        #expect { try Self.set(paths) } throws: { ($0 as? WebSocketError)?.code == .invalidArgument }
    }

    @Test(
        "paths that are different enough",
        arguments: [
            ["/a/{x}", "/b/{x}"], ["/{x}", "/{x}/{y}"], ["/{x}/a", "/{y}/b"], ["/a/{x}", "/{y...}"], ["/{x}", "/a"],
        ]
    )
    func valid(paths: [String]) throws { _ = try Self.set(paths) }

    @Test("typed parameters")
    func typed() throws {
        var parameters = PathParameters()
        parameters.append("id", "12")
        parameters.append("name", "x")
        #expect(try parameters.require("id", as: Int.self) == 12)
        #expect(try parameters.require("name") == "x")
        for name in ["name", "missing"] {
            #expect { try parameters.require(name, as: Int.self) } throws: {
                ($0 as? HandshakeResponse)?.status == 400
            }
        }
    }
}
