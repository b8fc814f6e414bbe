@main
struct BenchMicro {
    static func main() {}
}
