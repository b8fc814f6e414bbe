// A program with every product of the library but hummingbird's: `run.sh` looks at what it links, which is what the
// products bring.

import KHPClient
import KHPHTTP2
import KHPJSON
import KHPMetrics
import KHPNIOHTTP1
import KHPServer
import KHPTesting
import KHPTracing

@main struct Linkage {
    static func main() {
        print("links all products")
    }
}
