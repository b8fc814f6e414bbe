import Testing

@testable import Mutations

@Suite("Mutants of a source file")
struct MutatedSourceTests {
    private func mutated(_ source: String, dropped: Set<String> = []) -> MutatedSource {
        MutatedSource(path: "Sources/M/F.swift", source: source, firstNumber: 5, dropped: dropped)
    }

    @Test(arguments: [
        (
            "guard a < b else { return }",
            "guard (khpMutant(5) ? true : khpMutant(6) ? a <= b : a < b) else { return }"
        ),
        ("f(!a)", "f((khpMutant(5) ? a : !a))"),
        ("f(a ? 1 : 2)", "f((khpMutant(5) ? !(a) : a) ? 1 : 2)"),
        ("x += 1", "x += (khpMutant(5) ? 0 : 1)"),
        ("f(x - 1)", "f((khpMutant(5) ? x + 1 : khpMutant(6) ? x : x - 1))"),
        ("f(min(a, b))", "f((khpMutant(5) ? max(a, b) : min(a, b)))"),
        ("f(.seconds(10))", "f(.seconds((khpMutant(5) ? 10000 : 10)))"),
        ("let n = 16 * 1024", "let n = (khpMutant(5) ? (16 * 1024) * 2 : khpMutant(6) ? (16 * 1024) + 1 : 16 * 1024)"),
        ("if let a { f() }", "if !khpMutant(5), let a { f() }"),
        (
            "if case .a = b { f() }",
            "if (khpMutant(5) ? true : khpMutant(6) ? false : { if case .a = b { true } else { false } }()) { f() }"
        ),
        (
            "switch a { case 1: throw E() default: f() }",
            "switch a { case 1: if !khpMutant(5) { throw E() } default: f() }"
        ),
        // Where a function ends anyway, a bare return changes nothing.
        (
            "func f() { switch a { case 1: return default: g() } }",
            "func f() { switch a { case 1: return default: g() } }"
        ),
        (
            "func f() { switch a { case 1: return default: g() }; h() }",
            "func f() { switch a { case 1: if !khpMutant(5) { return } default: g() }; h() }"
        ),
        ("assert(a < b)", "assert(a < b)"),
        ("enum E: Int { case a = 3 }", "enum E: Int { case a = 3 }"),
    ])
    func rewrites(source: String, expected: String) {
        #expect(self.mutated(source).text == expected)
    }

    @Test func linesKeepTheirNumbers() {
        let source = "// One.\nfunc f() {\n    if a\n        && b\n    {\n        g()  // two\n    }\n}\n"
        let result = self.mutated(source)
        #expect(result.text.split(separator: "\n", omittingEmptySubsequences: false).count == 9)
        #expect(result.mutants.map(\.lines) == [3...4, 3...4, 3...4])
        #expect(result.text.contains("khpMutant(7) ? a || b : a\n        && b"))
    }

    @Test("a mutant that guards.txt writes has its own change, and a number that moves no other")
    func written() {
        let source = "struct S { func f() { g(.random, a < b) }; func h() { g(.random) } }"
        let result = MutatedSource(
            path: "Sources/M/F.swift",
            source: source,
            firstNumber: 5,
            dropped: [],
            written: [GuardTable.Written(place: "M/F.swift S.f()", before: ".random", after: "0")]
        )
        #expect(result.text.contains("g((khpMutant(100000) ? 0 : .random), (khpMutant(5) ? a <= b : a < b))"))
        #expect(result.text.contains("g(.random) }"))
        #expect(result.nextNumber == 6)
        #expect(result.nextWritten == 100_001)
        #expect(result.mutants.map(\.id) == ["M/F.swift S.f() boundary 1", "M/F.swift S.f() written 1"])
        #expect(result.mutants.map(\.isGuard) == [false, false])
    }

    @Test func namesStayAndDroppedOnesGo() {
        let source = "struct S { func f(_ a: Int, b: Int) -> Bool { a < b } }"
        let id = "M/F.swift S.f(_:b:) boundary 1"
        #expect(self.mutated(source).mutants.map(\.id) == [id])
        #expect(self.mutated(source, dropped: [id]).text == source)
    }
}
