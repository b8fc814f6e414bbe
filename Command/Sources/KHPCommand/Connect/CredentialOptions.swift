import ArgumentParser

/// The options on credentials.
struct CredentialOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Credentials for challenges of the URL's origin, as in ws://NAME:PASSWORD@HOST. Without a password: that of "
                + "--netrc, else KHP_PASSWORD, else a prompt.",
            valueName: "name[:password]"
        )
    )
    var user: LoginArgument?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("A token for Bearer and Token challenges of the URL's origin.", valueName: "token")
    )
    var token: String?

    @Option(help: ArgumentHelp("Credentials by host, in the format of ~/.netrc.", valueName: "file"))
    var netrc: String?
}
