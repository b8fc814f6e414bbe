import ArgumentParser

/// The files that a conversation is saved to.
struct FileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Save the conversation in the format of Specs/transcripts, credentials hidden.",
            valueName: "file"
        )
    )
    var saveTranscript: String?

    @Option(
        help: ArgumentHelp(
            "Draw the conversation as a sequence diagram, credentials hidden: SVG or HTML, by the name's end.",
            valueName: "file"
        )
    )
    var saveLadder: String?

    @Option(
        help: ArgumentHelp(
            "Record the bytes above TLS of every connection, for Wireshark and tcpdump. Credentials and messages stand "
                + "there in clear: the file is readable by its owner alone.",
            valueName: "file"
        )
    )
    var pcap: String?
}
