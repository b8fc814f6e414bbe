import NIOCore
import HTTPTypes
import COpenSSL

