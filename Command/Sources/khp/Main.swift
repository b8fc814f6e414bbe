// The program `khp`. All that it does is in KHPCommand, where tests reach it without a process.

import KHPCommand

@main
enum Main {
    static func main() async {
        await Program.main()
    }
}
