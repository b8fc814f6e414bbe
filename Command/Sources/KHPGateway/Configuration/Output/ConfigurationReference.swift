// The reference of the configuration as a page, made of the table of keys: it cannot fall behind them.

package enum ConfigurationReference {
    /// Documentation/swift-khp.docc/GatewayConfiguration.md
    package static var page: String {
        let rows = GatewaySchema.root.rows("", FileDraft())
        var text = self.introduction
        for (name, title, words) in self.sections {
            let own = rows.filter { row in
                let first = row.path.split(separator: ".").first.map(String.init) ?? ""
                return name.isEmpty ? self.isTop(row) : first == name && !self.isRule(row, rows)
            }
            text += "\n### \(title)\n\n\(words)\n\n| key | type | default | reload | meaning |\n|---|---|---|---|---|\n"
            for row in own where name.isEmpty || row.path != name { text += self.line(row) }
        }
        return text
    }

    /// True for a key of the file itself, in no group.
    private static func isTop(_ row: SchemaRow) -> Bool { !row.path.contains(".") }

    /// A key of a service that stands among the defaults already.
    private static func isRule(_ row: SchemaRow, _ rows: [SchemaRow]) -> Bool {
        let prefix = "services.NAME."
        guard row.path.hasPrefix(prefix) else { return false }
        let key = "defaults." + row.path.dropFirst(prefix.count)
        return rows.contains { $0.path == key }
    }

    private static func line(_ row: SchemaRow) -> String {
        let usual = row.isRequired ? "needed" : row.usual.isEmpty ? "–" : "`\(row.usual)`"
        let reload = row.reload.map(\.rawValue) ?? "–"
        return "| `\(row.path)` | \(row.type) | \(usual) | \(reload) | \(row.meaning) |\n"
    }

    private static let sections = [
        ("", "The file", "Unknown keys are errors. The order of keys means nothing."),
        ("listeners", "Listeners", "Each has a name of letters, digits, `-` and `_`, as all below."),
        ("admin", "The admin address", "Without it there are no health checks, metrics and verbs."),
        ("log", "The log", "On standard error."),
        ("realms", "Realms", "A service without one lets everybody in; `--check` warns where other hosts reach it."),
        ("pools", "Pools", "A broker, or several that are equal."),
        ("defaults", "Rules", "Keys of `defaults`, and of each service that wants them otherwise."),
        (
            "services", "Services",
            "Each has one of `pool`, `subprotocols`, `balance`, `redirect`, `type`; and the rules above."
        ),
        ("reload", "Reloads", "SIGHUP reads everything again."),
        ("shutdown", "The end", "SIGTERM and SIGINT."),
    ]

    private static let introduction = """
        # The gateway's configuration

        Every key of the file of `khp gateway`.

        ## Overview

        The file is YAML, read as text: `off`, `no`, `0777` and `22:30` mean what they say. `khp gateway --example` prints \
        one to begin with, `--check` tells every mistake with its line and column, `--print-config` prints what is in force.

        | value | is written |
        |---|---|
        | duration | `500ms`, `30s`, `5m`, `1h`, `2d`; never without a unit |
        | size | `512`, `64KiB`, `1MiB`, `10MB` |
        | rate | `500/s`, `100/m`, `10/h` |
        | address | `HOST:PORT`, `[V6]:PORT`, `unix:PATH` |
        | file | a path, relative to the folder of the configuration |
        | bytes | each character is one: `"\\x00"` to `"\\xff"` in double quotes |
        | list | `[a, b]`, or one value alone |
        | true or false | `true`, `false`, or `on`, `off` |

        `${NAME}` is a variable of the environment, `${NAME:-default}` does without it, `${file:PATH}` is the first line of a \
        file, `$${` the characters themselves. They stand inside of values, and can add no keys.

        The column reload tells when SIGHUP puts a changed value in force: *live* at once, *new sessions* for those that \
        begin afterwards, *restart* not before the gateway starts again. `NAME` is a name of your own.

        ## Keys

        """
}
