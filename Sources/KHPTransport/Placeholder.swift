import NIOPosix
import NIOSSL
import NIOExtras
import Logging
