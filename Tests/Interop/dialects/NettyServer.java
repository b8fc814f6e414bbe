// An echo server of Netty for hixie-75 and hixie-76. Arguments: the subprotocol that it takes, if any.
// The dialect is what the request says. Prints its port, then serves until it is killed.

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketServerHandshaker;
import io.netty.handler.codec.http.websocketx.WebSocketServerHandshakerFactory;
import java.net.InetSocketAddress;

public class NettyServer {
    static class Echo extends SimpleChannelInboundHandler<Object> {
        private final String wanted;
        private WebSocketServerHandshaker handshaker;

        Echo(String wanted) {
            this.wanted = wanted;
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, Object message) {
            if (message instanceof FullHttpRequest) {
                FullHttpRequest request = (FullHttpRequest) message;
                String url = "ws://" + request.headers().get("Host") + request.uri();
                handshaker = new WebSocketServerHandshakerFactory(url, wanted, false, 1 << 20).newHandshaker(request);
                handshaker.handshake(context.channel(), request);
            } else if (message instanceof CloseWebSocketFrame) {
                handshaker.close(context.channel(), ((CloseWebSocketFrame) message).retain());
            } else if (message instanceof TextWebSocketFrame) {
                context.writeAndFlush(((WebSocketFrame) message).retain());
            }
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            System.err.println(cause);
            context.close();
        }
    }

    public static void main(String[] arguments) throws Exception {
        String wanted = arguments.length > 0 && !arguments[0].isEmpty() ? arguments[0] : null;
        ServerBootstrap bootstrap = new ServerBootstrap()
            .group(new NioEventLoopGroup(1))
            .channel(NioServerSocketChannel.class)
            .childHandler(new ChannelInitializer<Channel>() {
                @Override
                protected void initChannel(Channel channel) {
                    channel.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(65536), new Echo(wanted));
                }
            });
        Channel listener = bootstrap.bind("127.0.0.1", 0).sync().channel();
        System.out.println(((InetSocketAddress) listener.localAddress()).getPort());
        listener.closeFuture().sync();
    }
}
