// One function reads and checks a configuration, for the start, for --check and for a reload: what one takes the others
// take as well.

/// The result of reading a configuration's file.
package struct ConfigurationReading: Sendable {
    /// With the contents of the files that it names; `nil` where there are errors.
    package var loaded: LoadedConfiguration?
    /// Errors and warnings, in the order of the file.
    package var findings: [Finding]

    /// The place of the backends of each pool, by its name.
    var backendPlaces: [String: (file: String, position: Position)] = [:]

    package var configuration: GatewayConfiguration? { self.loaded?.configuration }
    package var errors: [Finding] { self.findings.filter { $0.severity == .error } }
    package var warnings: [Finding] { self.findings.filter { $0.severity == .warning } }
}

package enum GatewayFile {
    /// Reads and checks a configuration and every file that it names.
    ///
    /// - Parameter file: its path, as findings show it. Paths in it are relative to its folder.
    package static func read(_ file: String, _ surroundings: ConfigurationSurroundings) -> ConfigurationReading {
        var reading = Reading(file: file, surroundings: surroundings)
        let loaded = self.read(&reading)
        var result = ConfigurationReading(loaded: reading.hasErrors ? nil : loaded, findings: reading.sorted)
        for pool in loaded?.configuration.pools ?? [] {
            result.backendPlaces[pool.name] = (file, reading.position(of: "pools.\(pool.name).backends"))
        }
        return result
    }

    private static func read(_ reading: inout Reading) -> LoadedConfiguration? {
        let bytes: [UInt8]
        do throws(FileFailure) {
            bytes = try reading.readFile(reading.file, YAMLText.maximumBytes + 1)
        } catch {
            reading.error("", "the file \(error.sentence)")
            return nil
        }
        let node: ConfigurationNode
        do throws(YAMLText.Failure) {
            node = try YAMLText.read(bytes)
        } catch {
            reading.error("", at: error.position, error.sentence)
            return nil
        }
        let configuration = self.configuration(node, &reading)
        ConfigurationChecks.run(configuration, &reading)
        self.checkPlainSecrets(configuration, &reading)
        var loaded = NamedFiles.load(configuration, &reading)
        if let folder = reading.surroundings.workingFolder, !reading.folder.hasPrefix("/"), !reading.hasErrors {
            // Findings name files as the configuration does; printed, it counts wherever it is put.
            var whole = Reading(file: "\(folder)/\(reading.file)", surroundings: reading.surroundings)
            loaded.effectiveText = self.configuration(node, &whole).effectiveText
        }
        return loaded
    }

    /// The values of a file, whose names are not looked up yet.
    private static func configuration(_ node: ConfigurationNode, _ reading: inout Reading) -> GatewayConfiguration {
        var draft = FileDraft()
        draft.instance = reading.surroundings.hostName
        GatewaySchema.root.read(node, "", into: &draft, &reading)
        reading.beginChecks()
        var configuration = draft.configuration
        configuration.instance = draft.instance ?? reading.surroundings.hostName
        configuration.services = draft.services.compactMap { $0.finish("services.\($0.service.name)", &reading) }
        return configuration
    }

    /// Secrets that stand in the file itself, while others can read it.
    private static func checkPlainSecrets(_ configuration: GatewayConfiguration, _ reading: inout Reading) {
        guard configuration.admin?.token != nil, reading.isPlain("admin.token"),
            reading.surroundings.isReadableByOthers(reading.file)
        else { return }
        reading.warning("admin.token", "stands in a file that others can read; write ${file:PATH} instead")
    }
}
