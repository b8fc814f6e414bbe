// The handlers of ours in a pipeline, each of which must be gone behind a run. A pipeline tells nobody what is in it but for a
// type that is known, so it is walked by reflection.

import NIOCore
import Synchronization

enum PipelineWalk {
    /// The handlers of a pipeline, from the wire on. On the event loop.
    static func handlers(of pipeline: ChannelPipeline) -> [any ChannelHandler] {
        var handlers: [any ChannelHandler] = []
        var next = Self.context(named: "head", in: pipeline)
        while let context = next {
            handlers.append(context.handler)
            next = Self.context(named: "next", in: context)
        }
        return handlers
    }

    private static func context(named name: String, in object: AnyObject) -> ChannelHandlerContext? {
        for child in Mirror(reflecting: object).children where child.label == name {
            return child.value as? ChannelHandlerContext
        }
        return nil
    }

    /// The name of a handler's type where it is one of the product's; `nil` for those of libraries and tests.
    static func ownName(_ handler: any ChannelHandler) -> String? {
        let id = ObjectIdentifier(type(of: handler))
        return Self.names.withLock { names in
            if let known = names[id] { return known }
            let full = String(reflecting: type(of: handler))
            let name = full.hasPrefix("KHP") ? String(describing: type(of: handler)) : nil
            names[id] = .some(name)
            return name
        }
    }

    private static let names = Mutex<[ObjectIdentifier: String?]>([:])
}
