/// The whole command, from what was typed to the exit status.
public enum Program {
    /// Runs the command with the arguments of this process, and ends the process.
    public static func main() async {
        await Khp.main()
    }
}
