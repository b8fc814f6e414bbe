import ArgumentParser
@main struct Khp: ParsableCommand { }
