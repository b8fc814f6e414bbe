/// The JSON events of the contract: names and keys are fixed, fields that do not apply are absent.
enum Events {
    /// An object with its name and its time.
    static func object(_ event: String, at time: Duration = Clock.elapsed) -> JSONObject {
        var object = JSONObject()
        object.set("event", event)
        object.set("t", time.jsonSeconds)
        return object
    }

    static func error(_ failure: CommandFailure) -> JSONObject {
        var object = object("error")
        object.set("code", failure.code)
        object.set("message", failure.sentence)
        object.set("url", failure.url)
        object.set("status", failure.httpStatus)
        object.set("exit", Int(failure.status.rawValue))
        return object
    }
}
